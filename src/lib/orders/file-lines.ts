/** Reads a file line by line as bytes, with memory bounded by the longest line. */
import {createReadStream} from 'node:fs';
import {explainReadError} from './order-file-error.js';

const newline = 0x0a;
const chunkBytes = 1 << 20;
/** PostgreSQL's own limit for one value is 1 GB; a row of more than this was not written by this program. */
const lineLimitBytes = 512 * 1024 * 1024;

export interface LineTaker {
  /** One line without its newline, `buffer[start..end)`, valid during the call; `line` counts from 1. */
  line(buffer: Buffer, start: number, end: number, line: number): void;
  /** After the lines of each piece of the file. */
  drain(): Promise<void>;
  /** A line longer than the limit, or the file's last bytes without a newline. */
  unfinished(line: number, bytes: number): never;
}

/** @throws READ_FAILED, BACKUP_NOT_FOUND, and what `taker` throws */
export async function readLines(path: string, taker: LineTaker, signal?: AbortSignal): Promise<void> {
  const stream = createReadStream(path, {highWaterMark: chunkBytes, ...(signal ? {signal} : {})});
  /** The pieces of a line that has not ended yet. */
  let pending: Buffer[] = [];
  let pendingBytes = 0;
  let line = 0;
  try {
    for await (const data of stream) {
      const chunk = data as Buffer;
      let start = 0;
      for (let end = chunk.indexOf(newline); end !== -1; end = chunk.indexOf(newline, start)) {
        line += 1;
        if (pendingBytes === 0) {
          taker.line(chunk, start, end, line);
        } else {
          const whole = Buffer.concat([...pending, chunk.subarray(start, end)]);
          pending = [];
          pendingBytes = 0;
          taker.line(whole, 0, whole.length, line);
        }
        start = end + 1;
      }
      if (start < chunk.length) {
        pending.push(chunk.subarray(start));
        pendingBytes += chunk.length - start;
        if (pendingBytes > lineLimitBytes) taker.unfinished(line + 1, pendingBytes);
      }
      await taker.drain();
    }
  } catch (error) {
    throw explainReadError(error, path);
  } finally {
    stream.destroy();
  }
  if (pendingBytes > 0) taker.unfinished(line + 1, pendingBytes);
}
