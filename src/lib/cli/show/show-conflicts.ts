/** Rows of a backup that cannot be restored, as lines: how many for which reason, and the first of them. */
import {countOf, formatCount} from '../../base/format.js';
import {printable, type Style} from './style.js';
import {table} from './table.js';

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
    ...table(counted, style, {right: [0], indent: 2}),
    `The first ${countOf(shown.length, 'row')}:`,
    ...rowLines(shown, style),
    '',
  ];
}

export function rowLines(rows: readonly Conflict[], style: Style): string[] {
  const cells = rows.map(({table: name, key, reason}) => [
    printable(name),
    printable(key),
    printable(reason),
  ]);
  return table(cells, style, {indent: 2});
}
