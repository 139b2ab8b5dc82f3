/** The state of the backups: for people a table and findings, for monitors one line by the Nagios plugin rules. */
import {formatBytes, formatCount, formatDuration} from '../../base/format.js';
import type {StatusResult} from '../../services/status/check-status.js';
import type {DatabaseStatus} from '../../services/status/assess.js';
import {setAsideLines} from './show-set-aside.js';
import {printable, type Style} from './style.js';
import {table} from './table.js';

export function showStatus(result: StatusResult, style: Style): string[] {
  const {databases, findings, storage, checkedAt} = result;
  const rows = databases.map((database) => [
    `${printable(database.label)}${database.newest?.masked === true ? ' (masked)' : ''}`,
    database.newest ? `${formatDuration(Math.max(0, database.newest.age))} ago` : 'none',
    database.newest?.proof ?? '-',
    database.newest ? formatBytes(database.newest.size) : '-',
    database.newest?.rows == null ? '-' : formatCount(database.newest.rows),
    describeTest(database, checkedAt),
    formatBytes(database.storage),
  ]);
  const head = ['DATABASE', 'NEWEST USABLE', 'CHECK', 'SIZE', 'ROWS', 'RESTORE TEST', 'STORAGE'];
  const free = storage.free === null ? '' : `, ${formatBytes(storage.free)} free`;
  return [
    ...result.forgotten.map((name) => `${printable(name)} is not watched any more; its next backup is.`),
    ...(rows.length === 0 ? [] : [...table(rows, style, {head, right: [3, 4, 6]}), '']),
    ...findingLines(findings, style),
    ...(findings.length === 0
      ? [`${style.green('OK')} ${printable(result.folder)}: ${formatBytes(storage.used)} used${free}.`]
      : []),
    ...setAsideLines(result.setAside, new Date(checkedAt)),
  ];
}

/** A line for each finding, which begins with how bad it is. */
export function findingLines(findings: StatusResult['findings'], style: Style): string[] {
  return findings.map(({severity, message}) => {
    const label = severity === 'critical' ? style.red('CRITICAL') : style.bold('WARNING ');
    return `${label} ${printable(message)}`;
  });
}

function describeTest({lastRestoreTest, restoreTestNotPossible}: DatabaseStatus, checkedAt: string): string {
  if (!lastRestoreTest) return restoreTestNotPossible ? 'not possible' : 'never';
  const age = formatDuration(
    Math.max(0, new Date(checkedAt).getTime() - new Date(lastRestoreTest.at).getTime()),
  );
  return `${lastRestoreTest.ok ? 'passed' : 'FAILED'} ${age} ago`;
}

/**
 * One line: state, text, and performance data after "|" (Monitoring Plugins Development Guidelines, "Plugin output").
 * "|" divides the two and a quote ends a label, so neither may come out of a name or a message.
 */
export function showNagios(result: StatusResult): string[] {
  const {databases, findings, storage, limits} = result;
  const state = (['OK', 'WARNING', 'CRITICAL'] as const)[nagiosStatus(result)] ?? 'UNKNOWN';
  const good = databases.map(
    ({label, newest}) => `${label} ${newest ? `${formatDuration(Math.max(0, newest.age))} old` : 'none'}`,
  );
  const text =
    findings.length > 0
      ? findings.map(({message}) => message)
      : [`newest usable backups: ${good.join(', ')}`];
  const limit = Math.round(limits.maxAge / 1000);
  const data = databases.flatMap(({label, newest, failuresSince, storage: bytes}) => [
    ...(newest
      ? [
          `${quoteLabel(`${label} age`)}=${Math.round(newest.age / 1000)}s;;${limit}`,
          `${quoteLabel(`${label} size`)}=${newest.size}B`,
        ]
      : []),
    `${quoteLabel(`${label} failures`)}=${failuresSince}`,
    `${quoteLabel(`${label} storage`)}=${bytes}B`,
  ]);
  if (storage.free !== null) data.push(`free=${storage.free}B`);
  return [`DESTINO ${state} - ${oneLine(text.join(' '))} | ${data.join(' ')}`];
}

/** 0 OK, 1 WARNING, 2 CRITICAL (Monitoring Plugins Development Guidelines, "Plugin return codes"). */
export function nagiosStatus({findings}: Pick<StatusResult, 'findings'>): number {
  if (findings.some(({severity}) => severity === 'critical')) return 2;
  return findings.length > 0 ? 1 : 0;
}

/** The line for a check that could not be made, with exit status 3. */
export function nagiosUnknown(message: string): string {
  return `DESTINO UNKNOWN - ${oneLine(message)}`;
}

function oneLine(text: string): string {
  return printable(text.replace(/\s+/g, ' ').replaceAll('|', '/'));
}

function quoteLabel(text: string): string {
  return `'${oneLine(text).replace(/['=]/g, '_')}'`;
}
