/** Converts the times of a plan to the zone of a scheduler that supports only one: cron (the machine's) and GitHub (UTC). */
import {nextRuns} from './next-runs.js';
import {type Every, periodOf} from './due-time.js';
import {offsetMinutes} from './zoned-time.js';

/** The day of the month or of the week of a due time. */
export function dayAndHour(every: Exclude<Every, {unit: 'hour'}>): {day?: number; weekday?: number} {
  if (every.unit === 'week') return {weekday: every.weekday};
  return every.unit === 'month' ? {day: every.day} : {};
}

export interface ShiftedTime {
  readonly every: Every;
  /** Whether it is the same moment all year; false if only one of the zones changes its clocks. */
  readonly isExact: boolean;
}

/** The same time in the zone `to`, with the offsets of the next run. */
export function shiftToZone(every: Every, from: string, to: string, now: Date): ShiftedTime {
  const ahead = (at: Date): number => offsetMinutes(at, to) - offsetMinutes(at, from);
  const minutes = ahead(nextRuns(every, from, now, 1)[0] ?? now);
  const months = Array.from({length: 12}, (_, month) => new Date(now.getTime() + month * 30.5 * 86_400_000));
  const isSteady = months.every((month) => ahead(month) === minutes);
  if (every.unit === 'hour') {
    const period = periodOf(every);
    const isSameMinute = months.every((month) => modulo(ahead(month) - minutes, period) === 0);
    return {every: {...every, minute: modulo(every.minute + minutes, period)}, isExact: isSameMinute};
  }
  const total = every.hour * 60 + every.minute + minutes;
  const time = {hour: Math.floor(modulo(total, 1440) / 60), minute: modulo(total, 60)};
  const days = Math.floor(total / 1440);
  if (every.unit === 'day') return {every: {...every, ...time}, isExact: isSteady};
  if (every.unit === 'week') {
    return {every: {...every, ...time, weekday: modulo(every.weekday + days, 7)}, isExact: isSteady};
  }
  // The day before the 1st has a different number in every month, so the job runs on the 1st, a day late.
  const day = every.day + days;
  const fits = day >= 1 && day <= 28;
  return {every: {...every, ...time, day: fits ? day : every.day}, isExact: isSteady && fits};
}

function modulo(value: number, by: number): number {
  return ((value % by) + by) % by;
}
