/** A dump that is not on a local disk: its bytes are read from elsewhere each time they are needed. */
import {Readable} from 'node:stream';

export interface RemoteDump {
  /** Size of the decrypted dump. */
  readonly sizeBytes: number;
  /** A shell command that prints the bytes, without secrets. */
  readonly command: string;
  /**
   * Starts at the first byte. The last bytes are returned only after all of them were checked.
   * @throws CHECKSUM_MISMATCH, DECRYPT_FAILED, the codes of the stores
   */
  open(): AsyncIterable<Buffer>;
  /** Whether there is no check at the end, so that a failed reader need not wait for it. */
  readonly isUnchecked?: boolean;
}

export interface ProgramInput {
  /** For the program's stdin. */
  readonly stream: Readable;
  /** Reads the rest that the program did not read, so that the check at the end runs. */
  readOn(): Promise<void>;
  /** Number of bytes so far. */
  bytes(): number;
  /** Closes the source. */
  close(): Promise<void>;
}

/** `source` for a program that may stop early, as pg_restore does when it has everything it needs. */
export function forProgram(source: AsyncIterable<Buffer>): ProgramInput {
  const iterator = source[Symbol.asyncIterator]();
  let bytes = 0;
  const next = async (): Promise<IteratorResult<Buffer, unknown>> => {
    const result: IteratorResult<Buffer, unknown> = await iterator.next();
    if (result.done !== true) bytes += result.value.length;
    return result;
  };
  // Without "return", so that the end of the stream does not end the source.
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
