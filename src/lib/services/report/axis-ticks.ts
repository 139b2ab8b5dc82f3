/** Ticks of the axes of charts, and their labels. */
import {formatBytes} from '../../base/format.js';

export const byteSteps = Array.from(
  {length: 46},
  (_, index) => ([1, 2, 5][index % 3] ?? 1) * 10 ** Math.floor(index / 3),
);
const second = 1000;
const minute = 60 * second;
const hour = 60 * minute;
export const durationSteps = [
  ...[1, 2, 5, 10, 20, 50, 100, 200, 500],
  ...[1, 2, 5, 10, 15, 30].map((value) => value * second),
  ...[1, 2, 5, 10, 15, 30].map((value) => value * minute),
  ...[1, 2, 4, 6, 12, 24, 48].map((value) => value * hour),
];

/** Ticks of an axis are round, so they need no second unit and no decimals. */
export const axisBytes = (value: number): string =>
  value === 0 ? '0' : formatBytes(value).replace('.0 ', ' ');

export function axisDuration(ms: number): string {
  if (ms === 0) return '0';
  const [size, unit] = (
    [
      [hour, 'h'],
      [minute, 'min'],
      [second, 's'],
    ] as const
  ).find(([least]) => ms >= least) ?? [1, 'ms'];
  return `${Math.round((ms / size) * 10) / 10} ${unit}`;
}

const day = 24 * hour;
/** Distances of the ticks of a time axis. */
const timeSteps: readonly (readonly [
  unit: 'minute' | 'hour' | 'day' | 'week' | 'month' | 'year',
  count: number,
])[] = [
  ...[5, 10, 15, 30].map((count) => ['minute', count] as const),
  ...[1, 2, 3, 6, 12].map((count) => ['hour', count] as const),
  ...[1, 2].map((count) => ['day', count] as const),
  ...[1, 2].map((count) => ['week', count] as const),
  ...[1, 2, 3, 6].map((count) => ['month', count] as const),
  ...[1, 2, 5, 10].map((count) => ['year', count] as const),
];
const lengthOf = {minute, hour, day, week: 7 * day, month: 30.4 * day, year: 365.25 * day} as const;
const monthNames = [
  ...['January', 'February', 'March', 'April', 'May', 'June', 'July'],
  ...['August', 'September', 'October', 'November', 'December'],
];

/** Ticks of a time axis, at most `most`: full minutes or hours, midnights, Mondays, firsts of months or years, in UTC. */
export function timeTicks(from: Date, until: Date, most: number): {at: Date; label: string}[] {
  const span = until.getTime() - from.getTime();
  const [unit, count] = timeSteps.find(([name, number]) => span / (lengthOf[name] * number) <= most - 1) ?? [
    'year',
    50,
  ];
  const ticks: {at: Date; label: string}[] = [];
  for (let index = 0; ; index += 1) {
    const at = tickAfter(from, unit, count, index);
    if (at > until) return ticks;
    if (at >= from) ticks.push({at, label: tickLabel(at, unit)});
  }
}

/** The tick `index` steps after the last one at or before `from`. */
function tickAfter(from: Date, unit: keyof typeof lengthOf, count: number, index: number): Date {
  const [year, month] = [from.getUTCFullYear(), from.getUTCMonth()];
  if (unit === 'year') return new Date(Date.UTC(Math.floor(year / count) * count + index * count, 0));
  if (unit === 'month') return new Date(Date.UTC(year, Math.floor(month / count) * count + index * count));
  // 5 January 1970 was a Monday.
  const base = unit === 'week' ? 4 * day : 0;
  const step = lengthOf[unit] * count;
  return new Date(base + (Math.floor((from.getTime() - base) / step) + index) * step);
}

function tickLabel(at: Date, unit: keyof typeof lengthOf): string {
  const isMidnight = at.getTime() % day === 0;
  if ((unit === 'minute' || unit === 'hour') && !isMidnight) return at.toISOString().slice(11, 16);
  if (unit === 'year' || (unit === 'month' && at.getUTCMonth() === 0)) return String(at.getUTCFullYear());
  return unit === 'month' ? monthName(at).slice(0, 3) : `${at.getUTCDate()} ${monthName(at).slice(0, 3)}`;
}

/** "October", UTC. */
export const monthName = (at: Date): string => monthNames[at.getUTCMonth()] ?? '';

/** "3 October", UTC: a report spans less than a year. */
export const dayInWords = (at: Date): string => `${at.getUTCDate()} ${monthName(at)}`;

/** "3 Oct 2026", UTC. */
export const dateInWords = (at: Date): string =>
  `${at.getUTCDate()} ${monthName(at).slice(0, 3)} ${at.getUTCFullYear()}`;

/** "3 Oct 2026, 02:00", UTC. */
export const timeInWords = (at: Date): string => `${dateInWords(at)}, ${at.toISOString().slice(11, 16)}`;
