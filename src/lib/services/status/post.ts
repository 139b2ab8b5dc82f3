/** One HTTP POST that is tried again within a budget of time. */
import {setTimeout as wait} from 'node:timers/promises';
import {AppError, messageOf, systemErrorCode} from '../../base/errors.js';

const firstPauseMs = 200;

/**
 * Posts until an answer of 2xx. A network error, 429 and 5xx are tried again, with pauses that double, until `signal`
 * aborts; every other answer is final.
 * @throws TOOL_FAILED saying why, never with the address, which may hold a token; the signal's reason without any answer
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
    // The pause ends at once when the time is up.
    if (signal.aborted || !(await wait(pauseMs, true, {signal}).catch(() => false))) break;
  }
  if (trouble === undefined) signal.throwIfAborted();
  throw new AppError('TOOL_FAILED', trouble ?? 'no answer');
}

/** fetch says "fetch failed" and keeps the reason in `cause`, whose words may contain the address. */
function explain(error: unknown): string {
  const cause = error instanceof Error ? (error.cause ?? error) : error;
  const words = messageOf(cause)
    .replace(/:?\s*\S*\w+:\/\/[^]*$/, '')
    .replace(/\.$/, '');
  return systemErrorCode(cause) ?? (words === '' ? 'the request failed' : words);
}
