/** Duplicates a stream, so that two readers can read it concurrently. */
import {PassThrough, type Readable} from 'node:stream';

export interface BranchedStream {
  /** The source. It waits for the reader of the branch, unless that has stopped. */
  readonly main: AsyncGenerator<Buffer>;
  /** The same bytes; fails if `main` was not read to its end. */
  readonly branch: Readable;
}

/** Maximum distance between the two readers in bytes, twice: a PassThrough buffers on both sides. */
const bufferedBytes = 1 << 20;

export function branchStream(source: AsyncIterable<Buffer>): BranchedStream {
  const branch = new PassThrough({highWaterMark: bufferedBytes});
  branch.on('error', () => undefined); // its reader gets the error, if it still reads
  async function* pass(): AsyncGenerator<Buffer> {
    try {
      for await (const chunk of source) {
        if (!branch.destroyed && !branch.write(chunk)) await drained(branch);
        yield chunk;
      }
      branch.end();
    } finally {
      if (!branch.writableEnded) branch.destroy(new Error('the stream was not read to its end'));
    }
  }
  return {main: pass(), branch};
}

/** Waits until the branch accepts data again, or is closed. */
function drained(stream: PassThrough): Promise<void> {
  return new Promise((resolve) => {
    const go = (): void => {
      stream.off('drain', go).off('close', go);
      resolve();
    };
    stream.on('drain', go).on('close', go);
  });
}
