/** Rows of a backup that cannot be put back, as lines: how many for which reason, and the first of them. */
import {countOf, formatCount} from '../../base/format.js';
import {columns, printable, type Style} from './style.js';

interface Conflict {
  readonly table: string;
  readonly key: string;
  readonly reason: string;
}

interface Conflicts {
  readonly conflicts: readonly Conflict[];
  /** Of all, listed or not. */
  readonly conflictCount: number;
  readonly reasons: readonly {readonly table: string; readonly reason: string; readonly rows: number}[];
}

export const shownConflicts = 10;

export function conflictLines({conflicts, conflictCount, reasons}: Conflicts, style: Style): string[] {
  if (conflictCount === 0) return [];
  const counted = reasons.map(({table, reason, rows}) => [
    formatCount(rows),
    printable(table),
    printable(reason),
  ]);
  const shown = conflicts.slice(0, shownConflicts);
  return [
    style.bold(`${countOf(conflictCount, 'row')} skipped:`),
    ...columns(counted, [0]).map((line) => `  ${line}`),
    `The first ${countOf(shown.length, 'row')}:`,
    ...rowLines(shown),
    '',
  ];
}

export function rowLines(rows: readonly Conflict[]): string[] {
  return columns(
    rows.map(({table, key, reason}) => [printable(table), printable(key), printable(reason)]),
  ).map((line) => `  ${line}`);
}
