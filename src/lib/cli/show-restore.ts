/** What a restore did, or would do, as lines. */
import {countOf, formatAge, formatBytes, formatCount, formatDuration} from '../format.js';
import type {RestoreResult} from '../services/restore-database.js';
import {columns, printable, type Style} from './style.js';

const ways: Readonly<Record<RestoreResult['way'], string>> = {
  create: 'into a new database',
  fill: 'in place, in one transaction',
  clean: 'in place, dropping its objects first, in one transaction, after a safety backup',
  swap: 'beside it, then the two change names; the old one stays aside',
};

export function showRestore(now: Date): (result: RestoreResult, style: Style) => string[] {
  return (result, style) =>
    result.mode === 'dry-run' ? previewLines(result, style, now) : doneLines(result, style);
}

function previewLines(result: RestoreResult, style: Style, now: Date): string[] {
  const created = new Date(result.backupCreatedAt);
  const facts = [
    ['backup', printable(result.backup)],
    ['file', printable(result.backupPath)],
    ['made', `${result.backupCreatedAt.replace(/\.\d+Z$/, 'Z')} (${formatAge(created, now)})`],
    ['size', formatBytes(result.backupSize)],
    ['holds', `${countOf(result.tables.length, 'table')}, ${countOf(totalRows(result), 'row')}`],
    ['target', `${printable(result.target)} on ${printable(result.host)}`],
    ['there now', result.present ?? 'no such database; it would be made'],
    ['how', ways[result.way]],
  ];
  return [
    style.bold('This would be restored; nothing was changed.'),
    '',
    ...columns(facts).map((line) => `  ${line}`),
    '',
    ...tableLines(result),
    ...result.notes.map((note) => `  ${printable(note)}`),
    'Commands:',
    ...result.commands.map((command) => `  ${printable(command)}`),
  ];
}

function tableLines(result: RestoreResult): string[] {
  const rows = result.tables.map((table) => [printable(table.table), formatCount(table.rows)]);
  return [...columns([['TABLE', 'ROWS'], ...rows], [1]).map((line) => `  ${line}`), ''];
}

function doneLines(result: RestoreResult, style: Style): string[] {
  const target = printable(result.target);
  const head = `Restored ${printable(result.backup)} into ${target}: ${countOf(result.tables.length, 'table')}, ${countOf(totalRows(result), 'row')}, ${formatDuration(result.duration)}. Compared with the backup: equal.`;
  return [
    result.errors.length === 0 ? style.green(head) : style.yellow(head),
    ...result.notes.map((note) => `  note: ${printable(note)}`),
    ...result.errors.map((error) => style.red(`  skipped error: ${printable(error)}`)),
    ...(result.setAside === null
      ? []
      : [
          `The database as it was before is kept as ${printable(result.setAside)}.`,
          `Take it back:      destino-db undo --target-db '${target}'`,
          'Drop it later:     destino-db prune --set-aside',
        ]),
    ...(result.safetyBackup === null
      ? []
      : [`The database as it was before is in the safety backup ${printable(result.safetyBackup)}.`]),
  ];
}

function totalRows(result: RestoreResult): number {
  return result.tables.reduce((sum, table) => sum + table.rows, 0);
}
