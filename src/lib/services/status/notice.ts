/** The content of a notification about a run or about stale backups, without secrets. */
import {countOf, formatBytes, formatDuration} from '../../base/format.js';
import {redact, redactValues} from '../../base/redact.js';
import type {NoticeEvent} from '../../settings/notifications-config.js';
import type {RunRecord} from '../../run/run-record.js';
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

export function endNotice(run: RunRecord, log: readonly string[]): Notice {
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
  };
  if (run.outcome === 'ok') {
    return noticeOf(
      'success',
      `${subjectOf(run)} is done in ${took}${what === '' ? '' : `: ${what}`}.`,
      facts,
      log,
    );
  }
  if (run.outcome === 'alarm') {
    return noticeOf(
      'alarm',
      `${subjectOf(run)} raised an alarm: ${[...run.alarms, ...failedChecks(run)].join(' ') || 'see the result'}`,
      facts,
      log,
    );
  }
  const how = run.outcome === 'interrupted' ? 'was interrupted' : 'failed';
  return noticeOf(
    'failure',
    `${subjectOf(run)} ${how} after ${took}: ${run.errorCode ?? ''} ${run.errorMessage ?? ''}`,
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

function subjectOf({command, database, host}: Parameters<typeof startNotice>[0]): string {
  return `${command}${database ? ` of ${database.name} (${database.host}:${database.port})` : ''} on ${host}`;
}
