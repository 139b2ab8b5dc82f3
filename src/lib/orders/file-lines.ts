/** Reads a file line by line as bytes, with memory bounded by the longest line. */
import type {FileHandle} from 'node:fs/promises';
import {openRegularFile} from '../own-file.js';
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
  try {
    const file = await openRegularFile(path);
    try {
      await splitLines(file, taker, signal);
    } finally {
      await file.close();
    }
  } catch (error) {
    throw explainReadError(error, path);
  }
}

/** One buffer is filled again and again; what is left of it, the beginning of a line, moves to its front. */
async function splitLines(file: FileHandle, taker: LineTaker, signal?: AbortSignal): Promise<void> {
  let buffer: Buffer = Buffer.allocUnsafeSlow(chunkBytes);
  /** Bytes of the buffer that hold the beginning of a line. */
  let pending = 0;
  let line = 0;
  for (;;) {
    signal?.throwIfAborted();
    if (pending > lineLimitBytes) taker.unfinished(line + 1, pending);
    if (pending === buffer.length) {
      const larger = Buffer.allocUnsafeSlow(2 * buffer.length);
      buffer.copy(larger);
      buffer = larger;
    }
    const {bytesRead} = await file.read(buffer, pending, buffer.length - pending);
    if (bytesRead === 0) break;
    const filled = buffer.subarray(0, pending + bytesRead);
    let start = 0;
    for (let end = filled.indexOf(newline, pending); end !== -1; end = filled.indexOf(newline, start)) {
      taker.line(filled, start, end, ++line);
      start = end + 1;
    }
    await taker.drain();
    filled.copyWithin(0, start);
    pending = filled.length - start;
  }
  if (pending > 0) taker.unfinished(line + 1, pending);
}
