/** The result of a restore, or its preview, as lines. */
import {contentWords} from '../../catalog/catalogue.js';
import {countOf, formatAge, formatBytes, formatCount, formatDuration, formatTime} from '../../base/format.js';
import type {RestoreResult} from '../../services/restore/execute.js';
import {strategies} from '../../services/restore/strategy.js';
import {shellCommand} from '../../base/shell-quote.js';
import {printable, type Style} from './style.js';
import {table} from './table.js';

const ways: Readonly<Record<RestoreResult['way'], string>> = {
  create: 'into a new database',
  fill: 'in place, in one transaction',
  clean: 'in place, dropping its objects first, in one transaction, after a safety backup',
  swap: 'into a new database, which then swaps names with it; the old one is set aside',
};

export interface RestoreView {
  readonly now: Date;
  /** The command that does what was previewed, from the backup's id. */
  readonly repeat: (backup: string) => string;
  /** Program, id and the flags that name the same settings. */
  readonly command: (id: string) => readonly string[];
  /** Whether tables that do not differ are listed too. */
  readonly isVerbose: boolean;
}

export function showRestore(view: RestoreView): (result: RestoreResult, style: Style) => string[] {
  return (result, style) =>
    result.mode === 'dry-run' ? previewLines(result, style, view) : doneLines(result, style, view.command);
}

function previewLines(result: RestoreResult, style: Style, {now, repeat, isVerbose}: RestoreView): string[] {
  const created = new Date(result.backupCreatedAt);
  const facts = [
    ['backup', printable(result.backup)],
    ['file', printable(result.backupPath)],
    ['made', `${formatTime(result.backupCreatedAt)} (${formatAge(created, now)})`],
    ['size', formatBytes(result.backupSize)],
    [
      'content',
      `${result.content === null || result.content === 'whole' ? '' : `${contentWords[result.content]}: `}${countOf(result.tables.length, 'table')}, ${countOf(totalRows(result), 'row')}`,
    ],
    ['target', `${printable(result.target)} on ${printable(result.host)}`],
    ['there now', result.present ?? 'no such database; the restore creates it'],
    ['how', ways[result.way]],
  ];
  return [
    style.bold('This would be restored; nothing was changed.'),
    '',
    ...table(facts, style, {indent: 2}),
    '',
    ...lossLines(result, style),
    ...tableLines(result, style, isVerbose),
    ...noteLines(result, style),
    ...(result.commands.length === 0 ? [] : ['It would run:']),
    ...result.commands.map((line) => `  ${printable(line)}`),
    '',
    `${style.bold('Next:')} ${repeat(result.backup)}`,
  ];
}

/** Tables that differ are above; the others are counted. */
function tableLines(result: RestoreResult, style: Style, isVerbose: boolean): string[] {
  const changed = new Set(result.wouldLose.map(({table: name}) => name));
  const same = result.tables.filter(({table: name}) => !changed.has(name));
  if (isVerbose || result.tables.length === 0) {
    const rows = result.tables.map((one) => [printable(one.table), formatCount(one.rows)]);
    return [...table(rows, style, {head: ['TABLE', 'ROWS'], right: [1], indent: 2}), ''];
  }
  const rows = same.reduce((sum, one) => sum + one.rows, 0);
  const word = strategies[result.way].replaces ? ' with the same rows' : '';
  const line = `${countOf(same.length, 'table')}${word} (${countOf(rows, 'row')}); --verbose lists them.`;
  return same.length === 0 ? [] : [line, ''];
}

function noteLines({notes}: RestoreResult, style: Style): string[] {
  return notes.map((note) => `${style.bold('Note:')} ${printable(note)}`);
}

/** The rows and definitions that only the live database has, or only the backup. */
function lossLines(result: RestoreResult, style: Style): string[] {
  if (!strategies[result.way].replaces) return [];
  const {wouldLose, schemaDifferences, migrations} = result;
  const rows = wouldLose.map((one) => [
    printable(one.table),
    formatCount(one.onlyLive),
    formatCount(one.onlyBackup),
    formatCount(one.changed),
    one.newestLive ?? '',
    one.newestBackup ?? '',
  ]);
  const head = ['TABLE', 'LOST', 'COME BACK', 'CHANGED', 'NEWEST LIVE', 'NEWEST IN BACKUP'];
  // A backup of definitions lists only tables with rows.
  const kept =
    result.way === 'clean' && result.tables.length > 0
      ? ' (tables that are not in the backup stay as they are)'
      : '';
  return [
    ...(rows.length === 0
      ? [style.bold('The live database has the same rows as the backup: nothing would be lost.')]
      : [
          style.bold(`The live database differs from the backup${kept}:`),
          ...table(rows, style, {head, right: [1, 2, 3], indent: 2}),
        ]),
    ...wouldLose.flatMap(keyLines),
    ...schemaDifferences.map((line) => `  ${printable(line)}`),
    ...migrations.onlyLive.map((name) => `  migration ${printable(name)}: only live`),
    ...migrations.onlyBackup.map((name) => `  migration ${printable(name)}: only in the backup`),
    '',
  ];
}

function keyLines({table: name, key, keys}: RestoreResult['wouldLose'][number]): string[] {
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
        `  ${word}: ${printable(`${name} (${columnNames}) ${values.map((value) => value ?? 'NULL').join(', ')}`)}`,
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
  return result.tables.reduce((sum, one) => sum + one.rows, 0);
}
