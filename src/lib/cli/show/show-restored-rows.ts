/** The result of `restore:rows`, or its preview, as lines. */
import {countOf, formatBytes, formatCount, formatDuration, formatTime} from '../../base/format.js';
import type {RowTablePlan} from '../../services/rows/plan.js';
import type {RestoreRowsResult} from '../../services/rows/restore-rows.js';
import type {UndoRowsResult} from '../../services/rows/undo-rows.js';
import {conflictLines, rowLines, shownConflicts} from './show-conflicts.js';
import {printable, type Style} from './style.js';
import {table} from './table.js';

const shownValues = 3;
/** Characters of a value. */
const shownLength = 30;

type Repeat = (...added: string[]) => string;

/** @param repeat the command again, with words at its end */
export function showRestoredRows(repeat: Repeat): (result: RestoreRowsResult, style: Style) => string[] {
  return (result, style) => [
    ...headline(result, style),
    ...tableLines(result.tables, style),
    ...result.tables.flatMap((table) => detailLines(table, style)),
    ...conflictLines(result, style),
    ...triggerLines(result.triggers, style),
    ...noteLines(result, style),
    ...nextLines(result, style, repeat),
  ];
}

function totals({tables}: RestoreRowsResult) {
  const sum = (pick: (table: RowTablePlan) => number): number =>
    tables.reduce((total, table) => total + pick(table), 0);
  return {insert: sum(({insert}) => insert), update: sum(({update}) => update)};
}

function headline(result: RestoreRowsResult, style: Style): string[] {
  const {insert, update} = totals(result);
  const name = printable(result.database);
  const from = `  from ${printable(result.backup.id)}, taken ${formatTime(result.backup.createdAt)}`;
  if (insert + update === 0) return [style.bold(`There is nothing to restore into ${name}.`), from, ''];
  const what = [
    ...(insert > 0 ? [`${countOf(insert, 'row')} inserted`] : []),
    ...(update > 0 ? [`${countOf(update, 'row')} updated`] : []),
  ].join(' and ');
  return result.mode === 'preview'
    ? [
        style.bold(`Preview: ${what.replace(' inserted', ' would be inserted').replace(' updated', ' would be updated')} in ${name}.`),
        from,
        `  compared in temporary tables of at most ${formatBytes(result.stagedBytes)} on the server`,
        '',
      ] // prettier-ignore
    : [
        style.bold(`${what} in ${name}, and compared with the backup (${formatDuration(result.duration)}).`),
        from,
        '',
      ];
}

function tableLines(tables: readonly RowTablePlan[], style: Style): string[] {
  if (tables.length === 0) return [];
  const head = ['TABLE', 'INSERT', 'UPDATE', 'SKIP', 'EQUAL', ''];
  const rows = tables.map(({table, role, insert, update, conflicts, compared}) => [
    printable(table),
    formatCount(insert),
    formatCount(update),
    formatCount(conflicts),
    compared ? formatCount(compared.equal) : '',
    role === 'chosen' ? '' : role,
  ]);
  return [...table(rows, style, {head, right: [1, 2, 3, 4]}), ''];
}

function detailLines({table, samples, newer, keys}: RowTablePlan, style: Style): string[] {
  const lines: string[] = [];
  for (const {key, action, values} of samples) {
    const shown = values.map(({column, old, new: value}) =>
      action === 'insert'
        ? `${column}=${shownValue(value)}`
        : `${column} ${shownValue(old)} -> ${shownValue(value)}`,
    );
    lines.push(printable(`  ${action} ${key}: ${shown.slice(0, shownValues).join(', ')}${shown.length > shownValues ? ', ...' : ''}`));
  } // prettier-ignore
  if (newer.rows > 0)
    lines.push(
      `  ${countOf(newer.rows, 'row')} to update changed after the backup, the last at ${printable(newer.newest ?? '')}.`,
    );
  if (keys) {
    if (keys.insert.length > 0) lines.push(printable(`  insert: ${keys.insert.join(' ')}`));
    if (keys.update.length > 0) lines.push(printable(`  update: ${keys.update.join(' ')}`));
  }
  return lines.length === 0 ? [] : [style.bold(printable(table)), ...lines, ''];
}

function shownValue(value: string | null): string {
  if (value === null) return 'null';
  return JSON.stringify(value.length > shownLength ? `${value.slice(0, shownLength - 3)}...` : value);
}

function triggerLines({off, fire}: RestoreRowsResult['triggers'], style: Style): string[] {
  const lines = [
    ...(off.length > 0 ? [`${style.bold('Triggers off meanwhile:')} ${printable(off.join(', '))}`] : []),
    ...(fire.length > 0 ? [`${style.bold('Triggers that fire:')} ${printable(fire.join(', '))}`] : []),
  ];
  return lines.length === 0 ? [] : [...lines, ''];
}

function noteLines({notes, sequences}: RestoreRowsResult, style: Style): string[] {
  const lines = [
    ...notes,
    ...(sequences.length > 0 ? [`Sequences brought forward: ${sequences.join(', ')}.`] : []),
  ];
  return lines.length === 0 ? [] : [...lines.map((line) => `${style.bold('Note:')} ${printable(line)}`), ''];
}

function nextLines(result: RestoreRowsResult, style: Style, repeat: Repeat): string[] {
  if (result.mode === 'execute')
    return result.undoPath === null
      ? []
      : [`Undo file: ${printable(result.undoPath)}`, `To take it back: ${printable(result.undo ?? '')}`];
  const {insert, update} = totals(result);
  return insert + update === 0
    ? []
    : [`${style.bold('Next:')} ${repeat('--execute', '--plan', result.plan)}`];
}

/** @param repeat the command again, with words at its end */
export function showUndoneRows(repeat: Repeat): (result: UndoRowsResult, style: Style) => string[] {
  return (result, style) => {
    const {mode, database, tables, changedSince} = result;
    const rows = tables.reduce((sum, {inserted, updated}) => sum + inserted + updated, 0);
    const head = ['TABLE', 'DELETE', 'OLD VALUES', 'CHANGED SINCE'];
    const lines = tables.map(({table, inserted, updated, kept}) => [
      printable(table),
      ...[inserted, updated, kept].map(formatCount),
    ]);
    return [
      mode === 'execute'
        ? style.bold(
            `${countOf(rows, 'row')} in ${printable(database)} are as they were before (${formatDuration(result.duration)}).`,
          )
        : style.bold(
            `Preview: ${countOf(rows, 'row')} in ${printable(database)} would be as they were before.`,
          ),
      `  by ${printable(result.undoPath)}, written ${formatTime(result.writtenAt)}`,
      '',
      ...table(lines, style, {head, right: [1, 2, 3]}),
      '',
      ...(changedSince.length === 0
        ? []
        : [
            style.bold(`${countOf(changedSince.length, 'row')} changed since, so nothing can be taken back:`),
            ...rowLines(changedSince.slice(0, shownConflicts), style),
            '',
          ]),
      ...triggerLines(result.triggers, style),
      ...(mode === 'preview' && changedSince.length === 0
        ? [`${style.bold('Next:')} ${repeat('--execute')}`]
        : []),
    ];
  };
}
