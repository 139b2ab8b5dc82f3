/** The due times of a plan's jobs. */
import {cronOf, type Every, minutesOfDay, periodOf, runsOn} from './due-time.js';
import {instantAt, wallTimeAt} from './zoned-time.js';

/** The first `count` due times after `after`. */
export function nextRuns(every: Every, zone: string, after: Date, count: number): Date[] {
  const runs: Date[] = [];
  for (const run of dueFrom(every, zone, after)) {
    if (run > after) runs.push(run);
    if (runs.length === count) break;
  }
  return runs;
}

/** The due times in [from, until). */
export function runsBetween(every: Every, zone: string, from: Date, until: Date): Date[] {
  const runs: Date[] = [];
  for (const run of dueFrom(every, zone, from)) {
    if (run >= until) break;
    if (run >= from) runs.push(run);
  }
  return runs;
}

/** Due times in order, starting at or before `from`. */
function* dueFrom(every: Every, zone: string, from: Date): Generator<Date> {
  if (every.unit === 'hour' && periodOf(every) <= 60) {
    const periodMs = periodOf(every) * 60_000;
    // Offsets are whole quarter hours, so the minute is counted in the zone, and hours in absolute time.
    const start = wallTimeAt(from, zone);
    const first = from.getTime() - (from.getTime() % 60_000) + (every.minute - start.minute) * 60_000;
    const before = Math.max(0, Math.ceil((first - from.getTime()) / periodMs));
    for (let step = -before; ; step += 1) yield new Date(first + step * periodMs);
  }
  const start = wallTimeAt(new Date(from.getTime() - 36 * 3_600_000), zone);
  const times = minutesOfDay(every);
  const days = cronOf(every);
  let last = 0;
  for (let step = 0; ; step += 1) {
    const date = {year: start.year, month: start.month, day: start.day + step};
    if (!runsOn(days, new Date(Date.UTC(date.year, date.month - 1, date.day)))) continue;
    for (const time of times) {
      const run = instantAt({...date, hour: Math.floor(time / 60), minute: time % 60}, zone);
      // Times in an hour that clocks skip are an hour later, where other times of the job are.
      if (run.getTime() > last) yield run;
      last = Math.max(last, run.getTime());
    }
  }
}
