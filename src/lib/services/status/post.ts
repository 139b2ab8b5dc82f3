/** Sends an HTTP POST and retries it within a time limit. */
import {setTimeout as wait} from 'node:timers/promises';
import {AppError, messageOf, systemErrorCode} from '../../base/errors.js';

const firstPauseMs = 200;

/**
 * Posts until the answer is 2xx. A network error, 429 and 5xx are retried, with doubling pauses, until `signal` aborts; every other answer
 * is final.
 * @throws TOOL_FAILED with the reason, never with the address, which may contain a token; the signal's reason if there was no answer
 */
export async function post(
  url: string,
  body: string,
  contentType: string,
  signal: AbortSignal,
): Promise<void> {
  let trouble: string | undefined;
  for (let pauseMs = firstPauseMs; ; pauseMs *= 2) {
    try {
      const response = await fetch(url, {
        method: 'POST',
        headers: {'content-type': contentType, 'user-agent': 'destino-db'},
        body,
        signal,
      });
      await response.body?.cancel();
      if (response.ok) return;
      trouble = `it answered ${response.status}`;
      if (response.status !== 429 && response.status < 500) break;
    } catch (error) {
      if (!signal.aborted) trouble = explain(error);
    }
    // The pause ends when the time is up.
    if (signal.aborted || !(await wait(pauseMs, true, {signal}).catch(() => false))) break;
  }
  if (trouble === undefined) signal.throwIfAborted();
  throw new AppError('TOOL_FAILED', trouble ?? 'no answer');
}

/** fetch reports "fetch failed" and keeps the reason in `cause`, whose text may contain the address. */
function explain(error: unknown): string {
  const cause = error instanceof Error ? (error.cause ?? error) : error;
  const words = messageOf(cause)
    .replace(/:?\s*\S*\w+:\/\/[^]*$/, '')
    .replace(/\.$/, '');
  return systemErrorCode(cause) ?? (words === '' ? 'the request failed' : words);
}
