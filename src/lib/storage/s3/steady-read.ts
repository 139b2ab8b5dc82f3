/** Reads an object to its end and resumes if the connection breaks. */
import type {Readable} from 'node:stream';
import type {AppError} from '../../base/errors.js';
import {isAway} from '../place.js';
import {withoutStall} from './without-stall.js';

export interface OpenedObject {
  readonly body: Readable;
  /** Tag of the complete object; changes with its content. */
  readonly tag: string | undefined;
  /** Size of `body`; undefined if the store does not report it. */
  readonly sizeBytes: number | undefined;
}

const attempts = 3;

/**
 * A slow reader (such as a server that loads the data) is enough to break a connection: stores and time-outs
 * close idle connections.
 * @param first the object, opened at its beginning
 * @param reopen opens the object with this tag after its first `skipped` bytes
 * @throws the codes of the stores, if a connection breaks three times without any data in between
 */
export async function* steadyRead(
  first: OpenedObject,
  reopen: (skipped: number, tag: string | undefined) => Promise<OpenedObject>,
  options: {
    readonly timeoutMs: number;
    readonly explain: (error: unknown) => AppError;
    readonly signal?: AbortSignal;
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
