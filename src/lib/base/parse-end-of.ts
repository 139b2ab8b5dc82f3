/** The time of --at: the end of the given day, minute or second. */
import {AppError} from './errors.js';
import {parseMoment} from './parse-duration.js';

/**
 * Missing parts mean the end: a backup taken on that day, in that minute or second counts.
 * @throws USAGE
 */
export function parseEndOf(text: string): Date {
  const time = parseMoment(text);
  if (time) return new Date(time.getTime() + leftOutMs(text) - 1);
  throw new AppError('USAGE', `--at: "${text}" is not a time.`, {
    hint: 'Write it as 2026-11-22T03:00:00Z, or as 2026-11-22 for the whole day (UTC).',
  });
}

/** The length of the named period: a day, a minute, a second; a fraction names a moment. */
function leftOutMs(text: string): number {
  if (text.length === 10) return 86_400_000;
  if (/\d\.\d/.test(text)) return 1;
  return /\d\d:\d\d:\d\d/.test(text.slice(11)) ? 1000 : 60_000;
}
