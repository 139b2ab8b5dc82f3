/** Reads an object to its end though the connection breaks: goes on where it was. */
import type {Readable} from 'node:stream';
import type {AppError} from '../../base/errors.js';
import {isAway} from '../place.js';
import {withoutStall} from './without-stall.js';

export interface OpenedObject {
  readonly body: Readable;
  /** Of the whole object; changes with its content. */
  readonly tag: string | undefined;
  /** Of `body`; undefined where the store does not tell. */
  readonly sizeBytes: number | undefined;
}

const attempts = 3;

/**
 * A reader that is slow itself (a server that loads what is read) is enough to break a connection: stores and time-outs
 * end those that nothing passes through for long.
 * @param first the object, opened at its beginning
 * @param reopen opens what follows the first `skipped` bytes, of the object with this tag alone
 * @throws the codes of the stores: a connection that broke three times without a byte in between
 */
export async function* steadyRead(
  first: OpenedObject,
  reopen: (skipped: number, tag: string | undefined) => Promise<OpenedObject>,
  options: {
    readonly timeoutMs: number;
    readonly explain: (error: unknown) => AppError;
    readonly signal?: AbortSignal | undefined;
  },
): AsyncGenerator<Buffer> {
  let {body} = first;
  let position = 0;
  let failures = 0;
  for (;;) {
    try {
      for await (const chunk of withoutStall(body, options.timeoutMs, options.explain)) {
        failures = 0;
        position += chunk.length;
        yield chunk;
      }
      return;
    } catch (error) {
      failures += 1;
      options.signal?.throwIfAborted();
      if (!isAway(error) || failures >= attempts) throw error;
      if (position === first.sizeBytes) return;
    }
    ({body} = await reopen(position, first.tag));
  }
}
