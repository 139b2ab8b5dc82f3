/** What a restore did, or would do, as lines. */
import {contentWords} from '../../catalog/catalogue.js';
import {countOf, formatAge, formatBytes, formatCount, formatDuration} from '../../base/format.js';
import type {RestoreResult} from '../../services/restore/execute.js';
import {strategies} from '../../services/restore/strategy.js';
import {shellCommand} from '../../base/shell-quote.js';
import {columns, printable, type Style} from './style.js';

const ways: Readonly<Record<RestoreResult['way'], string>> = {
  create: 'into a new database',
  fill: 'in place, in one transaction',
  clean: 'in place, dropping its objects first, in one transaction, after a safety backup',
  swap: 'beside it, then the two change names; the old one stays aside',
};

/**
 * @param repeat the command that does what was previewed, from the backup's id
 * @param command program, id and the flags that name the same settings
 */
export function showRestore(
  now: Date,
  repeat: (backup: string) => string,
  command: (id: string) => readonly string[],
): (result: RestoreResult, style: Style) => string[] {
  return (result, style) =>
    result.mode === 'dry-run'
      ? previewLines(result, style, now, repeat(result.backup))
      : doneLines(result, style, command);
}

function previewLines(result: RestoreResult, style: Style, now: Date, command: string): string[] {
  const created = new Date(result.backupCreatedAt);
  const facts = [
    ['backup', printable(result.backup)],
    ['file', printable(result.backupPath)],
    ['made', `${result.backupCreatedAt.replace(/\.\d+Z$/, 'Z')} (${formatAge(created, now)})`],
    ['size', formatBytes(result.backupSize)],
    [
      'holds',
      `${result.content === null || result.content === 'whole' ? '' : `${contentWords[result.content]}: `}${countOf(result.tables.length, 'table')}, ${countOf(totalRows(result), 'row')}`,
    ],
    ['target', `${printable(result.target)} on ${printable(result.host)}`],
    ['there now', result.present ?? 'no such database; it would be made'],
    ['how', ways[result.way]],
  ];
  return [
    style.bold('This would be restored; nothing was changed.'),
    '',
    ...columns(facts).map((line) => `  ${line}`),
    '',
    ...tableLines(result, style),
    ...lossLines(result, style),
    ...noteLines(result, style),
    ...(result.commands.length === 0 ? [] : ['It would run:']),
    ...result.commands.map((line) => `  ${printable(line)}`),
    '',
    `${style.bold('Next:')} ${command}`,
  ];
}

function tableLines(result: RestoreResult, style: Style): string[] {
  const rows = result.tables.map((table) => [printable(table.table), formatCount(table.rows)]);
  return [
    ...columns([['TABLE', 'ROWS'].map((text) => style.bold(text)), ...rows], [1]).map((line) => `  ${line}`),
    '',
  ];
}

function noteLines({notes}: RestoreResult, style: Style): string[] {
  return notes.map((note) => `${style.bold('Note:')} ${printable(note)}`);
}

/** What is in the live database and not in the backup, or the other way round. */
function lossLines(result: RestoreResult, style: Style): string[] {
  if (!strategies[result.way].replaces) return [];
  const {wouldLose, schemaDifferences, migrations} = result;
  const rows = wouldLose.map((table) => [
    printable(table.table),
    formatCount(table.onlyLive),
    formatCount(table.onlyBackup),
    formatCount(table.changed),
    table.newestLive ?? '',
    table.newestBackup ?? '',
  ]);
  const head = ['TABLE', 'LOST', 'COME BACK', 'CHANGED', 'NEWEST LIVE', 'NEWEST IN BACKUP'].map((text) =>
    style.bold(text),
  );
  // A backup of definitions alone does not say which tables it has: it lists those with rows.
  const kept =
    result.way === 'clean' && result.tables.length > 0
      ? ' (tables that the backup does not have stay as they are)'
      : '';
  return [
    ...(rows.length === 0
      ? [style.bold('The live database has the same rows as the backup: nothing would be lost.')]
      : [
          style.bold(`The live database differs from the backup${kept}:`),
          ...columns([head, ...rows], [1, 2, 3]).map((line) => `  ${line}`),
        ]),
    ...wouldLose.flatMap(keyLines),
    ...schemaDifferences.map((line) => `  ${printable(line)}`),
    ...migrations.onlyLive.map((name) => `  migration ${printable(name)}: only live`),
    ...migrations.onlyBackup.map((name) => `  migration ${printable(name)}: only in the backup`),
    '',
  ];
}

function keyLines({table, key, keys}: RestoreResult['wouldLose'][number]): string[] {
  if (!keys) return [];
  const kinds = [
    ['lost', keys.onlyLive],
    ['comes back', keys.onlyBackup],
    ['changed', keys.changed],
  ] as const;
  const columnNames = key.length === 0 ? 'row' : key.join(', ');
  return kinds.flatMap(([word, list]) =>
    list.map(
      (values) =>
        `  ${word}: ${printable(`${table} (${columnNames}) ${values.map((value) => value ?? 'NULL').join(', ')}`)}`,
    ),
  );
}

function doneLines(
  result: RestoreResult,
  style: Style,
  command: (id: string) => readonly string[],
): string[] {
  const target = printable(result.target);
  const head = `Restored ${printable(result.backup)} into ${target}: ${countOf(result.tables.length, 'table')}, ${countOf(totalRows(result), 'row')}, ${formatDuration(result.duration)}.`;
  return [
    style.bold(head),
    ...comparisonLines(result, style),
    ...noteLines(result, style),
    ...(result.setAside === null
      ? []
      : [
          `The database as it was before is kept as ${printable(result.setAside)}.`,
          `Take it back:   ${printable(shellCommand([...command('undo'), '--target-db', result.target]))}`,
          `Drop it later:  ${printable(shellCommand([...command('prune'), '--set-aside', '--all-of-them', '--target-db', result.target]))}`,
        ]),
    ...(result.safetyBackup === null
      ? []
      : [`The database as it was before is in the safety backup ${printable(result.safetyBackup)}.`]),
    ...(result.way === 'create'
      ? [`${style.bold('Next:')} to use it, name ${target} in DIRECT_URL and DATABASE_URL.`]
      : []),
  ];
}

/** "Equal" is said only where everything was compared; otherwise what was not is named. */
function comparisonLines({errors, differences, notCompared}: RestoreResult, style: Style): string[] {
  const verdict =
    differences.length > 0
      ? style.red('Compared with the backup: different, because statements were skipped:')
      : notCompared.length > 0
        ? 'Compared with the backup: equal, as far as it could be compared.'
        : 'Compared with the backup: equal.';
  return [
    ...(errors.length === 0
      ? []
      : [
          style.red(
            `${countOf(errors.length, 'statement')} failed and ${errors.length === 1 ? 'was' : 'were'} skipped:`,
          ),
        ]),
    ...errors.map((error) => `  ${printable(error)}`),
    verdict,
    ...differences.map((line) => `  ${printable(line)}`),
    ...notCompared.map((what) => `  not compared: ${printable(what)}`),
  ];
}

function totalRows(result: RestoreResult): number {
  return result.tables.reduce((sum, table) => sum + table.rows, 0);
}
