/** Reads a file line by line as bytes, long lines in parts: memory is bounded by what has to be seen at once. */
import type {FileHandle} from 'node:fs/promises';
import {openRegularFile} from '../../base/own-file.js';
import {explainReadError} from './order-file-error.js';

const newline = 0x0a;
const chunkBytes = 1 << 20;
/** Of a line, what can be seen at once. */
const longestPartBytes = 1 << 26;

export interface LineTaker {
  /**
   * A line without its newline, or a part of one, `buffer[start..end)`, valid until `drain`; `line` counts from 1.
   * @returns the position up to which a part was taken: the rest comes again with what follows. `start` where more of the line has to
   *   be seen first. Of the last part, `isLast`, nothing comes again.
   */
  line(buffer: Buffer, start: number, end: number, line: number, isLast: boolean): number;
  /** After the lines of each piece of the file. */
  drain(): Promise<void>;
  /** A line of which too much has to be seen at once, or the file's last bytes without a newline. */
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
  /** Bytes at the start of the buffer that are the beginning of a line. */
  let pending = 0;
  let line = 0;
  for (;;) {
    signal?.throwIfAborted();
    if (pending === buffer.length) {
      const taken = taker.line(buffer, 0, pending, line + 1, false);
      await taker.drain();
      if (taken > 0) {
        buffer.copyWithin(0, taken);
        pending -= taken;
      } else {
        if (pending >= longestPartBytes) taker.unfinished(line + 1, pending);
        const larger = Buffer.allocUnsafeSlow(2 * buffer.length);
        buffer.copy(larger);
        buffer = larger;
      }
    }
    const {bytesRead} = await file.read(buffer, pending, buffer.length - pending);
    if (bytesRead === 0) break;
    const filled = buffer.subarray(0, pending + bytesRead);
    let start = 0;
    for (let end = filled.indexOf(newline, pending); end !== -1; end = filled.indexOf(newline, start)) {
      taker.line(filled, start, end, ++line, true);
      start = end + 1;
    }
    await taker.drain();
    filled.copyWithin(0, start);
    pending = filled.length - start;
  }
  if (pending > 0) taker.unfinished(line + 1, pending);
}
