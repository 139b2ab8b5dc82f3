/** The times of the jobs in a plan, and the choice of times that do not collide. */
import type {CronTime} from './cron-expression.js';

/** The time of a job in the plan's time zone; weekday 0 (Sunday) to 6, day 1 to 28. */
export type Every =
  /** Every `period` minutes (60 by default, a divisor of an hour or a day), `minute` minutes after midnight first. */
  | {readonly unit: 'hour'; readonly minute: number; readonly period?: number}
  | {readonly unit: 'day'; readonly hour: number; readonly minute: number}
  | {readonly unit: 'week'; readonly weekday: number; readonly hour: number; readonly minute: number}
  | {readonly unit: 'month'; readonly day: number; readonly hour: number; readonly minute: number}
  | CronTime;

const dayMinutes = 24 * 60;
const weekMinutes = 7 * dayMinutes;
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
  const spareAt = spareMinutes(every, taken);
  // First on half hours (or quarters, for an hourly job), because such times are easy to remember.
  const later = (by: number): Every[] =>
    Array.from({length: Math.ceil(cycle / by)}, (_, count) => moved(every, count * by));
  const spare = (time: Every): number =>
    Math.min(...minutesOfWeek(time).map((minute) => spareAt[minute] ?? Infinity));
  const candidates = [...later(wanted), ...later(step), ...later(1)];
  const free = candidates.find((time) => spare(time) >= 0);
  return free ?? candidates.reduce((best, time) => (spare(time) > spare(best) ? time : best));
}

/** Whether both jobs ever start in the same minute. */
export function startTogether(a: Every, b: Every): boolean {
  const others = minutesOfDay(b);
  return minutesOfDay(a).some((time) => others.includes(time)) && shareDay(a, b);
}

/** For each minute of a week, how much further than necessary it is from the jobs that `every` could meet. */
function spareMinutes(every: Every, taken: readonly Every[]): Float64Array {
  const spareAt = new Float64Array(weekMinutes).fill(Infinity);
  for (const other of taken) {
    const isSameDay = shareDay(every, other);
    // Jobs on different days of the month never meet; those on Sunday and Monday do, around midnight.
    if (!isSameDay && !(weekdaysOf(every) && weekdaysOf(other))) continue;
    const circle = isSameDay ? dayMinutes : weekMinutes;
    const starts = isSameDay ? minutesOfDay(other) : minutesOfWeek(other);
    const wanted = roomBetween(every, other);
    const near = minutesToNearest(starts, circle);
    spareAt.forEach((least, minute) => {
      spareAt[minute] = Math.min(least, (near[minute % circle] ?? 0) - wanted);
    });
  }
  return spareAt;
}

function roomBetween(a: Every, b: Every): number {
  return [a, b].some((every) => minutesOfDay(every).length >= 24) ? hourlyRoom : room;
}

/** In so many days, every date has been on every weekday. */
const manyDays = 28 * 366;

function shareDay(a: Every, b: Every): boolean {
  const [one, other] = [cronOf(a), cronOf(b)];
  for (let day = 1; day <= manyDays; day += 1) {
    const date = new Date(Date.UTC(2000, 0, day));
    if (runsOn(one, date) && runsOn(other, date)) return true;
  }
  return false;
}

type Hourly = Extract<Every, {unit: 'hour'}>;

/** Minutes between two runs. */
export function periodOf({period = 60}: Hourly): number {
  return period;
}

/** The same times as a cron expression. */
export function cronOf(every: Every): CronTime {
  if (every.unit === 'cron') return every;
  if (every.unit === 'hour') {
    const period = periodOf(every);
    const times = Array.from({length: dayMinutes / period}, (_, index) => every.minute + index * period);
    const distinct = (values: number[]): number[] => [...new Set(values)];
    return {
      unit: 'cron',
      minutes: distinct(times.map((time) => time % 60)),
      hours: distinct(times.map((time) => Math.floor(time / 60))),
    };
  }
  const time = {unit: 'cron', minutes: [every.minute], hours: [every.hour]} as const;
  if (every.unit === 'week') return {...time, weekdays: [every.weekday]};
  return every.unit === 'month' ? {...time, days: [every.day]} : time;
}

/** Minutes after midnight at which it runs on its days, the first first. */
export function minutesOfDay(every: Every): number[] {
  const {hours, minutes} = cronOf(every);
  return hours.flatMap((hour) => minutes.map((minute) => hour * 60 + minute));
}

/** The same in a week that begins on Sunday; only the first day of a job whose days do not depend on the weekday alone. */
function minutesOfWeek(every: Every): number[] {
  const times = minutesOfDay(every);
  return (weekdaysOf(every) ?? [0]).flatMap((day) => times.map((time) => day * dayMinutes + time));
}

/** Whether it runs on the day of `date`, whose UTC fields are read. */
export function runsOn({days, months, weekdays}: CronTime, date: Date): boolean {
  if (months?.includes(date.getUTCMonth() + 1) === false) return false;
  const kinds = [days?.includes(date.getUTCDate()), weekdays?.includes(date.getUTCDay())];
  const restricted = kinds.filter((isDay) => isDay !== undefined);
  return restricted.length === 0 || restricted.includes(true);
}

/** Its weekdays, if nothing else decides its days. */
function weekdaysOf(every: Every): readonly number[] | undefined {
  const {days, months, weekdays} = cronOf(every);
  return days || months ? undefined : weekdays;
}

/** For each minute of a circle, the distance to the nearest of `starts`, in either direction. */
function minutesToNearest(starts: readonly number[], circle: number): Float64Array {
  const near = new Float64Array(circle).fill(Infinity);
  for (const start of starts) near[start] = 0;
  // Twice around in both directions, because the nearest one may be beyond midnight.
  for (const direction of [1, -1]) {
    let distance = Infinity;
    for (let step = 0; step < 2 * circle; step += 1) {
      const minute = (direction * step + 2 * circle) % circle;
      distance = Math.min(distance + 1, near[minute] ?? Infinity);
      near[minute] = distance;
    }
  }
  return near;
}

/** The same job later. Only times that the plan leaves open are moved, and these are one a day. */
function moved(every: Every, byMinutes: number): Every {
  if (every.unit === 'hour') return {...every, minute: (every.minute + byMinutes) % periodOf(every)};
  const [first = 0] = minutesOfDay(every);
  const total = (first + byMinutes) % dayMinutes;
  const [hour, minute] = [Math.floor(total / 60), total % 60];
  return every.unit === 'cron' ? {...every, hours: [hour], minutes: [minute]} : {...every, hour, minute};
}
