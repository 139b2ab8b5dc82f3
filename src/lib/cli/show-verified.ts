/** The outcome of `verify` as lines. */
import {countOf, formatDuration} from '../format.js';
import type {VerifiedBackup, VerifyResult} from '../services/verify-backup.js';
import {shellCommand} from '../shell-quote.js';
import {printable, type Style} from './style.js';

const proven = {
  checksum: 'every byte is as written',
  archive: 'read to its end, rows and fingerprints as recorded',
  restore: 'restored and found equal',
} as const;

/**
 * One line per backup, what is wrong below it, and what to do next.
 * @param from the flags that say where the backups are, the settings' among them, and their keys
 */
export function showVerified(from: VerifiedFrom): (result: VerifyResult, style: Style) => string[] {
  return ({results}, style) => linesOf(results, from, style);
}

export interface VerifiedFrom {
  readonly place: readonly string[];
  readonly keys: readonly string[];
}

function linesOf(results: readonly VerifiedBackup[], from: VerifiedFrom, style: Style): string[] {
  const failed = results.filter((result) => !result.ok);
  return [
    ...results.flatMap((result) => describe(result, style)),
    ...(results.length > 1
      ? ['', `${results.length - failed.length} of ${countOf(results.length, 'backup')} proven.`]
      : []),
    ...next(results, failed, from, style),
  ];
}

function describe(result: VerifiedBackup, style: Style): string[] {
  const took = formatDuration(result.duration);
  const rows = result.rows === null ? '' : `, ${countOf(result.rows, 'row')}`;
  const restored =
    result.restoreDuration === null ? '' : ` (restore ${formatDuration(result.restoreDuration)})`;
  const head = result.ok
    ? `${style.green('ok')}    ${result.id}: ${proven[result.level]}${rows}, in ${took}${restored}`
    : `${style.red('FAIL')}  ${result.id}: not proven by ${result.level}, after ${took}`;
  return [
    head,
    ...result.findings.map((finding) => `      ${printable(finding)}`),
    ...result.notes.map((note) => `      ${style.bold('Note:')} ${printable(note)}`),
  ];
}

function next(
  results: readonly VerifiedBackup[],
  failed: readonly VerifiedBackup[],
  {place, keys}: VerifiedFrom,
  style: Style,
): string[] {
  if (failed.length > 0)
    return [
      '',
      `${style.bold('Next:')} ${printable(shellCommand(['destino-db', 'list', ...place]))}   (which backup is the newest good one?), then destino-db backup`,
    ];
  const [only] = results;
  if (results.length !== 1 || !only || only.level === 'restore') return [];
  const words = ['verify', ...place, '--backup-file', only.id, '--level', 'restore', ...keys];
  return [
    '',
    `${style.bold('Next:')} ${printable(shellCommand(['destino-db', ...words]))}   (proves that it restores)`,
  ];
}
