/** Converts the times of a plan to the zone of a scheduler that supports only one: cron (the machine's) and GitHub (UTC). */
import {nextRuns} from './next-runs.js';
import type {CronTime} from './cron-expression.js';
import {type Every, periodOf} from './due-time.js';
import {offsetMinutes} from './zoned-time.js';

export interface ShiftedTime {
  /** Several if the days of a cron expression begin within its hours: 9-17 from Monday to Friday is partly the next day elsewhere. */
  readonly times: readonly Every[];
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
    return {times: [{...every, minute: modulo(every.minute + minutes, period)}], isExact: isSameMinute};
  }
  if (every.unit === 'cron') {
    const shifted = shiftCron(every, minutes);
    return {times: shifted.times, isExact: isSteady && shifted.isExact};
  }
  const total = every.hour * 60 + every.minute + minutes;
  const time = {hour: Math.floor(modulo(total, 1440) / 60), minute: modulo(total, 60)};
  const days = Math.floor(total / 1440);
  if (every.unit === 'day') return {times: [{...every, ...time}], isExact: isSteady};
  if (every.unit === 'week') {
    return {times: [{...every, ...time, weekday: modulo(every.weekday + days, 7)}], isExact: isSteady};
  }
  // The day before the 1st has a different number in every month, so the job runs on the 1st, a day late.
  const day = every.day + days;
  const fits = day >= 1 && day <= 28;
  return {times: [{...every, ...time, day: fits ? day : every.day}], isExact: isSteady && fits};
}

/** One expression for each set of its times that are shifted by the same number of hours and days. */
function shiftCron(cron: CronTime, by: number): ShiftedTime {
  const hasDays = cron.days !== undefined || cron.weekdays !== undefined || cron.months !== undefined;
  const parts = groupBy(cron.minutes, (minute) => Math.floor((minute + by) / 60)).flatMap(
    ([hours, minutes]) =>
      groupBy(cron.hours, (hour) => (hasDays ? Math.floor((hour + hours) / 24) : 0)).map(([days, ofDay]) => ({
        days,
        times: {
          minutes: sorted(minutes.map((minute) => modulo(minute + by, 60))),
          hours: sorted(ofDay.map((hour) => modulo(hour + hours, 24))),
        },
      })),
  );
  // Months and days of the month keep their numbers; their last day would have another one in every month.
  const isExact = parts.every(({days}) => days === 0) || !(cron.days || cron.months);
  return {
    isExact,
    times: parts.map(({days, times}) => ({
      ...cron,
      ...times,
      ...(cron.weekdays && isExact
        ? {weekdays: sorted(cron.weekdays.map((weekday) => modulo(weekday + days, 7)))}
        : {}),
    })),
  };
}

function groupBy(
  values: readonly number[],
  keyOf: (value: number) => number,
): (readonly [number, readonly number[]])[] {
  return [...new Set(values.map(keyOf))].map((key) => [key, values.filter((value) => keyOf(value) === key)]);
}

function sorted(values: readonly number[]): number[] {
  return [...values].sort((a, b) => a - b);
}

function modulo(value: number, by: number): number {
  return ((value % by) + by) % by;
}
