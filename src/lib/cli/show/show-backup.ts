/** The result of `backup` as lines for people. */
import {contentWords} from '../../catalog/catalogue.js';
import {countOf, formatBytes, formatDuration} from '../../base/format.js';
import {isAddress} from '../../base/place-name.js';
import type {CopiedBackupResult} from '../../services/backup/backup.js';
import {shellCommand} from '../../base/shell-quote.js';
import {printable, type Style} from './style.js';
import type {SeveralView} from './show-several.js';
import {table} from './table.js';

/** Backups of several databases, a row each. */
export const severalBackups: SeveralView<CopiedBackupResult> = {
  head: ['BACKUP', 'TABLES', 'SIZE', 'TOOK', 'NOTE'],
  right: [2, 3, 4],
  cells: (result, style) => [
    result.id ?? 'not written',
    String(result.tables.length),
    formatBytes(result.size),
    formatDuration(result.duration),
    [
      ...(result.mode === 'dry-run' ? ['dry run, size estimated'] : []),
      ...(result.shrink.length > 0 ? [style.red('shrink alarm')] : []),
      ...(result.pruned.length > 0 ? [`${countOf(result.pruned.length, 'backup')} pruned`] : []),
    ].join(', '),
  ],
  done: (result) => (result?.mode === 'dry-run' ? 'would be backed up' : 'backed up'),
};

/**
 * @param repeat the command that makes the backup that was previewed
 * @param verify program, id and the flags that name the same settings, to test it
 */
export function showBackup(
  repeat: string,
  verify: readonly string[],
): (result: CopiedBackupResult, style: Style) => string[] {
  return (result, style) =>
    result.mode === 'dry-run' ? previewLines(result, style, repeat) : doneLines(result, style, verify);
}

function previewLines(result: CopiedBackupResult, style: Style, command: string): string[] {
  return [
    `Would back up ${style.bold(printable(result.database))}: ${countOf(result.tables.length, 'table')}, format ${result.format}, about ${formatBytes(result.size)} (estimate).`,
    'Nothing was written.',
    '',
    ...result.tables.map((table) => `  ${printable(table.table)}`),
    ...result.withoutRows.map(({table}) => `  ${printable(table)}, without rows`),
    '',
    'It would run:',
    ...result.commands.map((line) => `  ${printable(line)}`),
    '',
    `${style.bold('Next:')} ${command}`,
  ];
}

function doneLines(result: CopiedBackupResult, style: Style, verify: readonly string[]): string[] {
  const rows = result.tables.reduce<number | null>(
    (sum, table) => (sum === null || table.rows === null ? null : sum + table.rows),
    0,
  );
  const checked = result.verification
    ? `every row read back (${result.verification.level})`
    : style.bold(isElsewhere(result) ? 'bytes read back, rows not read' : 'not checked');
  const headline = result.shrink.length > 0 ? style.red('Backup, with a shrink alarm:') : 'Backup';
  return [
    `${headline} ${style.bold(result.id ?? '')} written.`,
    ...table(
      [
        ['file', `${printable(result.path ?? '')}${result.encrypted ? ', encrypted' : ''}`],
        ['size', formatBytes(result.size)],
        ...(result.equalTo === null ? [] : [['unchanged', `shares the stored bytes of ${result.equalTo}`]]),
        [
          'content',
          `${countOf(result.tables.length, 'table')}${rows === null ? '' : `, ${countOf(rows, 'row')}`}`,
        ],
        ...(result.outside.length > 0 ? [['not in it', result.outside.join(', ')]] : []),
        ...(result.unreadable.length > 0 ? [['left out', unreadableText(result)]] : []),
        ['checked', checked],
        ['took', formatDuration(result.duration)],
        ...result.copies.map((copy) => [
          'copy',
          `${printable(copy.metadataPath)}${copy.encrypted ? ', encrypted' : ''}`,
        ]),
        ...result.pruned.map((entry) => ['pruned', `${entry.id}: ${entry.reason}`]),
      ],
      style,
      {indent: 2},
    ),
    ...(result.content === 'whole'
      ? []
      : [`It contains ${contentWords[result.content]}: restore --latest and status skip it.`]),
    nextStep(result, verify),
  ];
}

/** Rows without tables, or tables without those that their keys refer to, cannot be restored by themselves. */
function nextStep(result: CopiedBackupResult, verify: readonly string[]): string {
  const command = (level: string): string =>
    printable(shellCommand([...verify, ...placeWords(result), '--level', level, ...result.keyFlags]));
  return result.content === 'whole' || result.content === 'schema'
    ? `Test it with a restore: ${command('restore')}`
    : `Check it by reading every row: ${command('archive')}`;
}

function unreadableText({unreadable}: CopiedBackupResult): string {
  const names = unreadable.map(({table}) => printable(table)).join(', ');
  return `${countOf(unreadable.length, 'table or sequence', 'tables or sequences')} that this role may not read: ${names}`;
}

/** Whether nothing of it is here: it was streamed to a bucket. */
function isElsewhere({metadataPath}: CopiedBackupResult): boolean {
  return metadataPath !== null && isAddress(metadataPath);
}

/** With the location where that is not the backups folder. */
function placeWords(result: CopiedBackupResult): string[] {
  const {id, metadataPath} = result;
  if (!isElsewhere(result) || metadataPath === null) return [id ?? ''];
  return [id ?? '', '--from', metadataPath.slice(0, metadataPath.lastIndexOf('/'))];
}
