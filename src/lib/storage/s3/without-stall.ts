/** A stream that ends in an error when nothing comes for too long. */
import type {Readable} from 'node:stream';

/**
 * The chunks of `source`. A server that stops sending in the middle keeps its connection open, so that only a clock tells.
 * @param explain makes the error that is thrown
 */
export async function* withoutStall(
  source: Readable,
  timeoutMs: number,
  explain: (error: unknown) => Error,
): AsyncGenerator<Buffer> {
  const stalled = Object.assign(new Error(`nothing came for ${timeoutMs} ms`), {name: 'TimeoutError'});
  let timer: NodeJS.Timeout | undefined;
  const wait = (): void => {
    clearTimeout(timer);
    timer = setTimeout(() => source.destroy(stalled), timeoutMs);
  };
  wait();
  try {
    for await (const chunk of source as AsyncIterable<Buffer>) {
      clearTimeout(timer); // whoever reads may be slow itself
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
