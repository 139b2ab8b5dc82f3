/** Finds the fields of rows that contain one of a few characters, in the time that a search of the whole buffer for these takes. */
import type {RowTaker} from '../postgres/take-rows.js';

const tab = 0x09;
const nothing: Buffer = Buffer.alloc(0);

/** Bytes of a row in pieces that are joined before they are searched. */
const joinedBytes = 1 << 18;
/** The end of the joined bytes can cut a text that a caller looks for, so the last of them are searched again with the next ones. */
const repeatedBytes = 1 << 14;

/** Takes rows in COPY's text format. */
export class FieldsContaining implements RowTaker {
  /** Whether a field of any column contains the first character. */
  hasFirst = false;
  private held = nothing;
  /** The column at the beginning of `held`. */
  private firstColumn = 0;
  /** The buffer that was searched last, up to where, and the next position of each character in it. */
  private searched = nothing;
  private searchedTo = 0;
  private readonly next: number[];

  /**
   * @param characters codes of ASCII characters that COPY does not escape
   * @param columns whether each column matters; others only count for `hasFirst`
   * @param onField receives a field of these columns that contains a character; a part of a long field, with 16 KB of the part before. The buffer is
   *   valid only during the call
   * @param onRow called after the last field of a row
   */
  constructor(
    private readonly characters: readonly number[],
    private readonly columns: readonly boolean[],
    private readonly onField: (field: Buffer, column: number) => void,
    private readonly onRow: () => void,
  ) {
    this.next = characters.map(() => -1);
  }

  add(buffer: Buffer, start: number, end: number): void {
    if (this.held.length === 0 && this.firstColumn === 0) this.search(buffer, start, end);
    else {
      const last = Buffer.concat([this.held, buffer.subarray(start, end)]);
      this.search(last, 0, last.length);
      this.held = nothing;
      this.firstColumn = 0;
    }
    this.onRow();
  }

  append(buffer: Buffer, start: number, end: number): void {
    if (start === end) return;
    this.held = Buffer.concat([this.held, buffer.subarray(start, end)]);
    if (this.held.length < joinedBytes) return;
    this.search(this.held, 0, this.held.length);
    const kept = this.held.length - repeatedBytes;
    for (let at = this.held.indexOf(tab); at !== -1 && at < kept; at = this.held.indexOf(tab, at + 1)) this.firstColumn++; // prettier-ignore
    this.held = Buffer.from(this.held.subarray(kept));
  }

  private search(buffer: Buffer, start: number, end: number): void {
    const {characters, next} = this;
    if (buffer !== this.searched || start < this.searchedTo) next.fill(-1);
    this.searched = buffer;
    this.searchedTo = end;
    let column = this.firstColumn;
    for (let position = start; ;) {
      let found = end;
      for (let index = 0; index < characters.length; index++) {
        let at = next[index] ?? -1;
        if (at < position) {
          at = buffer.indexOf(characters[index] ?? 0, position);
          if (at === -1) at = buffer.length;
          next[index] = at;
        }
        if (at < found) found = at;
      }
      if (found >= end) return;
      for (let at = position; at < found; at++)
        if (buffer[at] === tab) {
          column++;
          position = at + 1;
        }
      const tabAt = buffer.indexOf(tab, found);
      const fieldEnd = tabAt === -1 || tabAt > end ? end : tabAt;
      if ((next[0] ?? fieldEnd) < fieldEnd) this.hasFirst = true;
      if (this.columns[column] === true) this.onField(buffer.subarray(position, fieldEnd), column);
      position = fieldEnd + 1;
      column++;
    }
  }
}
