/** A stream that fails if no data arrives for too long. */
import type {Readable} from 'node:stream';

/**
 * The chunks of `source`. A server that stops sending keeps its connection open, so only a timer can detect it.
 * @param explain creates the error
 */
export async function* withoutStall(
  source: Readable,
  timeoutMs: number,
  explain: (error: unknown) => Error,
): AsyncGenerator<Buffer> {
  const stalled = Object.assign(new Error(`no data for ${timeoutMs} ms`), {name: 'TimeoutError'});
  let timer: NodeJS.Timeout | undefined;
  const wait = (): void => {
    clearTimeout(timer);
    timer = setTimeout(() => source.destroy(stalled), timeoutMs);
  };
  wait();
  try {
    for await (const chunk of source as AsyncIterable<Buffer>) {
      clearTimeout(timer); // the reader may be slow itself
      yield chunk;
      wait();
    }
  } catch (error) {
    throw explain(error);
  } finally {
    clearTimeout(timer);
    source.destroy();
  }
}
