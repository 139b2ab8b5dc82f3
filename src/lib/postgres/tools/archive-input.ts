/** A dump that lies on no disk here: its bytes come from elsewhere, anew each time they are needed. */
import {Readable} from 'node:stream';

export interface RemoteDump {
  /** Of the dump itself, decrypted. */
  readonly sizeBytes: number;
  /** What gives the bytes in a shell, without secrets. */
  readonly command: string;
  /**
   * From the first byte. Its last ones are given out only when all of them are what was once written.
   * @throws CHECKSUM_MISMATCH, DECRYPT_FAILED, the codes of the stores
   */
  open(): AsyncIterable<Buffer>;
  /** Whether its end tells nothing of the bytes before it, so that a reader that fails need not wait for it. */
  readonly isUnchecked?: boolean;
}

export interface ProgramInput {
  /** For the program's stdin. */
  readonly stream: Readable;
  /** Reads what the program left unread, so that the end, and what is wrong with it, is reached. */
  readOn(): Promise<void>;
  /** How many came so far. */
  bytes(): number;
  /** Lets go of the source. */
  close(): Promise<void>;
}

/** `source` for a program that may stop reading before its end, as pg_restore does when it has what it wants. */
export function forProgram(source: AsyncIterable<Buffer>): ProgramInput {
  const iterator = source[Symbol.asyncIterator]();
  let bytes = 0;
  const next = async (): Promise<IteratorResult<Buffer, unknown>> => {
    const result: IteratorResult<Buffer, unknown> = await iterator.next();
    if (result.done !== true) bytes += result.value.length;
    return result;
  };
  // Without "return", so that the end of the stream is not the end of the source.
  const unending = {[Symbol.asyncIterator]: () => ({next})};
  return {
    bytes: () => bytes,
    stream: Readable.from(unending, {objectMode: false}),
    async readOn() {
      while ((await next()).done !== true);
    },
    async close() {
      await iterator.return?.();
    },
  };
}
