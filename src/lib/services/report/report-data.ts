/** What a report shows: the audit log and the backups on disk joined into series. Pure. */
import {qualifiedName} from '../../base/qualified-name.js';
import {rowsOf} from '../../catalog/backup-record.js';
import {type Backup, isGood, isUsable} from '../../catalog/catalogue.js';
import type {CheckedJob} from '../schedule/check-schedule.js';
import {groupByDatabase} from '../../catalog/database-groups.js';
import {loggedRestoreTests, type RestoreTest} from '../status/restore-tests.js';
import {isIncident, type RunRecord, type WatchedDatabase} from '../../run/run-record.js';
import type {Finding} from '../status/assess.js';
import {describeLosses} from '../../catalog/shrink-alarm.js';

/** Times are ISO 8601 UTC, sizes bytes, durations ms. */
export interface ReportData {
  readonly generatedAt: string;
  readonly from: string;
  readonly summary: ReportSummary;
  /** What `status` finds by the limits of the config file; empty when all is as it should be. */
  readonly findings: readonly Finding[];
  /** Backups made, also those that retention has removed since; oldest first. */
  readonly backups: readonly ReportedBackup[];
  /** Backup runs that made none. */
  readonly failures: readonly {
    at: string;
    database: string | null;
    outcome: string;
    errorCode: string | null;
  }[];
  /** Tables of each database in its newest full backup, largest first. */
  readonly tables: readonly {
    database: string;
    table: string;
    rows: number | null;
    sizeBytes: number | null;
  }[];
  /** Backup runs of each week (from Monday, UTC), oldest first. */
  readonly weeks: readonly {week: string; ok: number; failed: number; missed: number}[];
  readonly storage: readonly {age: string; count: number; sizeBytes: number}[];
  /** Each place that holds backups by itself; empty where there is one only. */
  readonly places: readonly {
    place: string;
    backups: number;
    sizeBytes: number;
    newestAt: string | null;
    /** Why it could not be read. */
    error: string | null;
  }[];
  /** Times without a new backup that were longer than usual, and due runs that never began; oldest first. */
  readonly gaps: readonly {from: string; until: string; duration: number; what: string}[];
  readonly restoreTests: readonly RestoreTest[];
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

export interface ReportedBackup {
  readonly id: string;
  readonly at: string;
  readonly database: string;
  readonly format: string;
  readonly sizeBytes: number | null;
  /** null for backups that only their metadata tells of, made by the old scripts. */
  readonly duration: number | null;
  readonly databaseBytes: number | null;
  readonly rows: number | null;
  /** What the shrink alarm found. */
  readonly alarms: readonly string[];
  readonly isOnDisk: boolean;
  /** Whether a check of it failed. */
  readonly isDamaged: boolean;
}

/** A place as the report takes it. */
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
  /** The plan against the audit log; undefined without a plan. */
  readonly plan: readonly CheckedJob[] | undefined;
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
  const backups = joinBackups(runs, input.backups).filter(({at}) => Date.parse(at) >= earliest);
  const groups = groupByDatabase(input);
  const ofWatched = new Set(groups.flatMap((group) => group.runs));
  const isCounted = (run: RunRecord): boolean =>
    run.backupId !== null || (isIncident(run) && (run.database === null || ofWatched.has(run)));
  const backupRuns = runs.filter((run) => run.command === 'backup' && isCounted(run));
  const failed = backupRuns.filter((run) => run.backupId === null || !['ok', 'alarm'].includes(run.outcome));
  const restoreTests = loggedRestoreTests(runs, input.backups);
  const from = Math.min(
    now.getTime(),
    ...[...runs.map((run) => run.startedAt), ...backups.map(({at}) => at)].map(Date.parse),
  );
  const newest = input.backups.find((backup) => isUsable(backup) && backup.createdAt <= now);
  return {
    generatedAt: now.toISOString(),
    from: new Date(from).toISOString(),
    summary: {
      newestGoodBackup: newest
        ? {id: newest.id, at: newest.createdAt.toISOString(), sizeBytes: newest.sizeBytes}
        : null,
      backupsOnDisk: input.backups.length,
      damagedBackups: input.backups.filter((backup) => !isGood(backup)).length,
      storageBytes: sum(input.backups.map((backup) => backup.sizeBytes)),
      backupRuns: {ok: backupRuns.length - failed.length, failed: failed.length},
      lastRestoreTest: restoreTests.findLast(({outcome}) => outcome !== 'not-possible') ?? null,
      usualRestoreTime:
        median(restoreTests.flatMap((test) => (test.ok ? (test.restoreDuration ?? []) : []))) ?? null,
    },
    findings: input.findings,
    backups,
    failures: failed.map((run) => ({
      at: run.startedAt,
      database: run.database?.name ?? null,
      outcome: run.outcome,
      errorCode: run.errorCode,
    })),
    tables: largestTables(input.backups),
    weeks: countWeeks(new Date(from), now, backupRuns, failed, plan),
    storage: storageByAge(input.backups, now),
    places: (input.places ?? []).map(({place, backups: count, size, newestGood, error}) => ({
      place,
      backups: count,
      sizeBytes: size,
      newestAt: newestGood?.createdAt ?? null,
      error: error?.message ?? null,
    })),
    gaps: [
      ...longGaps(backups, new Set(groups.map(({database}) => database.name)), now),
      ...missedRuns(plan),
    ].sort((a, b) => (a.from < b.from ? -1 : 1)),
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

/** Backups by the audit log, with those that only the folder knows. */
function joinBackups(runs: readonly RunRecord[], onDisk: readonly Backup[]): ReportedBackup[] {
  const byId = new Map<string, ReportedBackup>();
  const ids = new Set(onDisk.map((backup) => backup.id));
  for (const backup of onDisk) {
    const {id, createdAt, database, format, sizeBytes, record} = backup;
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
    });
  }
  for (const run of runs) {
    if (run.command !== 'backup' || run.backupId === null || !['ok', 'alarm'].includes(run.outcome)) continue;
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
    });
  }
  return [...byId.values()].sort((a, b) => (a.at < b.at ? -1 : 1));
}

function largestTables(backups: readonly Backup[]): ReportData['tables'] {
  const seen = new Set<string>();
  return backups
    .flatMap((backup) => {
      // Newest first.
      if (!backup.record || !isUsable(backup) || seen.has(backup.database)) return [];
      seen.add(backup.database);
      return backup.record.tables.map(({schema, name, rows, sizeBytes}) => ({
        database: backup.database,
        table: qualifiedName({schema, name}),
        rows,
        sizeBytes: sizeBytes ?? null,
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
    return {age, count: members.length, sizeBytes: sum(members.map((backup) => backup.sizeBytes))};
  });
}

/** Stretches between backups of a database that are more than half as long again as the usual one; the last one is open while the database is watched. */
function longGaps(
  backups: readonly ReportedBackup[],
  watched: ReadonlySet<string>,
  now: Date,
): ReportData['gaps'] {
  return [...new Set(backups.map((backup) => backup.database))].flatMap((database) => {
    const times = backups.filter((backup) => backup.database === database).map(({at}) => Date.parse(at));
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
      if (end - start <= usual * 1.5 || (isOpen && !watched.has(database))) return [];
      return [
        {from: iso(start), until: iso(end), duration: end - start, what: `no new backup of ${database}`},
      ];
    });
  });
}

function missedRuns(plan: readonly CheckedJob[] | undefined): ReportData['gaps'] {
  return (plan ?? []).flatMap(({job, runs}) =>
    runs
      .filter((run) => run.state === 'missed')
      .map(({due}) => ({
        from: due.toISOString(),
        until: due.toISOString(),
        duration: 0,
        what: `"${job.sentence}" did not run`,
      })),
  );
}

const iso = (ms: number): string => new Date(ms).toISOString();

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** The middle value, of two the larger; undefined of none. */
function median(values: readonly number[]): number | undefined {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
}
