/** All about one backup: what is in it, what is not, its checks, its copies, and how to restore it. */
import {countOf, formatAge, formatBytes, formatCount, formatDuration, formatTime} from '../../base/format.js';
import {contentWords} from '../../catalog/catalogue.js';
import {describeChecks} from '../../run/data-checks.js';
import type {ShowResult} from '../../services/by-id/show-backup.js';
import {printable, type Style} from './style.js';
import {table} from './table.js';

/** @param isVerbose whether empty tables are listed */
export function showOneBackup(isVerbose: boolean): (result: ShowResult, style: Style) => string[] {
  return (result, style) => [
    `${style.bold(printable(result.id))}${result.ok ? '' : `  ${style.red('DAMAGED')}`}`,
    ...headLines(result, style),
    '',
    ...tableLines(result, style, isVerbose),
    ...section('Not in it', style, notInItLines(result, style)),
    ...section('Checks', style, checkLines(result, style)),
    ...section('Where it is', style, placeLines(result, style)),
    ...section('To restore it', style, commandLines(result)),
  ];
}

/** Empty tables that are listed; of more, the number. */
const shownEmpty = 5;

function section(title: string, style: Style, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : ['', style.bold(title), ...lines];
}

function headLines(result: ShowResult, style: Style): string[] {
  const {encrypted, recipients, label, keep} = result;
  const locked = encrypted ? `, encrypted (age, ${recipients.length > 0 ? 'key' : 'passphrase'})` : '';
  const facts = [
    [
      'taken',
      `${formatTime(result.createdAt)}, ${formatAge(new Date(result.createdAt), new Date(result.now))}`,
    ],
    ['database', printable(`${result.database}${result.server === null ? '' : ` at ${result.server}`}`)],
    ['file', printable(result.path)],
    ['format', `${result.format}, ${formatBytes(result.size)}${locked}`],
    ['contains', `${contentWords[result.content]}${result.masked ? ', of a masked copy' : ''}`],
    ['label', `${label === null ? '-' : printable(label)}${keep ? ' (kept by label --keep)' : ''}`],
    [
      'made by',
      result.madeBy === 'old scripts'
        ? 'the old scripts'
        : `destino-db ${result.toolVersion ?? ''} of PostgreSQL ${result.postgresVersion ?? ''}${result.duration === null ? '' : `, in ${formatDuration(result.duration)}`}`,
    ],
  ];
  return table(facts, style, {indent: 2});
}

function tableLines({tables, rows}: ShowResult, style: Style, isVerbose: boolean): string[] {
  const empty = tables.filter((one) => one.rows === 0);
  // A table or two are not worth a hint; partitions come by the dozen.
  const isFolded = !isVerbose && empty.length > shownEmpty && empty.length < tables.length;
  const listed = isFolded ? tables.filter((one) => one.rows !== 0) : tables;
  if (tables.length === 0) return ['The metadata do not list its tables.'];
  const count = (number: number | null): string => (number === null ? '-' : formatCount(number));
  const size = (bytes: number | null): string => (bytes === null ? '-' : formatBytes(bytes));
  return [
    ...table(
      listed.map((one) => [printable(one.table), count(one.rows), size(one.size)]),
      style,
      {head: ['TABLE', 'ROWS', 'ON THE SERVER'], right: [1, 2]},
    ),
    ...(isFolded ? [`${countOf(empty.length, 'empty table')}; --verbose lists them.`] : []),
    '',
    `${countOf(tables.length, 'table')}${rows === null ? '' : `, ${countOf(rows, 'row')}`}`,
  ];
}

function notInItLines({notInIt, shrunkTables}: ShowResult, style: Style): string[] {
  return [
    ...table(
      notInIt.map(({what, reason}) => [printable(what), printable(reason ?? '')]),
      style,
      {indent: 2},
    ),
    ...shrunkTables.map(
      ({table: name, rowsBefore, rowsNow}) =>
        `  ${printable(name)} shrank from ${countOf(rowsBefore, 'row')} to ${formatCount(rowsNow)}`,
    ),
  ];
}

function checkLines({checks}: ShowResult, style: Style): string[] {
  if (checks.length === 0) return ['  No check was made.'];
  const words = {
    passed: style.green('passed'),
    failed: style.red('FAILED'),
    'not-possible': style.bold('not possible'),
  };
  const rows = checks.map((check) => [
    formatTime(check.at),
    check.level,
    words[check.outcome],
    formatDuration(check.duration),
    printable(
      [...check.findings, ...describeChecks(check.checks), ...(check.hint === null ? [] : [check.hint])].join(
        ' ',
      ),
    ),
  ]);
  return table(rows, style, {right: [3], indent: 2});
}

function placeLines({places}: ShowResult, style: Style): string[] {
  return table(
    places.map(({place, state, error}) => [
      printable(place),
      state === 'missing' ? 'not there' : state,
      error === null ? '' : printable(`${error.code}: ${error.message}`),
    ]),
    style,
    {indent: 2},
  );
}

/** The purpose above its command, which can be pasted whole. */
function commandLines({commands}: ShowResult): string[] {
  return commands.flatMap(({purpose, command}) => [`  # ${purpose}`, `  ${printable(command)}`]);
}
