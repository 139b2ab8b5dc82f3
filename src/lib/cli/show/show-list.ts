/** The backups as a table, newest first, with what is wrong and what to do next. */
import {countOf, formatAge, formatBytes, formatCount, formatTableTime} from '../../base/format.js';
import type {BackupList, ListedBackup} from '../../services/status/list-backups.js';
import {setAsideLines} from './show-set-aside.js';
import {printable, type Style} from './style.js';
import {table} from './table.js';

export interface ListView {
  /** Whether flags leave some of the backups out. */
  readonly isFiltered?: boolean;
  /** Whether what each backup lacks is shown too. */
  readonly isVerbose?: boolean;
}

export function showList(
  list: BackupList,
  style: Style,
  {isFiltered = false, isVerbose = false}: ListView = {},
): string[] {
  const now = new Date(list.now);
  const hasServers = new Set(list.backups.map(({server}) => server)).size > 1;
  const columns: Column[] = [
    ['ID', ({id}) => printable(id)],
    ['TIME (UTC)', ({createdAt}) => formatTableTime(createdAt)],
    ['DATABASE', ({database, source}) => printable(source ?? database)],
    ['CONTENT', contentText],
    ['SIZE', ({size}) => formatBytes(size)],
    ['ROWS', ({rows}) => (rows === null ? '-' : formatCount(rows))],
    ['CHECK', (backup) => checkText(backup, style)],
    ['LABEL', labelText],
    ...(hasServers ? [['SERVER', ({server}) => printable(server ?? '-')] satisfies Column] : []),
    ...(list.places.length > 0
      ? [['IN', (backup) => printable(whereOf(backup, list))] satisfies Column]
      : []),
    ...(isVerbose
      ? [
          ['AGE', ({createdAt}) => formatAge(new Date(createdAt), now)] satisfies Column,
          ['FORMAT', ({format}) => format] satisfies Column,
          ['KEPT', ({kept}) => printable(kept ?? '-')] satisfies Column,
        ]
      : []),
  ];
  const rows = list.backups.map((backup) => columns.map(([, cell]) => cell(backup)));
  return [
    ...(list.backups.length > 0
      ? table(rows, style, {head: columns.map(([title]) => title), right: [4, 5]})
      : emptyLines(list, isFiltered)),
    ...(list.backups.length > 0 ? ['', sumOf(list, now)] : []),
    ...(isVerbose ? missingLines(list) : []),
    ...orderLines(list, now, style),
    ...problemLines(list, style),
    ...setAsideLines(list.setAside, now),
  ];
}

/** A heading and the cell of a backup below it. */
type Column = readonly [string, (backup: ListedBackup) => string];

/** "here" is the backups folder; a location with a damaged copy is not named. */
function whereOf({places}: ListedBackup, {folder}: BackupList): string {
  return places.map((place) => (place === folder ? 'here' : place)).join(', ') || 'damaged';
}

function emptyLines(list: BackupList, isFiltered: boolean): string[] {
  if (isFiltered)
    return [`No backup in ${printable(list.folder)} fits these flags.`, 'See all: destino-db list'];
  return [`No backups in ${printable(list.folder)}.`, 'Make one: destino-db backup'];
}

function sumOf({backups, folder}: BackupList, now: Date): string {
  const bytes = backups.reduce((sum, backup) => sum + backup.size, 0);
  const newest =
    backups
      .map(({createdAt}) => createdAt)
      .toSorted()
      .at(-1) ?? '';
  return `${countOf(backups.length, 'backup')}, ${formatBytes(bytes)}, in ${printable(folder)}; the newest: ${formatAge(new Date(newest), now)}`;
}

function checkText({verification, notPossible, madeBy, shrunkTables}: ListedBackup, style: Style): string {
  const shrunk = shrunkTables.length > 0 ? ` ${style.bold('shrunk')}` : '';
  const untested = notPossible ? ` (${notPossible.level} not possible)` : '';
  if (!verification) return (madeBy === 'old scripts' ? 'no (old scripts)' : 'no') + untested + shrunk;
  const {level, at, ok} = verification;
  return (ok ? `${level} ${at.slice(0, 10)}` : style.red(`DAMAGED (${level})`)) + untested + shrunk;
}

function labelText({label, keep}: ListedBackup): string {
  const text = label === null ? '-' : printable(label);
  return keep ? `${label === null ? '' : `${text} `}(keep)` : text;
}

function missingLines({backups}: BackupList): string[] {
  return backups.flatMap(({id, missing}) =>
    missing.length > 0 ? [`${printable(id)} does not contain: ${missing.map(printable).join(', ')}`] : [],
  );
}

function orderLines(list: BackupList, now: Date, style: Style): string[] {
  if (list.orderBackups.length === 0) return [];
  const rows = list.orderBackups.map((backup) => [
    printable(backup.id) + (backup.encrypted ? ' (age)' : ''),
    formatTableTime(backup.createdAt),
    formatAge(new Date(backup.createdAt), now),
    formatBytes(backup.size),
  ]);
  return ['', ...table(rows, style, {head: ['ORDER BACKUP', 'TIME (UTC)', 'AGE', 'SIZE'], right: [3]})];
}

function problemLines(list: BackupList, style: Style): string[] {
  if (list.problems.length === 0) return [];
  return [
    '',
    `${style.bold('Problems')}: ${countOf(list.problems.length, 'metadata file')} cannot be read as a backup`,
    ...list.problems.map((problem) => `  ${printable(problem.path)}: ${printable(problem.reason)}`),
  ];
}

function contentText({content, encrypted, masked}: ListedBackup): string {
  return `${content}${masked ? ', masked' : ''}${encrypted ? ' (age)' : ''}`;
}
