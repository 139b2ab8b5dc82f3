/** One stream for two readers: what the first one takes is read by the second one beside it. */
import {PassThrough, type Readable} from 'node:stream';

export interface BranchedStream {
  /** The source. It waits for the branch's reader, unless that has gone. */
  readonly main: AsyncGenerator<Buffer>;
  /** The same bytes; it fails when `main` was not read to its end. */
  readonly branch: Readable;
}

/** Bytes that may lie between the two readers, twice: a PassThrough holds them on both its sides. */
const heldBytes = 1 << 20;

export function branchStream(source: AsyncIterable<Buffer>): BranchedStream {
  const branch = new PassThrough({highWaterMark: heldBytes});
  branch.on('error', () => undefined); // told to its reader, who may have gone
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

/** Waits until there is room again, or nobody who makes some. */
function drained(stream: PassThrough): Promise<void> {
  return new Promise((resolve) => {
    const go = (): void => {
      stream.off('drain', go).off('close', go);
      resolve();
    };
    stream.on('drain', go).on('close', go);
  });
}
