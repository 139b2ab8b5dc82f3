/** The backups as a table, newest first, with what is wrong and what to do next. */
import {countOf, formatAge, formatBytes, formatCount} from '../../base/format.js';
import type {BackupList, ListedBackup} from '../../services/status/list-backups.js';
import {setAsideLines} from './show-set-aside.js';
import {columns, fitColumns, printable, type Style} from './style.js';

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
  const hasPolicy = list.backups.some((backup) => backup.kept !== null);
  const head = ['ID', 'TIME (UTC)', 'AGE', 'DATABASE', 'FORMAT', 'SIZE', 'ROWS', 'PROVEN', 'LABEL'];
  const hasServers = new Set(list.backups.map(({server}) => server)).size > 1;
  const hasParts = list.backups.some(({content}) => content !== 'whole');
  const rows = list.backups.map((backup) => [
    printable(backup.id),
    timeOf(backup.createdAt),
    formatAge(new Date(backup.createdAt), now),
    printable(backup.database),
    backup.encrypted ? `${backup.format} (age)` : backup.format,
    formatBytes(backup.size),
    backup.rows === null ? '-' : formatCount(backup.rows),
    proofText(backup, style),
    labelText(backup),
    ...(hasParts ? [backup.content] : []),
    ...(hasServers ? [printable(backup.server ?? '-')] : []),
    ...(hasPolicy ? [printable(backup.kept ?? '-')] : []),
    ...(list.places.length > 0 ? [printable(whereOf(backup, list))] : []),
  ]);
  const more = [
    ...(hasParts ? ['CONTENT'] : []),
    ...(hasServers ? ['SERVER'] : []),
    ...(hasPolicy ? ['KEPT'] : []),
    ...(list.places.length > 0 ? ['IN'] : []),
  ];
  const table = [[...head, ...more].map((text) => style.bold(text)), ...rows];
  return [
    ...(list.backups.length > 0
      ? fitColumns(table, [5, 6], dispensable, style)
      : emptyLines(list, isFiltered)),
    ...(list.backups.length > 0 ? ['', sumOf(list)] : []),
    ...(isVerbose ? missingLines(list) : []),
    ...orderLines(list, now, style),
    ...problemLines(list, style),
    ...setAsideLines(list.setAside, now),
  ];
}

/** What a narrow terminal goes without, first what the id says too: time, database, format, rows, label. */
const dispensable = [1, 3, 4, 6, 8];

/** "here" is the backups folder; a place that holds a damaged copy is not named. */
function whereOf({places}: ListedBackup, {folder}: BackupList): string {
  return places.map((place) => (place === folder ? 'here' : place)).join(', ') || 'damaged';
}

function emptyLines(list: BackupList, isFiltered: boolean): string[] {
  if (isFiltered)
    return [`No backup in ${printable(list.folder)} fits these flags.`, 'See all: destino-db list'];
  return [`No backups in ${printable(list.folder)}.`, 'Make one: destino-db backup'];
}

function sumOf(list: BackupList): string {
  const bytes = list.backups.reduce((sum, backup) => sum + backup.size, 0);
  return `${countOf(list.backups.length, 'backup')}, ${formatBytes(bytes)}, in ${printable(list.folder)}`;
}

/** "2026-11-22 03:10:05" */
function timeOf(iso: string): string {
  return iso.slice(0, 19).replace('T', ' ');
}

function proofText({verification, notPossible, madeBy, shrunkTables}: ListedBackup, style: Style): string {
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
    timeOf(backup.createdAt),
    formatAge(new Date(backup.createdAt), now),
    formatBytes(backup.size),
  ]);
  const head = ['ORDER BACKUP', 'TIME (UTC)', 'AGE', 'SIZE'].map((text) => style.bold(text));
  return ['', ...columns([head, ...rows], [3])];
}

function problemLines(list: BackupList, style: Style): string[] {
  if (list.problems.length === 0) return [];
  return [
    '',
    `${style.bold('Problems')}: ${countOf(list.problems.length, 'metadata file')} that ${list.problems.length === 1 ? 'tells' : 'tell'} no backup`,
    ...list.problems.map((problem) => `  ${printable(problem.path)}: ${printable(problem.reason)}`),
  ];
}
