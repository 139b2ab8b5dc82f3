/** The rows of one table as they stand behind a COPY statement, in bytes that may be cut anywhere. */
import type {RowTaker} from '../../postgres/take-rows.js';
import {unsafe} from './unsafe-dump-errors.js';

const newline = 0x0a;
const backslash = 0x5c;
const dot = 0x2e;
const carriageReturn = 0x0d;
/** The line that ends the rows, and what only looks like it: all but the newline. */
const endOfRows = Buffer.from('\\.\r');

export class CopyBlock {
  rows = 0;
  /** Whether the line `\.` has come, which ends the rows. */
  hasEnded = false;
  /** Bytes of the row being read that came in earlier chunks. */
  private rowBytes = 0;
  /** What may become the line that ends the rows, at the end of a chunk. */
  private held: Buffer | undefined;

  /** @param taker takes the rows; without it they are counted only */
  constructor(private readonly taker: RowTaker | undefined) {}

  /** Takes rows from `start` on; returns the position behind the end of the rows, or the end of the chunk. */
  take(chunk: Buffer, start: number): number {
    const {taker} = this;
    let position = start;
    if (this.held) {
      // Three bytes at most, seen before: with what follows it shows whether the rows end here.
      const joined = Buffer.concat([this.held, chunk.subarray(start)]);
      const skipped = this.held.length;
      this.held = undefined;
      return this.take(joined, 0) - skipped + start;
    }
    for (;;) {
      const end = chunk.indexOf(newline, position);
      if (end === -1) break;
      if (this.rowBytes === 0 && chunk[position] === backslash && chunk[position + 1] === dot) {
        if (end - position === 2) {
          this.hasEnded = true;
          return end + 1;
        }
        if (end - position === 3 && chunk[position + 2] === carriageReturn)
          throw unsafe('rows that end for psql before they end for the server');
      }
      taker?.add(chunk, position, end);
      this.rowBytes = 0;
      this.rows++;
      position = end + 1;
    }
    if (position === chunk.length) return position;
    const rest = chunk.length - position;
    if (this.rowBytes === 0 && endOfRows.subarray(0, rest).equals(chunk.subarray(position))) {
      this.held = Buffer.from(chunk.subarray(position));
    } else {
      taker?.append(chunk, position, chunk.length);
      this.rowBytes += chunk.length - position;
    }
    return chunk.length;
  }
}
