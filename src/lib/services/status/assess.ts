/** Assesses the backups from the catalogue, the audit log and the clock, without reading anything else. */
import {defined} from '../../base/defined.js';
import {isMasked, rowsOf, standingOfRecord} from '../../catalog/backup-record.js';
import {
  type Backup,
  type Catalogue,
  isGood,
  isUsable,
  isWhole,
  storedBytes,
} from '../../catalog/catalogue.js';
import {describeChecks} from '../../run/data-checks.js';
import {isAtLeast, proofLevels, type ProofLevel} from '../../run/check-outcome.js';
import {countOf, formatBytes, formatDuration} from '../../base/format.js';
import {nearest} from '../../base/nearest.js';
import {
  databaseNamed,
  type DatabaseGroup,
  groupByDatabase,
  type GroupSources,
  isBackupRun,
  type SourceOf,
} from '../../catalog/database-groups.js';
import {loggedRestoreTests, recordedRestoreTests, type RestoreTest} from './restore-tests.js';
import {isNamed} from '../../settings/sources.js';
import {isIncident, type RunRecord, type WatchedDatabase} from '../../run/run-record.js';
import {describeLosses} from '../../catalog/shrink-alarm.js';

export interface StatusLimits {
  /** ms; the newest usable backup must not be older. */
  readonly maxAge: number;
  /** A backup is usable only if it is proven at least to this level. */
  readonly require: ProofLevel | null;
  /** ms; the last passed restore test must not be older. */
  readonly maxRestoreTestAge: number | null;
}

export interface Finding {
  /** "critical": data could be lost today; "warning": it may be soon. */
  readonly severity: 'warning' | 'critical';
  readonly code:
    | 'NO_BACKUP'
    | 'NOT_PROVEN'
    | 'TOO_OLD'
    | 'FROM_THE_FUTURE'
    | 'DAMAGED'
    | 'SHRUNK'
    | 'RUN_FAILED'
    | 'RESTORE_TEST_FAILED'
    | 'RESTORE_TEST_NOT_POSSIBLE'
    | 'CHECK_FAILED'
    | 'CHECK_NOT_RUN'
    | 'RESTORE_TEST_TOO_OLD'
    | 'UNREADABLE_METADATA'
    | 'COPY_MISSING'
    | 'COPY_TOO_OLD'
    | 'COPY_DAMAGED'
    | 'PLACE_UNREADABLE'
    | 'DISK_LOW'
    | 'DATABASE_GONE';
  /** The database's label; null for findings about the folder. */
  readonly database: string | null;
  readonly message: string;
}

export interface NewestBackup {
  readonly id: string;
  readonly createdAt: string;
  /** ms */
  readonly age: number;
  /** Bytes. */
  readonly size: number;
  /** Null for backups of the old scripts. */
  readonly rows: number | null;
  readonly proof: ProofLevel | null;
  /** Whether it is a backup of a masked copy. */
  readonly masked: boolean;
}

export const backupStates = ['unproven', ...proofLevels, 'damaged'] as const;

export interface DatabaseStatus extends WatchedDatabase {
  readonly label: string;
  /** The newest complete backup that satisfies `require` of the limits. */
  readonly newest: NewestBackup | null;
  /** The last one with an outcome of passed or failed. */
  readonly lastRestoreTest: RestoreTest | null;
  /** The last one, if it was not possible. */
  readonly restoreTestNotPossible: RestoreTest | null;
  readonly lastGoodRestoreTest: RestoreTest | null;
  /** Runs of `backup` that failed or were interrupted since the newest usable backup. */
  readonly failuresSince: number;
  readonly lastFailure: {readonly at: string; readonly code: string; readonly message: string} | null;
  /** Lost rows of tables that the user did not accept, one line each. */
  readonly shrink: readonly string[];
  /** Number of backups by proven level. */
  readonly backups: Readonly<Record<(typeof backupStates)[number], number>>;
  /** Bytes of all backups of this database. */
  readonly storage: number;
  /** The newest usable copy of the whole database in each location for copies. */
  readonly copies: readonly {readonly place: string; readonly newest: NewestBackup | null}[];
  /** Since when the server of the config file no longer has the database. */
  readonly goneSince?: string;
}

export interface Status {
  readonly ok: boolean;
  readonly findings: readonly Finding[];
  readonly databases: readonly DatabaseStatus[];
  /** Bytes; `free` is null if the system does not report it. */
  readonly storage: {readonly used: number; readonly free: number | null};
}

export interface StatusSources {
  readonly catalogue: Catalogue;
  /** Newest last. */
  readonly runs: readonly RunRecord[];
  readonly now: Date;
  /** Free bytes in the backups folder. */
  readonly freeBytes: number | null;
  /** The location of the backups, for messages. */
  readonly place?: string;
  /** Databases in the config and the plan, which are watched even without a backup. */
  readonly named?: readonly WatchedDatabase[];
  /** Databases that the current run forgets. */
  readonly forgetting?: NonNullable<GroupSources['forgetting']>;
  /** Only databases with these names or labels, or of these servers; by default all. */
  readonly databases?: readonly string[];
  /** The names of `databases` in the config file, which must all have backups. */
  readonly sources?: readonly string[];
  readonly sourceOf?: SourceOf;
  /** Locations of copies; the catalogue contains the backups of all of them. */
  readonly copyPlaces?: readonly CopyPlace[];
  /** The locations for copies of one database, by its label; all by default. */
  readonly placesOf?: (label: string) => readonly string[];
}

export interface CopyPlace {
  readonly place: string;
  readonly damaged: number;
  readonly error: {readonly message: string} | null;
}

export function assessStatus(sources: StatusSources, limits: StatusLimits): Status {
  const {catalogue, runs, now, freeBytes, named = [], databases: wanted, sourceOf} = sources;
  // A forgotten database that is requested by name is reported.
  const {backups} = catalogue;
  const asked = backups.flatMap(({database}) =>
    wanted?.includes(database) === true ? [databaseNamed(database)] : [],
  );
  const groups = groupByDatabase(
    defined({
      backups,
      runs,
      named: [...named, ...asked],
      forgetting: sources.forgetting,
      sourceOf,
    }),
  );
  const databases = groups
    .filter(({database, label}) => wanted === undefined || isNamed(wanted, {label, name: database.name}))
    .map((group) => describeDatabase(group, limits, sources));
  const findings = [
    ...databases.flatMap((database) => [
      ...findingsOf(database, limits, now),
      ...copyFindings(database, limits),
    ]),
    ...missingSources(sources, groups),
    ...(wanted ?? []).flatMap((name) => unknownFindings(name, groups, sources.sources)),
    ...(sources.copyPlaces ?? []).flatMap(placeFindings),
    ...(groups.length === 0 && wanted === undefined && (sources.sources ?? []).length === 0
      ? [nothingWatched(catalogue, sources.place)]
      : []),
    ...folderFindings(catalogue, databases, freeBytes),
  ];
  return {
    ok: findings.length === 0,
    findings,
    databases,
    storage: {used: databases.reduce((sum, {storage}) => sum + storage, 0), free: freeBytes},
  };
}

function describeDatabase(
  group: DatabaseGroup,
  limits: StatusLimits,
  {now, copyPlaces = [], placesOf, runs: allRuns}: StatusSources,
): DatabaseStatus {
  const {backups, runs} = group;
  const newest = backups.find((backup) => isUsable(backup) && isProven(backup, limits.require));
  const failures = runs.filter(
    (run) =>
      isBackupRun(run) &&
      (run.outcome === 'failed' || run.outcome === 'interrupted') &&
      isIncident(run) &&
      (!newest || new Date(run.startedAt) > newest.createdAt),
  );
  const lastFailure = failures.at(-1);
  const tried = restoreTestsOf(group);
  const tests = tried.filter(({outcome}) => outcome !== 'not-possible');
  const last = tried.at(-1);
  const goneSince = goneSinceRun(group, allRuns);
  return {
    ...group.database,
    label: group.label,
    newest: newest ? describeBackup(newest, now) : null,
    lastRestoreTest: tests.at(-1) ?? null,
    restoreTestNotPossible: last?.outcome === 'not-possible' ? last : null,
    lastGoodRestoreTest: tests.findLast(({ok}) => ok) ?? null,
    failuresSince: failures.length,
    lastFailure: lastFailure
      ? {
          at: lastFailure.startedAt,
          code: lastFailure.errorCode ?? '',
          message: lastFailure.errorMessage ?? '',
        }
      : null,
    shrink: shrinkOf(backups.find(isWhole)),
    backups: countByState(backups),
    storage: storedBytes(backups),
    copies: copyPlaces
      .filter(({place, error}) => error === null && placesOf?.(group.label).includes(place) !== false)
      .map(({place}) => {
        const copy = backups.find((backup) => isUsable(backup) && backup.places?.includes(place));
        return {place, newest: copy ? describeBackup(copy, now) : null};
      }),
    ...(goneSince === undefined ? {} : {goneSince}),
  };
}

/** The first of the last runs that did not find the database on its server, unless it has a newer backup. */
function goneSinceRun({database, backups}: DatabaseGroup, runs: readonly RunRecord[]): string | undefined {
  const newest = backups[0]?.createdAt.getTime() ?? 0;
  return runs.find(
    ({gone = [], startedAt}) =>
      Date.parse(startedAt) > newest &&
      gone.some(
        ({name, host, port}) => name === database.name && host === database.host && port === database.port,
      ),
  )?.startedAt;
}

function isProven({record}: Backup, required: ProofLevel | null): boolean {
  if (required === null) return true;
  const level = levelOf(record);
  return level !== null && isAtLeast(level, required);
}

/** The level to which it is proven, unless a later check failed. */
function levelOf(record: Backup['record']): ProofLevel | null {
  return (record && standingOfRecord(record).proof?.level) ?? null;
}

function describeBackup(backup: Backup, now: Date): NewestBackup {
  return {
    id: backup.id,
    createdAt: backup.createdAt.toISOString(),
    age: now.getTime() - backup.createdAt.getTime(),
    size: backup.sizeBytes,
    rows: backup.record ? rowsOf(backup.record) : null,
    proof: levelOf(backup.record),
    masked: isMasked(backup.record),
  };
}

/** Oldest first. */
function restoreTestsOf({backups, runs}: DatabaseGroup): RestoreTest[] {
  const tests = [...recordedRestoreTests(backups), ...loggedRestoreTests(runs, backups)];
  return tests.sort((a, b) => new Date(a.at).getTime() - new Date(b.at).getTime());
}

function shrinkOf(newest: Backup | undefined): string[] {
  return newest?.record ? describeLosses(newest.record) : [];
}

function countByState(backups: readonly Backup[]): DatabaseStatus['backups'] {
  const counts = {unproven: 0, checksum: 0, archive: 0, restore: 0, damaged: 0};
  for (const backup of backups) {
    if (isGood(backup)) counts[levelOf(backup.record) ?? 'unproven'] += 1;
    else counts.damaged += 1;
  }
  return counts;
}

/** Clocks of two machines rarely differ by more. */
const clockTolerance = 5 * 60_000;

function findingsOf(status: DatabaseStatus, limits: StatusLimits, now: Date): Finding[] {
  const {label, newest, lastRestoreTest, restoreTestNotPossible, lastGoodRestoreTest, lastFailure} = status;
  if (status.goneSince !== undefined) return [goneFinding(label, status.goneSince)];
  const findings: Finding[] = [];
  const find = (severity: Finding['severity'], code: Finding['code'], message: string): void => {
    findings.push({severity, code, database: label, message: `${label}: ${message}`});
  };
  const proven = limits.require === null ? '' : ` proven by ${limits.require}`;
  const total = backupStates.reduce((sum, state) => sum + status.backups[state], 0);
  if (!newest) {
    if (total === 0) find('critical', 'NO_BACKUP', 'there is no backup.');
    else if (total === status.backups.damaged) find('critical', 'DAMAGED', 'every backup is damaged.');
    else if (limits.require === null)
      find('critical', 'NO_BACKUP', 'there is no usable backup of the whole database.');
    else find('critical', 'NOT_PROVEN', `no backup is${proven}.`);
  } else if (newest.age < -clockTolerance) {
    find(
      'warning',
      'FROM_THE_FUTURE',
      `the newest backup ${newest.id} is dated in the future; check the clocks.`,
    );
  } else if (newest.age > limits.maxAge) {
    const age = `${formatDuration(newest.age)} old, limit ${formatDuration(limits.maxAge)}`;
    find('critical', 'TOO_OLD', `the newest usable backup${proven} is ${age} (${newest.id}).`);
  }
  if (status.shrink.length > 0)
    find('critical', 'SHRUNK', `the newest backup shrank: ${status.shrink.join('; ')}.`);
  if (lastFailure) {
    const since = newest ? 'since the newest usable backup' : 'and there is no usable backup';
    const code = lastFailure.code === '' ? '' : ` with ${lastFailure.code}`; // a killed run has none
    const last = `the last at ${lastFailure.at}${code}: ${lastFailure.message}`;
    find('warning', 'RUN_FAILED', `${countOf(status.failuresSince, 'backup run')} failed ${since}, ${last}`);
  }
  if (lastRestoreTest && !lastRestoreTest.ok) {
    const what = `the last restore test (of ${lastRestoreTest.backupId} at ${lastRestoreTest.at})`;
    const reasons = describeChecks(lastRestoreTest.checks);
    if (reasons.length > 0)
      find(
        'critical',
        'CHECK_FAILED',
        `${what} restored the backup, but not all checks passed. ${reasons.join(' ')}`,
      );
    else find('critical', 'RESTORE_TEST_FAILED', `${what} failed.`);
  }
  if (restoreTestNotPossible) {
    const {backupId, at, checks} = restoreTestNotPossible;
    const reasons = describeChecks(checks);
    if (reasons.length > 0)
      find(
        'warning',
        'CHECK_NOT_RUN',
        `the last restore test (of ${backupId} at ${at}) restored the backup, but not all checks could run. ${reasons.join(' ')}`,
      );
    else
      find(
        'warning',
        'RESTORE_TEST_NOT_POSSIBLE',
        `the last restore test (of ${backupId} at ${at}) was not possible and says nothing about the backup; see destino-db verify --level restore.`,
      );
  }
  if (newest && status.backups.damaged > 0) {
    const count = countOf(status.backups.damaged, 'backup is', 'backups are');
    find('warning', 'DAMAGED', `${count} damaged; see destino-db list.`);
  }
  if (limits.maxRestoreTestAge !== null) {
    const age = lastGoodRestoreTest ? now.getTime() - new Date(lastGoodRestoreTest.at).getTime() : Infinity;
    const limit = `limit ${formatDuration(limits.maxRestoreTestAge)}`;
    if (!lastGoodRestoreTest)
      find('warning', 'RESTORE_TEST_TOO_OLD', `no restore test has passed yet (${limit}).`);
    else if (age > limits.maxRestoreTestAge) {
      find(
        'warning',
        'RESTORE_TEST_TOO_OLD',
        `the last passed restore test is ${formatDuration(age)} old, ${limit}.`,
      );
    }
  }
  return findings;
}

/** Copies that are too old. A copy of the newest backup is not a finding, even if it is old. */
function copyFindings({label, newest, copies}: DatabaseStatus, {maxAge}: StatusLimits): Finding[] {
  return copies.flatMap(({place, newest: copy}): Finding[] => {
    if (!newest || copy?.id === newest.id) return [];
    const finding = {severity: 'warning', database: label} as const;
    if (!copy)
      return [{...finding, code: 'COPY_MISSING', message: `${label}: there is no usable copy in ${place}.`}];
    if (copy.age <= maxAge) return [];
    const age = `${formatDuration(copy.age)} old, limit ${formatDuration(maxAge)}`;
    const message = `${label}: the newest usable copy in ${place} is ${age} (${copy.id}).`;
    return [{...finding, code: 'COPY_TOO_OLD', message}];
  });
}

function placeFindings({place, damaged, error}: CopyPlace): Finding[] {
  const finding = {severity: 'warning', database: null} as const;
  if (error) return [{...finding, code: 'PLACE_UNREADABLE', message: `${place}: ${error.message}`}];
  if (damaged === 0) return [];
  const count = countOf(damaged, 'copy is', 'copies are');
  const message = `${place}: ${count} damaged; see destino-db list --from ${place}.`;
  return [{...finding, code: 'COPY_DAMAGED', message}];
}

/** Findings that do not belong to one database. */
function folderFindings(
  {problems}: Catalogue,
  databases: readonly DatabaseStatus[],
  freeBytes: number | null,
): Finding[] {
  const unreadable: Finding[] = problems.map(({path, reason}) => ({
    severity: 'warning',
    code: 'UNREADABLE_METADATA',
    database: null,
    message: `Cannot read backup metadata ${path}: ${reason}`,
  }));
  const largest = Math.max(0, ...databases.map(({newest}) => newest?.size ?? 0));
  const isLow = freeBytes !== null && freeBytes < largest;
  return [...unreadable, ...(isLow ? [diskLow(freeBytes, largest)] : [])];
}

/** Monitoring that finds nothing to watch must not report success. */
function nothingWatched({backups}: Catalogue, place: string | undefined): Finding {
  const message =
    backups.length === 0
      ? `There is no backup at all${place === undefined ? '' : ` in ${place}`}.`
      : 'No database is watched: all databases with a backup were forgotten.';
  return {severity: 'critical', code: 'NO_BACKUP', database: null, message};
}

/** Its backups grow old, which is not a failure of a run. */
function goneFinding(label: string, since: string): Finding {
  return {
    severity: 'warning',
    code: 'DATABASE_GONE',
    database: label,
    message: `${label}: the server has no such database any more since ${since}; stop watching it with destino-db status --forget ${label}.`,
  };
}

/** Databases of the config file without any backup or run, such as a server that was never reached. */
function missingSources(
  {sources = [], databases: wanted}: StatusSources,
  groups: readonly DatabaseGroup[],
): Finding[] {
  return sources
    .filter((name) => wanted === undefined || isNamed(wanted, {label: name, name}))
    .filter((name) => !groups.some(({label}) => label === name || label.startsWith(`${name}/`)))
    .map((name) => ({
      severity: 'critical',
      code: 'NO_BACKUP',
      database: name,
      message: `${name}: there is no backup.`,
    }));
}

/** A requested database that is not watched; its name may be mistyped. */
function unknownFindings(
  name: string,
  groups: readonly DatabaseGroup[],
  sources: readonly string[] = [],
): Finding[] {
  const known = [...groups.flatMap(({database, label}) => [database.name, label]), ...sources];
  if (known.includes(name)) return [];
  const guess = nearest(name, known);
  const message = `${name}: there is no backup.${guess === undefined ? '' : ` Did you mean ${guess}?`}`;
  return [{severity: 'critical', code: 'NO_BACKUP', database: name, message}];
}

function diskLow(freeBytes: number, neededBytes: number): Finding {
  return {
    severity: 'warning',
    code: 'DISK_LOW',
    database: null,
    message: `${formatBytes(freeBytes)} are free, less than the ${formatBytes(neededBytes)} of one more backup.`,
  };
}
