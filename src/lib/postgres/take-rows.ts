/** Splits the output of COPY ... TO STDOUT, in arbitrary chunks, into rows. */
import type {NamedTable} from './quote.js';

const newline = 0x0a;

/** Receives rows in arbitrary pieces; a buffer is valid only during the call. */
export interface RowTaker {
  /** Receives the row `buffer[start..end)`, or its last part. */
  add(buffer: Buffer, start: number, end: number): void;
  /** Receives a part of a row that `add` completes. */
  append(buffer: Buffer, start: number, end: number): void;
}

/** Returns the receiver for the rows of a table, which has the values of these columns in the encoding, as PostgreSQL names it; undefined to ignore them. */
export type RowTakerOf = (
  table: NamedTable & {readonly columns: readonly string[]},
  encoding: string,
) => RowTaker | undefined;

/** Passes on the rows in a chunk of COPY ... TO STDOUT. */
export function takeRows(chunk: Buffer, taker: RowTaker): void {
  let position = 0;
  for (let end = chunk.indexOf(newline); end !== -1; end = chunk.indexOf(newline, position)) {
    taker.add(chunk, position, end);
    position = end + 1;
  }
  taker.append(chunk, position, chunk.length);
}
