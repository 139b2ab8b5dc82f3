/** Durations and moments as people type them: "26h", "1d12h", "2026-11-22". */
import {AppError} from './errors.js';

const unitMs: Readonly<Record<string, number>> = {
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};

/** Limit for date arithmetic: a thousand years, ms. */
const longestMs = 1000 * 365.25 * 86_400_000;

/** Accepted by `parseDuration`: numbers with the units s, m, h, d, w, without spaces. */
export const durationPattern = /^(?:\d+(?:\.\d+)?[smhdw])+$/;

/**
 * "26h" -> 93600000 (ms).
 * @param name of the flag or key, for the message
 * @throws USAGE
 */
export function parseDuration(text: string, name: string): number {
  if (!durationPattern.test(text)) {
    throw new AppError('USAGE', `${name} is "${text}", which is not a duration.`, {
      hint: 'Write a duration as 90m, 26h, 1d12h, 35d or 2w.',
    });
  }
  const parts = text.matchAll(/(\d+(?:\.\d+)?)([smhdw])/g);
  const ms = [...parts].reduce(
    (sum, [, number, unit]) => sum + Number(number) * (unitMs[unit ?? ''] ?? 0),
    0,
  );
  if (ms <= longestMs) return ms;
  throw new AppError('USAGE', `${name} is "${text.slice(0, 40)}", which is longer than a thousand years.`);
}

/**
 * A duration before `now`, or a date (from its beginning in UTC) or time in ISO 8601. A time without a zone is UTC.
 * @throws USAGE
 */
export function parseSince(text: string, name: string, now: Date): Date {
  if (durationPattern.test(text)) return new Date(now.getTime() - parseDuration(text, name));
  const moment = parseMoment(text);
  if (!moment) {
    throw new AppError('USAGE', `${name} is "${text}", which is neither a duration nor a date.`, {
      hint: 'Write a duration (7d), a date (2026-11-22) or a time (2026-11-22T02:00Z).',
    });
  }
  return moment;
}

/** A date (from its beginning in UTC) or time in ISO 8601, or as `list` prints it; a time without a zone is UTC. Undefined for anything else. */
export function parseMoment(text: string): Date | undefined {
  const iso = /^\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?)?$/.exec(text);
  const hasTime = text.length > 10;
  const moment = iso
    ? new Date(`${text.replace(' ', 'T')}${hasTime && iso[1] === undefined ? 'Z' : ''}`)
    : undefined;
  return moment && !Number.isNaN(moment.getTime()) && isDay(text.slice(0, 10)) ? moment : undefined;
}

/** JavaScript reads the 31st of February as the 3rd of March. */
function isDay(date: string): boolean {
  return new Date(date).toISOString().startsWith(date);
}
