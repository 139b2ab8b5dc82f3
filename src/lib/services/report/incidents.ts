/** All that went wrong in the time of the report: failed runs and checks, alarms, runs that did not start, long gaps. */
import {countOf, formatDuration} from '../../base/format.js';
import {describeChecks} from '../../run/data-checks.js';
import {dateInWords} from './axis-ticks.js';
import type {ReportData} from './report-data.js';

export interface Incident {
  readonly at: string;
  readonly kind: (typeof incidentKinds)[number];
  readonly text: string;
  readonly databaseLabel: string | null;
}

const incidentKinds = [
  'Backup failed',
  'Check failed',
  'Check not possible',
  'Alarm',
  'Run missed',
  'Long gap',
] as const;

/** Newest first. */
export function incidentsOf(data: ReportData): Incident[] {
  const failures = data.failures.map(({at, outcome, errorCode, errorMessage, databaseLabel}): Incident => {
    const why = errorMessage ?? (outcome === 'interrupted' ? 'The run was interrupted.' : 'The run failed.');
    return {
      at,
      kind: 'Backup failed',
      text: errorCode === null ? why : `${why} (${errorCode})`,
      databaseLabel,
    };
  });
  const checks = data.failedChecks.map(({at, backupId, level, findings, databaseLabel}): Incident => {
    const what =
      level === 'restore'
        ? `The restore test of ${backupId} failed`
        : `The ${level} check of ${backupId} failed`;
    return {
      at,
      kind: 'Check failed',
      text: `${what}${findings.length === 0 ? '.' : `: ${findings.join(' ')}`}`,
      databaseLabel,
    };
  });
  const impossible = data.restoreTests
    .filter(({outcome}) => outcome === 'not-possible')
    .map(({at, backupId, checks, databaseLabel}): Incident => ({
      at,
      kind: 'Check not possible',
      text:
        checks.length > 0
          ? `${backupId} was restored as a test. ${describeChecks(checks).join(' ')}`
          : `The restore test of ${backupId} could not be carried out, which says nothing about the backup.`,
      databaseLabel,
    }));
  const alarms = data.backups
    .filter((backup) => backup.alarms.length > 0)
    .map(({at, id, alarms: losses, databaseLabel}): Incident => ({
      at,
      kind: 'Alarm',
      text: `The backup ${id} has far fewer rows than the one before: ${losses.join('; ').replace(/\.?$/, '.')}`,
      databaseLabel,
    }));
  const gaps = data.gaps.map(({from, until, duration, what, databaseLabel}): Incident =>
    duration === 0
      ? {at: from, kind: 'Run missed', text: `${what}.`, databaseLabel}
      : {
          at: from,
          kind: 'Long gap',
          text: `For ${formatDuration(duration)} there ${until === data.generatedAt ? 'has been' : 'was'} ${what}.`,
          databaseLabel,
        },
  );
  return [...failures, ...checks, ...impossible, ...alarms, ...gaps].sort(
    (a, b) => Number(b.at > a.at) - Number(b.at < a.at),
  );
}

/** "a, b and c" */
const joinWords = (parts: readonly string[]): string =>
  [parts.slice(0, -1).join(', '), ...parts.slice(-1)].filter((part) => part !== '').join(' and ');

/** "Since 24 Oct 2026, 3 backup runs failed and 1 check failed.", or that nothing went wrong. */
export function countIncidents(incidents: readonly Incident[], from: Date): string {
  const words: Readonly<Record<Incident['kind'], (count: number) => string>> = {
    'Backup failed': (count) => `${countOf(count, 'backup run')} failed`,
    'Check failed': (count) => `${countOf(count, 'check')} failed`,
    'Check not possible': (count) => `${countOf(count, 'restore test')} could not be carried out`,
    Alarm: (count) => `${countOf(count, 'backup')} had far fewer rows than the one before`,
    'Run missed': (count) => `${countOf(count, 'planned run')} did not start`,
    'Long gap': (count) =>
      `${countOf(count, 'pause')} without a new backup ${count === 1 ? 'was' : 'were'} unusually long`,
  };
  const parts = incidentKinds.flatMap((kind) => {
    const count = incidents.filter((incident) => incident.kind === kind).length;
    return count === 0 ? [] : [words[kind](count)];
  });
  if (parts.length === 0) return 'No run failed, no check failed, and no alarm was raised.';
  return `Since ${dateInWords(from)}, ${joinWords(parts)}.`;
}
