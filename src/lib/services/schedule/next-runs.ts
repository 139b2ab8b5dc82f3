/** The due times of a plan's jobs. */
import {type Every, minutesOfDay, periodOf} from './due-time.js';
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
  for (let step = 0; ; step += 1) {
    if (every.unit === 'hour') {
      const date = {year: start.year, month: start.month, day: start.day + step};
      for (const minutes of minutesOfDay(every))
        yield instantAt({...date, hour: Math.floor(minutes / 60), minute: minutes % 60}, zone);
      continue;
    }
    const {hour, minute} = every;
    if (every.unit === 'month') {
      yield instantAt({year: start.year, month: start.month + step, day: every.day, hour, minute}, zone);
      continue;
    }
    const date = {year: start.year, month: start.month, day: start.day + step};
    const weekday = new Date(Date.UTC(date.year, date.month - 1, date.day)).getUTCDay();
    if (every.unit === 'week' && weekday !== every.weekday) continue;
    yield instantAt({...date, hour, minute}, zone);
  }
}
