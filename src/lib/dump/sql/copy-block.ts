/** The rows of one table after a COPY statement, in arbitrary chunks of bytes. */
import type {RowTaker} from '../../postgres/take-rows.js';
import {unsafe} from './unsafe-dump-errors.js';

const newline = 0x0a;
const backslash = 0x5c;
const dot = 0x2e;
const carriageReturn = 0x0d;
/** The terminating line, and lines that resemble it: without the newline. */
const endOfRows = Buffer.from('\\.\r');

export class CopyBlock {
  rows = 0;
  /** Whether the terminating line `\.` was read. */
  hasEnded = false;
  /** Bytes of the current row in earlier chunks. */
  private rowBytes = 0;
  /** A possible beginning of the terminating line at the end of a chunk. */
  private pending: Buffer | undefined;

  /** @param taker receives the rows; without it they are only counted */
  constructor(private readonly taker: RowTaker | undefined) {}

  /** Reads rows from `start` on; returns the position after the end of the rows, or the end of the chunk. */
  take(chunk: Buffer, start: number): number {
    const {taker} = this;
    let position = start;
    if (this.pending) {
      // At most three bytes that were seen before: together with the next ones they show whether the rows end here.
      const joined = Buffer.concat([this.pending, chunk.subarray(start)]);
      const skipped = this.pending.length;
      this.pending = undefined;
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
          throw unsafe('rows that end earlier for psql than for the server');
      }
      taker?.add(chunk, position, end);
      this.rowBytes = 0;
      this.rows++;
      position = end + 1;
    }
    if (position === chunk.length) return position;
    const rest = chunk.length - position;
    if (this.rowBytes === 0 && endOfRows.subarray(0, rest).equals(chunk.subarray(position))) {
      this.pending = Buffer.from(chunk.subarray(position));
    } else {
      taker?.append(chunk, position, chunk.length);
      this.rowBytes += chunk.length - position;
    }
    return chunk.length;
  }
}
