/** The words for a step that runs and for one that has ended, the same on terminals and in logs. */
import {formatBytes, formatCount, formatDuration} from '../base/format.js';

export interface Advance {
  readonly done: number;
  readonly total: number | undefined;
  readonly unit: 'bytes' | 'rows' | 'tables';
  readonly perSecond: number | undefined;
  readonly elapsedMs: number;
  readonly timeLeftMs: number | undefined;
}

/** "62 %  1.3 GB  24 MB/s  1 min 3 s, about 40 s left"; without a share when more is done than was expected. */
export function describeAdvance({done, total, unit, perSecond, elapsedMs, timeLeftMs}: Advance): string {
  const amount = (value: number): string =>
    unit === 'bytes' ? formatBytes(value) : `${formatCount(value)} ${unit}`;
  const left = timeLeftMs === undefined ? '' : `, about ${describeElapsed(roundedMs(timeLeftMs))} left`;
  return [
    ...(total !== undefined && total > 0 && done < total ? [`${Math.floor((done / total) * 100)} %`] : []),
    amount(done),
    ...(perSecond !== undefined && perSecond > 0 && unit !== 'tables' ? [`${amount(perSecond)}/s`] : []),
    `${describeElapsed(elapsedMs)}${left}`,
  ].join('  ');
}

/** In whole seconds: it is drawn anew each second. */
export function describeElapsed(ms: number): string {
  return ms < 60_000 ? `${Math.floor(ms / 1000)} s` : formatDuration(ms);
}

/** An estimate says no more than it knows: 5 s, 30 s, minutes. */
function roundedMs(ms: number): number {
  const step = ms < 60_000 ? 5_000 : ms < 600_000 ? 30_000 : 60_000;
  return Math.max(step, Math.round(ms / step) * step);
}

/** "Dump: 3 tables, 891,894 rows, 92.6 MB in 8.2 s" */
export function describeDone(title: string, what: string, ms: number): string {
  return `${title}: ${what} in ${formatDuration(ms)}`;
}
