/** The content of a notification about a run or about stale backups, without secrets. */
import {countOf, formatBytes, formatDuration} from '../../base/format.js';
import {redact, redactValues} from '../../base/redact.js';
import type {NoticeEvent} from '../../settings/notifications-config.js';
import {isIncident, type RunRecord} from '../../run/run-record.js';
import {describeChecks} from '../../run/data-checks.js';
import type {Status} from './assess.js';

export interface Notice {
  /** "test" is sent by notifications --test alone. */
  readonly event: NoticeEvent | 'test';
  /** One sentence. */
  readonly summary: string;
  /** Names as in the audit log; "" for an unknown fact. */
  readonly facts: Readonly<Record<string, string>>;
  /** The last lines of the run's log. */
  readonly log: readonly string[];
}

/** A notice for the start of a run, about which little is known yet. */
export function startNotice(
  run: Pick<RunRecord, 'runId' | 'command' | 'startedAt' | 'host' | 'user' | 'database'>,
): Notice {
  return noticeOf('start', `${subjectOf(run)} began.`, {...describeRun(run), command: run.command}, []);
}

/**
 * One record about a run over several databases, for its notification: sums, the alarms of all, and the worst outcome.
 * @param run the record of the whole run
 */
export function joinRuns(run: RunRecord, parts: readonly RunRecord[]): RunRecord {
  const order = ['ok', 'alarm', 'failed', 'interrupted'] as const;
  const outcome = order.findLast((one) => [run, ...parts].some((part) => part.outcome === one)) ?? 'ok';
  const failed = parts.filter((part) => part.outcome === 'failed' || part.outcome === 'interrupted');
  const [first] = failed;
  const sum = (values: readonly (number | null)[]): number | null =>
    values.every((value) => value === null) ? null : values.reduce<number>((all, one) => all + (one ?? 0), 0);
  return {
    ...run,
    outcome,
    incident: [run, ...parts].some(isIncident),
    errorCode: run.errorCode ?? first?.errorCode ?? null,
    errorMessage:
      run.errorMessage ??
      (failed.length === 0
        ? null
        : `${failed.length} of ${countOf(parts.length, 'database')} failed: ${failed
            .map((part) => `${nameOf(part)} (${part.errorCode ?? part.outcome})`)
            .join(', ')}.`),
    size: sum(parts.map(({size}) => size)),
    rows: sum(parts.map(({rows}) => rows)),
    alarms: parts.flatMap((part) => part.alarms.map((alarm) => `${nameOf(part)}: ${alarm}`)),
    verifications: parts.flatMap(({verifications}) => verifications),
    pruned: parts.flatMap(({pruned}) => pruned),
    warnings: [
      ...run.warnings,
      ...parts.flatMap((part) => part.warnings.map((one) => `${nameOf(part)}: ${one}`)),
    ].filter((one, index, all) => all.indexOf(one) === index),
  };
}

function nameOf({database}: RunRecord): string {
  return database?.source ?? database?.name ?? 'unknown';
}

/** "shop: ok, 1.2 MB, 40 rows", a line for each database. */
function lineOf(part: RunRecord): string {
  const facts = [
    part.outcome,
    ...(part.errorCode === null ? [] : [`${part.errorCode} ${part.errorMessage ?? ''}`]),
    ...(part.size === null ? [] : [formatBytes(part.size)]),
    ...(part.rows === null ? [] : [countOf(part.rows, 'row')]),
    ...part.alarms,
  ];
  return `${nameOf(part)}: ${facts.join(', ')}`;
}

/** @param parts the databases of a run over several */
export function endNotice(
  run: RunRecord,
  lines: readonly string[],
  parts: readonly RunRecord[] = [],
): Notice {
  const log = [...lines, ...parts.map(lineOf)];
  const subject = subjectOf(run, parts.length);
  const took = formatDuration(run.duration);
  const what = [
    ...(run.size === null ? [] : [formatBytes(run.size)]),
    ...(run.rows === null ? [] : [countOf(run.rows, 'row')]),
  ].join(', ');
  const facts = {
    ...describeRun(run),
    outcome: run.outcome,
    exitCode: String(run.exitCode),
    errorCode: run.errorCode ?? '',
    errorMessage: run.errorMessage ?? '',
    backupId: run.backupId ?? '',
    size: String(run.size ?? ''),
    rows: String(run.rows ?? ''),
    duration: String(run.duration),
    alarms: run.alarms.join('\n'),
    warnings: run.warnings.join('\n'),
    ...(parts.length === 0 ? {} : {databases: parts.map(lineOf).join('\n')}),
  };
  if (run.outcome === 'ok') {
    return noticeOf('success', `${subject} is done in ${took}${what === '' ? '' : `: ${what}`}.`, facts, log);
  }
  if (run.outcome === 'alarm') {
    return noticeOf(
      'alarm',
      `${subject} raised an alarm: ${[...run.alarms, ...failedChecks(run)].join(' ') || 'see the result'}`,
      facts,
      log,
    );
  }
  const how = run.outcome === 'interrupted' ? 'was interrupted' : 'failed';
  return noticeOf(
    'failure',
    `${subject} ${how} after ${took}: ${run.errorCode ?? ''} ${run.errorMessage ?? ''}`,
    facts,
    log,
  );
}

export function staleNotice(status: Pick<Status, 'findings'>, host: string): Notice {
  const lines = status.findings.map(({severity, message}) => `${severity}: ${message}`);
  const summary = `Backups on ${host} need attention: ${status.findings.map(({message}) => message).join(' ')}`;
  return noticeOf('stale', summary, {host, command: 'status'}, lines);
}

export function testNotice(host: string, at: Date): Notice {
  const summary = `Test message of destino-db on ${host}. No run is meant.`;
  return noticeOf('test', summary, {host, command: 'notifications', startedAt: at.toISOString()}, []);
}

function failedChecks({verifications}: RunRecord): string[] {
  return verifications
    .filter(({ok}) => !ok)
    .map((check) =>
      (check.checks ?? []).length > 0
        ? `${check.backupId} is intact and was restored. ${describeChecks(check.checks ?? []).join(' ')}`
        : check.outcome === 'not-possible'
          ? `${check.backupId} could not be checked by ${check.level} here; this says nothing about the backup.`
          : `${check.backupId} is not proven by ${check.level}.`,
    );
}

function noticeOf(
  event: Notice['event'],
  summary: string,
  facts: Record<string, string>,
  log: readonly string[],
): Notice {
  const line = redact(summary.replace(/\s+/g, ' '));
  return {
    event,
    summary: line,
    facts: {...redactValues(facts), event, summary: line},
    log: redactValues([...log]),
  };
}

function describeRun(run: Parameters<typeof startNotice>[0]): Record<string, string> {
  return {
    runId: run.runId,
    command: run.command,
    startedAt: run.startedAt,
    host: run.host,
    user: run.user,
    database: run.database?.name ?? '',
    server: run.database ? `${run.database.host}:${run.database.port}` : '',
  };
}

function subjectOf({command, database, host}: Parameters<typeof startNotice>[0], databases = 0): string {
  if (databases > 0) return `${command} of ${countOf(databases, 'database')} on ${host}`;
  return `${command}${database ? ` of ${database.name} (${database.host}:${database.port})` : ''} on ${host}`;
}
