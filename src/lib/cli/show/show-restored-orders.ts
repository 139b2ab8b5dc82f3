/** The result of `orders:restore`, or its preview, as lines. */
import {countOf, formatCount, formatDuration, formatTime} from '../../base/format.js';
import type {RestoreOrdersResult} from '../../services/orders/restore/execute.js';
import {conflictLines} from './show-conflicts.js';
import {printable, type Style} from './style.js';
import {table} from './table.js';

/** @param repeat the command that executes what the preview shows, from the order backup's path */
export function showRestoredOrders(
  repeat: (path: string) => string,
): (result: RestoreOrdersResult, style: Style) => string[] {
  return (result, style) => [
    ...headline(result, style),
    ...tableLines(result, style),
    ...conflictLines(result, style),
    ...noteLines(result, style),
    ...nextLines(result, style, repeat(result.backupPath)),
  ];
}

function totals({tables}: RestoreOrdersResult) {
  const counts = Object.values(tables);
  const sum = (pick: (count: (typeof counts)[number]) => number): number =>
    counts.reduce((total, count) => total + pick(count), 0);
  return {restored: sum((c) => c.restored), relinked: sum((c) => c.relinked), skipped: sum((c) => c.skipped)};
}

function headline(result: RestoreOrdersResult, style: Style): string[] {
  const {restored, relinked} = totals(result);
  const orders = Object.values(result.orders).reduce((sum, count) => sum + count, 0);
  const what = `${countOf(orders, 'order')} with ${countOf(restored, 'row')} in all${relinked > 0 ? ` and ${countOf(relinked, 'link')}` : ''}`;
  const from = `  from ${printable(result.backupPath)}, written ${formatTime(result.backupTimestamp)}`;
  if (restored + relinked === 0) {
    return [style.bold(`There is nothing to restore into ${printable(result.database)}.`), from, ''];
  }
  return result.mode === 'preview'
    ? [style.bold(`Preview: ${what} would be restored into ${printable(result.database)}.`), from, '']
    : [
        style.bold(
          `${what} were restored into ${printable(result.database)} and compared with the file (${formatDuration(result.duration)}).`,
        ),
        from,
        '',
      ];
}

function tableLines({mode, tables}: RestoreOrdersResult, style: Style): string[] {
  const rows = Object.entries(tables).map(([table, {restored, relinked, skipped}]) => [
    printable(table),
    ...[restored, relinked, skipped].map(formatCount),
  ]);
  if (rows.length === 0) return [];
  const head = [
    'TABLE',
    mode === 'preview' ? 'TO RESTORE' : 'RESTORED',
    mode === 'preview' ? 'TO RELINK' : 'RELINKED',
    'SKIPPED',
  ];
  return [...table(rows, style, {head, right: [1, 2, 3]}), ''];
}

function noteLines({notes, sequences}: RestoreOrdersResult, style: Style): string[] {
  const lines = [
    ...notes,
    ...(sequences.length > 0 ? [`Sequences brought forward: ${sequences.join(', ')}.`] : []),
  ];
  return lines.length === 0 ? [] : [...lines.map((line) => `${style.bold('Note:')} ${printable(line)}`), ''];
}

function nextLines(result: RestoreOrdersResult, style: Style, command: string): string[] {
  const {restored, relinked} = totals(result);
  if (result.mode === 'execute' || restored + relinked === 0) return [];
  return [`${style.bold('Next:')} ${command}`];
}
