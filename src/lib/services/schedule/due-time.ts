/** The times of the jobs in a plan, and the choice of times that do not collide. */

/** The time of a job in the plan's time zone; weekday 0 (Sunday) to 6, day 1 to 28. */
export type Every =
  /** Every `period` minutes (60 by default, a divisor of an hour or a day), `minute` minutes after midnight first. */
  | {readonly unit: 'hour'; readonly minute: number; readonly period?: number}
  | {readonly unit: 'day'; readonly hour: number; readonly minute: number}
  | {readonly unit: 'week'; readonly weekday: number; readonly hour: number; readonly minute: number}
  | {readonly unit: 'month'; readonly day: number; readonly hour: number; readonly minute: number};

const dayMinutes = 24 * 60;
/** Minutes between two jobs; if a backup takes longer, the next job waits for it. */
const room = 30;
/** Minutes between an hourly job and any other; smaller, because the hourly job meets every job of the day. */
const hourlyRoom = 15;
const step = 5;

/**
 * The time of `every` if it keeps the distance to the `taken` ones; otherwise the next one in the same hour (for hourly jobs) or on the
 * same day that does; otherwise the one with the greatest distance.
 */
export function freeTime(every: Every, taken: readonly Every[]): Every {
  const cycle = every.unit === 'hour' ? periodOf(every) : dayMinutes;
  const wanted = every.unit === 'hour' ? hourlyRoom : room;
  // First on half hours (or quarters, for an hourly job), because such times are easy to remember.
  const later = (by: number): Every[] =>
    Array.from({length: Math.ceil(cycle / by)}, (_, count) => moved(every, count * by));
  const spare = (time: Every): number =>
    Math.min(...taken.map((other) => distance(time, other) - roomOf(time, other)));
  const candidates = [...later(wanted), ...later(step), ...later(1)];
  const free = candidates.find((time) => spare(time) >= 0);
  return free ?? candidates.reduce((best, time) => (spare(time) > spare(best) ? time : best));
}

/** Whether both jobs ever start in the same minute. */
export function startTogether(a: Every, b: Every): boolean {
  return distance(a, b) === 0;
}

function roomOf(a: Every, b: Every): number {
  return a.unit === 'hour' || b.unit === 'hour' ? hourlyRoom : room;
}

/** The smallest number of minutes between their starts; Infinity for jobs on different weekdays or days of the month. */
function distance(a: Every, b: Every): number {
  if (a.unit === 'hour')
    return b.unit === 'hour'
      ? around(a.minute - b.minute, commonDivisor(periodOf(a), periodOf(b)))
      : around(a.minute - minuteOfDay(b), periodOf(a));
  if (b.unit === 'hour') return around(minuteOfDay(a) - b.minute, periodOf(b));
  const minutes = (a.hour - b.hour) * 60 + a.minute - b.minute;
  if (a.unit === 'week' && b.unit === 'week')
    return around((a.weekday - b.weekday) * dayMinutes + minutes, 7 * dayMinutes);
  if (a.unit === 'month' && b.unit === 'month' && a.day !== b.day) return Infinity;
  // Daily jobs meet all others, and each day of a month falls on each weekday in some month.
  return around(minutes, dayMinutes);
}

type Hourly = Extract<Every, {unit: 'hour'}>;

/** Minutes between two runs. */
export function periodOf({period = 60}: Hourly): number {
  return period;
}

/** Minutes after midnight at which it runs, the first first. */
export function minutesOfDay(every: Hourly): number[] {
  const period = periodOf(every);
  return Array.from({length: dayMinutes / period}, (_, index) => every.minute + index * period);
}

function minuteOfDay({hour, minute}: Exclude<Every, Hourly>): number {
  return hour * 60 + minute;
}

function commonDivisor(a: number, b: number): number {
  return b === 0 ? a : commonDivisor(b, a % b);
}

/** The shorter distance between two points of a circle. */
function around(difference: number, circle: number): number {
  const forward = ((difference % circle) + circle) % circle;
  return Math.min(forward, circle - forward);
}

function moved(every: Every, byMinutes: number): Every {
  if (every.unit === 'hour') return {...every, minute: (every.minute + byMinutes) % periodOf(every)};
  const total = (every.hour * 60 + every.minute + byMinutes) % dayMinutes;
  return {...every, hour: Math.floor(total / 60), minute: total % 60};
}
