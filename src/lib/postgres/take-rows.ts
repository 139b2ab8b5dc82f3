/** The rows of what COPY ... TO STDOUT sends, in bytes that may be cut anywhere. */

const newline = 0x0a;

/** Takes rows that may be cut anywhere; a buffer is valid during the call only. */
export interface RowTaker {
  /** Takes the row `buffer[start..end)`, or its last part. */
  add(buffer: Buffer, start: number, end: number): void;
  /** Takes a part of a row that is completed by `add`. */
  append(buffer: Buffer, start: number, end: number): void;
}

/** Hands over the rows of a piece of what COPY ... TO STDOUT sends. */
export function takeRows(chunk: Buffer, taker: RowTaker): void {
  let position = 0;
  for (let end = chunk.indexOf(newline); end !== -1; end = chunk.indexOf(newline, position)) {
    taker.add(chunk, position, end);
    position = end + 1;
  }
  taker.append(chunk, position, chunk.length);
}
