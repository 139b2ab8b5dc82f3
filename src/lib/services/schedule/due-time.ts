/** When the jobs of a plan run, and times that leave room for one another. */

/** When a job runs, by the clocks of the plan's time zone; weekday 0 (Sunday) to 6, day 1 to 28. */
export type Every =
  | {readonly unit: 'hour'; readonly minute: number}
  | {readonly unit: 'day'; readonly hour: number; readonly minute: number}
  | {readonly unit: 'week'; readonly weekday: number; readonly hour: number; readonly minute: number}
  | {readonly unit: 'month'; readonly day: number; readonly hour: number; readonly minute: number};

const dayMinutes = 24 * 60;
/** Minutes between two jobs; a backup of a large database takes longer, and the next job waits for it. */
const room = 30;
/** An hourly job comes by every job of the day, so that less has to do. */
const hourlyRoom = 15;
const step = 5;

/**
 * The time of `every` itself, or the next after it in the same hour (of hourly jobs) or on the same day that leaves room for the jobs
 * that are `taken`; where none does, the one that leaves most.
 */
export function freeTime(every: Every, taken: readonly Every[]): Every {
  const cycle = every.unit === 'hour' ? 60 : dayMinutes;
  const wanted = every.unit === 'hour' ? hourlyRoom : room;
  // On the half hours (quarters of an hourly job) first: times that people know by heart.
  const later = (by: number): Every[] =>
    Array.from({length: cycle / by}, (_, count) => moved(every, count * by));
  const spare = (time: Every): number =>
    Math.min(...taken.map((other) => distance(time, other) - roomOf(time, other)));
  const candidates = [...later(wanted), ...later(step), ...later(1)];
  const free = candidates.find((time) => spare(time) >= 0);
  return free ?? candidates.reduce((best, time) => (spare(time) > spare(best) ? time : best));
}

/** Whether there is a minute at which both start. */
export function startTogether(a: Every, b: Every): boolean {
  return distance(a, b) === 0;
}

function roomOf(a: Every, b: Every): number {
  return a.unit === 'hour' || b.unit === 'hour' ? hourlyRoom : room;
}

/** Minutes between their starts where these come closest; Infinity for jobs of different weekdays or days of the month. */
function distance(a: Every, b: Every): number {
  if (a.unit === 'hour' || b.unit === 'hour') return around(a.minute - b.minute, 60);
  const minutes = (a.hour - b.hour) * 60 + a.minute - b.minute;
  if (a.unit === 'week' && b.unit === 'week')
    return around((a.weekday - b.weekday) * dayMinutes + minutes, 7 * dayMinutes);
  if (a.unit === 'month' && b.unit === 'month' && a.day !== b.day) return Infinity;
  // Daily ones meet all others, and each day of a month is each weekday some time.
  return around(minutes, dayMinutes);
}

/** The shorter way between two points of a circle. */
function around(difference: number, circle: number): number {
  const forward = ((difference % circle) + circle) % circle;
  return Math.min(forward, circle - forward);
}

function moved(every: Every, byMinutes: number): Every {
  if (every.unit === 'hour') return {...every, minute: (every.minute + byMinutes) % 60};
  const total = (every.hour * 60 + every.minute + byMinutes) % dayMinutes;
  return {...every, hour: Math.floor(total / 60), minute: total % 60};
}
