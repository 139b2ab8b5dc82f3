/** The data of a report: the audit log and the backups on disk joined into series. Pure. */
import {qualifiedName} from '../../base/qualified-name.js';
import {isMasked, rowsOf} from '../../catalog/backup-record.js';
import {type Backup, isGood, isUsable, safetyLabel, storedBytes} from '../../catalog/catalogue.js';
import type {CheckedJob, DueRun, JobDatabase} from '../schedule/check-schedule.js';
import {type DatabaseGroup, groupByDatabase, type SourceOf} from '../../catalog/database-groups.js';
import {loggedRestoreTests, recordedRestoreTests, type RestoreTest} from '../status/restore-tests.js';
import {type BackupContent, outcomeOfResult, type ProofLevel} from '../../run/check-outcome.js';
import {describeChecks, withChecks} from '../../run/data-checks.js';
import {isIncident, type RunRecord, type WatchedDatabase} from '../../run/run-record.js';
import type {Finding} from '../status/assess.js';
import {describeLosses} from '../../catalog/shrink-alarm.js';

/** Times are ISO 8601 UTC, sizes bytes, durations ms. */
export interface ReportData {
  readonly generatedAt: string;
  readonly from: string;
  /** The machine that wrote the report; null where it is not known. */
  readonly machine: string | null;
  /** Where the backups were read: a folder or a bucket; null where it is not known. */
  readonly place: string | null;
  /** When the plan makes the next backup; null without a plan. */
  readonly nextBackupAt: string | null;
  /** Of all databases together. */
  readonly summary: ReportSummary;
  /** One entry for each database, in the order of the labels; also for one that is no longer watched and has backups. */
  readonly databases: readonly ReportedDatabase[];
  /** The findings of `status` by the limits of the config file; empty when nothing needs attention. */
  readonly findings: readonly Finding[];
  /** Backups made, also those that retention has removed since; oldest first. */
  readonly backups: readonly ReportedBackup[];
  /** Backup runs that made none. */
  readonly failures: readonly {
    at: string;
    database: string | null;
    outcome: string;
    errorCode: string | null;
    errorMessage: string | null;
    /** As in `databases`; null for a run that reached no database. */
    databaseLabel: string | null;
  }[];
  /** Checks that found a backup damaged, by whatever level; oldest first. */
  readonly failedChecks: readonly {
    at: string;
    backupId: string;
    level: ProofLevel;
    /** The differences that the check found, a line each; empty for a backup that was removed since. */
    findings: readonly string[];
    databaseLabel: string | null;
  }[];
  /** Tables of each database in its newest full backup, largest first. */
  readonly tables: readonly {
    database: string;
    table: string;
    rows: number | null;
    sizeBytes: number | null;
    databaseLabel: string;
  }[];
  /** Backup runs of each week (from Monday, UTC), oldest first. */
  readonly weeks: readonly {week: string; ok: number; failed: number; missed: number}[];
  readonly storage: readonly {age: string; count: number; sizeBytes: number}[];
  /** One entry for each location of backups; empty where there is one only. */
  readonly places: readonly {
    place: string;
    backups: number;
    sizeBytes: number;
    newestAt: string | null;
    /** Why it could not be read. */
    error: string | null;
  }[];
  /** Times without a new backup that were longer than usual, and due runs that never began; oldest first. */
  readonly gaps: readonly {
    from: string;
    until: string;
    duration: number;
    what: string;
    /** Null for a job of the plan that is not about one database. */
    databaseLabel: string | null;
  }[];
  readonly restoreTests: readonly (RestoreTest & {readonly databaseLabel: string | null})[];
  readonly orderRuns: readonly {
    at: string;
    command: string;
    outcome: string;
    orders: number | null;
    rows: number | null;
  }[];
}

export interface ReportSummary {
  /** Of a whole database, as `status` counts it. */
  readonly newestGoodBackup: {id: string; at: string; sizeBytes: number} | null;
  readonly backupsOnDisk: number;
  /** Of these, the ones of which a check failed. */
  readonly damagedBackups: number;
  readonly storageBytes: number;
  readonly backupRuns: {ok: number; failed: number};
  /** The last one that passed or failed. */
  readonly lastRestoreTest: {at: string; ok: boolean} | null;
  /** Median time of the restores that were tested; null without any. */
  readonly usualRestoreTime: number | null;
}

export interface ReportedDatabase extends ReportSummary {
  /** As in `findings`: the name, with the server where two databases share it. */
  readonly label: string;
  /** host:port; null where only the name is known. */
  readonly server: string | null;
  /** Backup runs of the plan that never began. */
  readonly missedRuns: number;
}

export interface ReportedBackup {
  readonly id: string;
  readonly at: string;
  readonly database: string;
  readonly format: string;
  readonly sizeBytes: number | null;
  /** null for backups of the old scripts. */
  readonly duration: number | null;
  readonly databaseBytes: number | null;
  readonly rows: number | null;
  /** The findings of the shrink alarm. */
  readonly alarms: readonly string[];
  readonly isOnDisk: boolean;
  /** Whether a check of it failed. */
  readonly isDamaged: boolean;
  readonly content: BackupContent;
  /** Made by a restore, of what it was about to replace. */
  readonly isSafety: boolean;
  /** Whether it is a backup of a masked copy. */
  readonly isMasked: boolean;
  /** The tables and schemas that were chosen; empty also for a removed backup, as the log does not contain them. */
  readonly chosen: readonly string[];
  /** As in `databases`. */
  readonly databaseLabel: string;
}

/** Whether it is of the whole database, and neither a part of it nor what a restore replaced. */
export const isWholeBackup = ({content, isSafety}: ReportedBackup): boolean =>
  content === 'whole' && !isSafety;

/** A location as the report needs it. */
export interface ReportedPlace {
  readonly place: string;
  readonly backups: number;
  readonly size: number;
  readonly newestGood: {readonly createdAt: string} | null;
  readonly error: {readonly message: string} | null;
}

export interface ReportInput {
  readonly backups: readonly Backup[];
  readonly findings: readonly Finding[];
  readonly places?: readonly ReportedPlace[];
  /** All of the audit log, oldest first. */
  readonly runs: readonly RunRecord[];
  /** Databases that config and plan name. */
  readonly named?: readonly WatchedDatabase[];
  /** The names that the config file gives them. */
  readonly sourceOf?: SourceOf;
  /** The plan against the audit log; undefined without a plan. */
  readonly plan: readonly CheckedJob[] | undefined;
  /** Databases of jobs, by the sentence of the job, where the plan has several. */
  readonly jobDatabases?: ReadonlyMap<string, readonly JobDatabase[]>;
  /** When the plan makes the next one. */
  readonly nextBackup?: Date;
  readonly machine?: string;
  readonly place?: string;
  readonly now: Date;
}

const dayMs = 86_400_000;
/** A quarter: 13 weeks. */
export const reportDays = 91;

export function reportData(input: ReportInput): ReportData {
  const {now, plan} = input;
  const earliest = now.getTime() - reportDays * dayMs;
  const inPeriod = ({startedAt, mode}: RunRecord): boolean =>
    mode === 'execute' && Date.parse(startedAt) >= earliest && Date.parse(startedAt) <= now.getTime();
  const runs = input.runs.filter(inPeriod);
  const groups = groupByDatabase(input);
  const labels = labelsOf(groups, input.backups, runs);
  const backups = joinBackups(runs, input.backups, labels).filter(({at}) => Date.parse(at) >= earliest);
  const labelOf = (run: RunRecord): string | null =>
    labels.ofRun.get(run) ?? labels.ofBackup.get(run.backupId ?? '') ?? null;
  const isCounted = (run: RunRecord): boolean =>
    run.backupId !== null || (isIncident(run) && (run.database === null || labels.ofRun.has(run)));
  const backupRuns = runs.filter((run) => run.command === 'backup' && isCounted(run));
  const failed = backupRuns.filter((run) => !madeBackup(run));
  const restoreTests = allRestoreTests(runs, input.backups, labels).filter(
    ({at}) => Date.parse(at) >= earliest && Date.parse(at) <= now.getTime(),
  );
  const from = Math.min(
    now.getTime(),
    ...[...runs.map((run) => run.startedAt), ...backups.map(({at}) => at)].map(Date.parse),
  );
  const gaps = [
    ...longGaps(backups, new Set(groups.map(({label}) => label)), now),
    ...missedRuns(input, labels),
  ].sort((a, b) => (a.from < b.from ? -1 : 1));
  const summaryOf = (isOf: (label: string | null) => boolean): ReportSummary =>
    summarize({
      backups: input.backups.filter(({id}) => isOf(labels.ofBackup.get(id) ?? null)),
      runs: backupRuns.filter((run) => isOf(labelOf(run))),
      restoreTests: restoreTests.filter(({databaseLabel}) => isOf(databaseLabel)),
      now,
    });
  const watched = new Map(groups.map((group) => [group.label, serverOf(group)]));
  const databases = [...new Set([...watched.keys(), ...labels.ofBackup.values()])].sort();
  return {
    generatedAt: now.toISOString(),
    from: new Date(from).toISOString(),
    machine: input.machine ?? null,
    place: input.place ?? null,
    nextBackupAt: input.nextBackup?.toISOString() ?? null,
    summary: summaryOf(() => true),
    databases: databases.map((label) => ({
      label,
      server: watched.get(label) ?? null,
      ...summaryOf((other) => other === label),
      missedRuns: gaps.filter((gap) => gap.duration === 0 && gap.databaseLabel === label).length,
    })),
    findings: input.findings,
    backups,
    failures: failed.map((run) => ({
      at: run.startedAt,
      database: run.database?.name ?? null,
      outcome: run.outcome,
      errorCode: run.errorCode,
      errorMessage: run.errorMessage,
      databaseLabel: labelOf(run),
    })),
    failedChecks: failedChecks(runs, input.backups, labels).filter(({at}) => Date.parse(at) >= earliest),
    tables: largestTables(input.backups, labels),
    weeks: countWeeks(new Date(from), now, backupRuns, failed, plan),
    storage: storageByAge(input.backups, now),
    places: (input.places ?? []).map(({place, backups: count, size, newestGood, error}) => ({
      place,
      backups: count,
      sizeBytes: size,
      newestAt: newestGood?.createdAt ?? null,
      error: error?.message ?? null,
    })),
    gaps,
    restoreTests,
    orderRuns: runs
      .filter((run) => run.command.startsWith('orders:') || run.command.startsWith('workflow:'))
      .map((run) => ({
        at: run.startedAt,
        command: run.command,
        outcome: run.outcome,
        orders: run.orders,
        rows: run.deletedRows ?? run.restoredRows,
      })),
  };
}

/** Which database backups and runs are of, by the labels of `status`. */
interface Labels {
  readonly ofBackup: ReadonlyMap<string, string>;
  readonly ofRun: ReadonlyMap<RunRecord, string>;
}

/** A backup of a database that is no longer watched goes by the name of its database. */
function labelsOf(
  groups: readonly DatabaseGroup[],
  backups: readonly Backup[],
  runs: readonly RunRecord[],
): Labels {
  const ofRun = new Map(groups.flatMap(({label, runs: own}) => own.map((run) => [run, label] as const)));
  const ofBackup = new Map(backups.map(({id, database}) => [id, database]));
  for (const run of runs)
    if (run.command === 'backup' && madeBackup(run) && run.backupId !== null)
      ofBackup.set(run.backupId, ofRun.get(run) ?? ofBackup.get(run.backupId) ?? run.database?.name ?? '');
  for (const {label, backups: own} of groups) for (const {id} of own) ofBackup.set(id, label);
  return {ofBackup, ofRun};
}

function serverOf({database: {host, port, project}}: DatabaseGroup): string | null {
  if (host === null) return null;
  return project ?? (port === null ? host : `${host}:${port}`);
}

function madeBackup({backupId, outcome}: RunRecord): boolean {
  return backupId !== null && ['ok', 'alarm'].includes(outcome);
}

function summarize({
  backups,
  runs,
  restoreTests,
  now,
}: {
  backups: readonly Backup[];
  runs: readonly RunRecord[];
  restoreTests: readonly RestoreTest[];
  now: Date;
}): ReportSummary {
  const newest = backups.find((backup) => isUsable(backup) && backup.createdAt <= now);
  const ok = runs.filter(madeBackup).length;
  return {
    newestGoodBackup: newest
      ? {id: newest.id, at: newest.createdAt.toISOString(), sizeBytes: newest.sizeBytes}
      : null,
    backupsOnDisk: backups.length,
    damagedBackups: backups.filter((backup) => !isGood(backup)).length,
    storageBytes: storedBytes(backups),
    backupRuns: {ok, failed: runs.length - ok},
    lastRestoreTest: restoreTests.findLast(({outcome}) => outcome !== 'not-possible') ?? null,
    usualRestoreTime:
      median(restoreTests.flatMap((test) => (test.ok ? (test.restoreDuration ?? []) : []))) ?? null,
  };
}

/** Restore tests of the audit log, and those that only metadata contain, as of another machine; oldest first. */
function allRestoreTests(
  runs: readonly RunRecord[],
  backups: readonly Backup[],
  {ofBackup}: Labels,
): ReportData['restoreTests'] {
  const logged = loggedRestoreTests(runs, backups);
  const keyOf = ({backupId, outcome, restoreDuration}: RestoreTest): string =>
    JSON.stringify([backupId, outcome, restoreDuration]);
  const known = new Set(logged.map(keyOf));
  const recorded = recordedRestoreTests(backups).filter((test) => !known.has(keyOf(test)));
  return [...logged, ...recorded]
    .map((test) => ({...test, databaseLabel: ofBackup.get(test.backupId) ?? null}))
    .sort((a, b) => (a.at < b.at ? -1 : 1));
}

/** Failed checks of the metadata with their findings, and those that only the audit log still contains. */
function failedChecks(
  runs: readonly RunRecord[],
  backups: readonly Backup[],
  {ofBackup}: Labels,
): ReportData['failedChecks'] {
  const recorded = backups.flatMap(({id, content, record}) =>
    [...(record?.verification ? [record.verification] : []), ...(record?.proofs ?? [])]
      .filter(({checks = [], ...result}) => withChecks(outcomeOfResult(result, content), checks) === 'failed')
      .map(({at, level, findings, checks = []}) => ({
        at,
        backupId: id,
        level,
        findings: [...findings, ...describeChecks(checks)],
      })),
  );
  const existing = new Set(backups.map(({id}) => id));
  const logged = runs.flatMap((run) =>
    run.verifications
      .filter(
        ({ok, outcome, backupId}) =>
          !existing.has(backupId) && (outcome ?? (ok ? 'passed' : 'failed')) === 'failed',
      )
      .map(({backupId, level, checks = []}) => ({
        at: run.startedAt,
        backupId,
        level,
        findings: describeChecks(checks),
      })),
  );
  return [...recorded, ...logged]
    .map((check) => ({...check, databaseLabel: ofBackup.get(check.backupId) ?? null}))
    .sort((a, b) => Number(a.at > b.at) - Number(a.at < b.at));
}

/** Backups by the audit log, with those that only the folder knows. */
function joinBackups(
  runs: readonly RunRecord[],
  onDisk: readonly Backup[],
  {ofBackup}: Labels,
): ReportedBackup[] {
  const byId = new Map<string, ReportedBackup>();
  const ids = new Set(onDisk.map((backup) => backup.id));
  for (const backup of onDisk) {
    const {id, createdAt, database, format, sizeBytes, record, content, label} = backup;
    byId.set(id, {
      id,
      at: createdAt.toISOString(),
      database,
      format,
      sizeBytes,
      duration: record?.duration ?? null,
      databaseBytes: record?.source.sizeBytes ?? null,
      rows: record && rowsOf(record),
      alarms: record ? describeLosses(record) : [],
      isOnDisk: true,
      isDamaged: !isGood(backup),
      content,
      isSafety: label === safetyLabel,
      isMasked: isMasked(record),
      chosen:
        content === 'tables'
          ? [...(record?.config.includeSchemas ?? []), ...(record?.config.includeTables ?? [])]
          : [],
      databaseLabel: ofBackup.get(id) ?? database,
    });
  }
  for (const run of runs) {
    if (run.command !== 'backup' || run.backupId === null || !madeBackup(run)) continue;
    const known = byId.get(run.backupId);
    byId.set(run.backupId, {
      id: run.backupId,
      at: known?.at ?? run.startedAt,
      database: run.database?.name ?? known?.database ?? '',
      format: run.format ?? known?.format ?? '',
      sizeBytes: run.size ?? known?.sizeBytes ?? null,
      duration: run.duration,
      databaseBytes: run.databaseSize ?? known?.databaseBytes ?? null,
      rows: run.rows ?? known?.rows ?? null,
      alarms: run.alarms,
      isOnDisk: ids.has(run.backupId),
      isDamaged: known?.isDamaged ?? false,
      content: known?.content ?? run.content ?? (run.schemaOnly === true ? 'schema' : 'whole'),
      isSafety: known?.isSafety ?? false,
      isMasked: known?.isMasked ?? false,
      chosen: known?.chosen ?? [],
      databaseLabel: ofBackup.get(run.backupId) ?? run.database?.name ?? '',
    });
  }
  return [...byId.values()].sort((a, b) => (a.at < b.at ? -1 : 1));
}

function largestTables(backups: readonly Backup[], {ofBackup}: Labels): ReportData['tables'] {
  const seen = new Set<string>();
  return backups
    .flatMap((backup) => {
      const databaseLabel = ofBackup.get(backup.id) ?? backup.database;
      // Newest first.
      if (!backup.record || !isUsable(backup) || seen.has(databaseLabel)) return [];
      seen.add(databaseLabel);
      return backup.record.tables.map(({schema, name, rows, sizeBytes}) => ({
        database: backup.database,
        table: qualifiedName({schema, name}),
        rows,
        sizeBytes: sizeBytes ?? null,
        databaseLabel,
      }));
    })
    .sort((a, b) => (b.sizeBytes ?? 0) - (a.sizeBytes ?? 0) || (b.rows ?? 0) - (a.rows ?? 0));
}

function mondayOf(at: Date): number {
  const midnight = Date.UTC(at.getUTCFullYear(), at.getUTCMonth(), at.getUTCDate());
  return midnight - ((at.getUTCDay() + 6) % 7) * dayMs;
}

function countWeeks(
  from: Date,
  now: Date,
  runs: readonly RunRecord[],
  failed: readonly RunRecord[],
  plan: readonly CheckedJob[] | undefined,
): ReportData['weeks'] {
  const weeks = [];
  const missed = (plan ?? [])
    .filter(({job}) => job.args[0] === 'backup')
    .flatMap((checked) => checked.runs.filter((run) => run.state === 'missed').map((run) => run.due));
  for (let monday = mondayOf(from); monday <= now.getTime(); monday += 7 * dayMs) {
    const isIn = (at: number): boolean => at >= monday && at < monday + 7 * dayMs;
    const countIn = (list: readonly RunRecord[]): number =>
      list.filter((run) => isIn(Date.parse(run.startedAt))).length;
    weeks.push({
      week: new Date(monday).toISOString().slice(0, 10),
      ok: countIn(runs) - countIn(failed),
      failed: countIn(failed),
      missed: missed.filter((due) => isIn(due.getTime())).length,
    });
  }
  return weeks;
}

const ageClasses: readonly [string, number][] = [
  ['up to 1 day', 1],
  ['1 to 7 days', 7],
  ['8 to 30 days', 30],
  ['31 to 90 days', 90],
  ['91 to 365 days', 365],
  ['older', Infinity],
];

function storageByAge(backups: readonly Backup[], now: Date): ReportData['storage'] {
  let youngest = -Infinity;
  return ageClasses.map(([age, days]) => {
    const oldest = days * dayMs;
    const members = backups.filter((backup) => {
      const ageMs = now.getTime() - backup.createdAt.getTime();
      return ageMs > youngest && ageMs <= oldest;
    });
    youngest = oldest;
    return {age, count: members.length, sizeBytes: storedBytes(members)};
  });
}

/**
 * Stretches between whole backups of a database that are more than half as long again as the usual one; the last one is open while
 * the database is watched.
 */
function longGaps(
  backups: readonly ReportedBackup[],
  watched: ReadonlySet<string>,
  now: Date,
): ReportData['gaps'] {
  const whole = backups.filter(isWholeBackup);
  return [...new Set(whole.map(({databaseLabel}) => databaseLabel))].flatMap((label) => {
    const times = whole.filter(({databaseLabel}) => databaseLabel === label).map(({at}) => Date.parse(at));
    const ends = [...times.slice(1), now.getTime()];
    const usual = median(
      ends
        .slice(0, -1)
        .map((end, index) => end - (times[index] ?? end))
        .filter((ms) => ms > 0),
    );
    if (usual === undefined) return [];
    return times.flatMap((start, index) => {
      const end = ends[index] ?? now.getTime();
      const isOpen = index === times.length - 1;
      if (end - start <= usual * 1.5 || (isOpen && !watched.has(label))) return [];
      const what = `no new backup of ${label}`;
      return [{from: iso(start), until: iso(end), duration: end - start, what, databaseLabel: label}];
    });
  });
}

function missedRuns({plan = [], jobDatabases}: ReportInput, {ofBackup}: Labels): ReportData['gaps'] {
  const labels = new Set(ofBackup.values());
  const [only] = labels;
  const gapsOf = (sentence: string, runs: readonly DueRun[], databaseLabel: string | null) =>
    runs
      .filter((run) => run.state === 'missed')
      .map(({due}) => ({
        from: due.toISOString(),
        until: due.toISOString(),
        duration: 0,
        what: `"${sentence}" did not run`,
        databaseLabel,
      }));
  return plan.flatMap(({job, runs, databases}) => {
    const labelFor = (own: string | undefined): string | null =>
      job.args[0] === 'backup' && own !== undefined && labels.has(own) ? own : null;
    if (databases.length > 0)
      return databases.flatMap((one) =>
        gapsOf(`${job.sentence}" for "${one.name}`, one.runs, labelFor(one.name)),
      );
    const named = jobDatabases?.get(job.sentence);
    return gapsOf(
      job.sentence,
      runs,
      labelFor(named ? named[0]?.name : labels.size === 1 ? only : undefined),
    );
  });
}

const iso = (ms: number): string => new Date(ms).toISOString();

/** The middle value, of two the larger; undefined of none. */
function median(values: readonly number[]): number | undefined {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
}
