/** Backups of a database day by day, with noise that is the same at every run: metadata and audit log as this program writes them. */
import {createHash} from 'node:crypto';
import {join} from 'node:path';
import {backupId} from '../../src/lib/catalog/backup-name.js';
import type {BackupRecord, Verification} from '../../src/lib/catalog/backup-record.js';
import {appendRun} from '../../src/lib/run/append-history.js';
import type {RunRecord} from '../../src/lib/run/run-record.js';
import {sampleRecord, writeSampleBackup} from './sample-backups.js';
import {sampleRun} from './sample-run.js';

export interface HistoryPlan {
  readonly database?: string;
  /** The day of the first backup, such as "2026-09-23". */
  readonly firstDay: string;
  readonly days: number;
  /** Bytes of the backup of day `index`. */
  readonly size: (index: number) => number;
  /** Largest share by which a value differs from the plan. */
  readonly noise?: number;
  readonly seed?: number;
  /** Days, counted from 0, on which the backup fails. */
  readonly failedDays?: readonly number[];
  /** Days on which the backup has a tenth of the orders. */
  readonly shrunkDays?: readonly number[];
  /** Every how many days a restore test runs, and on which days it fails; no tests without it. */
  readonly restoreTests?: {readonly every: number; readonly failedDays?: readonly number[]};
  /** Whether the definitions and the orders are backed up by themselves, each day and each third day. */
  readonly hasPartial?: boolean;
}

export interface GeneratedHistory {
  /** Oldest first. */
  readonly runs: readonly RunRecord[];
  /** Oldest first. */
  readonly backups: readonly BackupRecord[];
}

const dayMs = 86_400_000;

/** The history that a plan describes. */
export function generateHistory(plan: HistoryPlan): GeneratedHistory {
  const {database = 'shop', noise = 0.02, failedDays = [], shrunkDays = [], restoreTests} = plan;
  const random = generator(plan.seed ?? 1);
  const vary = (value: number): number => Math.round(value * (1 + noise * (2 * random() - 1)));
  const source = {name: database, systemIdentifier: '7300000000000000001', host: 'db.example', port: 5432};
  const runs: RunRecord[] = [];
  const backups: BackupRecord[] = [];
  const add = (at: Date, record: BackupRecord): void => {
    const {schemaOnly, includeTables} = record.config;
    const isShrunk = record.shrink.length > 0;
    backups.push(record);
    runs.push(
      sampleRun({
        startedAt: at.toISOString(),
        database: source,
        backupId: record.id,
        format: record.format,
        schemaOnly,
        content: schemaOnly ? 'schema' : includeTables.length > 0 ? 'tables' : 'whole',
        size: record.size,
        duration: record.duration,
        databaseSize: record.source.sizeBytes,
        ...(isShrunk
          ? {outcome: 'alarm', exitCode: 4, alarms: ['public.orders has 1,440 rows, 14,300 before']}
          : {}),
      }),
    );
  };
  for (let index = 0; index < plan.days; index += 1) {
    const midnight = Date.parse(`${plan.firstDay}T00:00:00Z`) + index * dayMs;
    const at = (hour: number): Date => new Date(midnight + hour * 3_600_000);
    if (failedDays.includes(index)) {
      const errorMessage = 'Nothing answers at db.example:5432.';
      runs.push(
        sampleRun({
          startedAt: at(2).toISOString(),
          database: source,
          outcome: 'failed',
          exitCode: 3,
          errorCode: 'CONNECTION_REFUSED',
          errorMessage,
        }),
      );
      continue;
    }
    const isShrunk = shrunkDays.includes(index);
    const size = vary(plan.size(index) * (isShrunk ? 0.2 : 1));
    const whole = sampleRecord(at(2).toISOString(), {
      databaseName: database,
      size,
      duration: vary(size / 2000),
      source: {...sampleRecord(at(2).toISOString()).source, sizeBytes: vary(plan.size(index) * 4)},
      tables: ['orders', 'order_items', 'customers', 'products', 'sessions'].map((name, rank) => ({
        schema: 'public',
        name,
        rows: Math.round(size / 5000 / (rank + 1)),
        fingerprint: null,
        sizeBytes: Math.round((size * 2) / (rank + 1)),
      })),
      shrink: isShrunk ? [{table: 'public.orders', rowsBefore: 14_300, rowsNow: 1440}] : [],
    });
    add(at(2), whole);
    if (plan.hasPartial === true) {
      const part = (hour: number, share: number, config: Partial<BackupRecord['config']>): void =>
        add(
          at(hour),
          sampleRecord(at(hour).toISOString(), {
            databaseName: database,
            id: backupId(database, at(hour)),
            size: vary(plan.size(index) * share),
            duration: vary(3000),
            source: whole.source,
            config: {...whole.config, ...config},
          }),
        );
      part(3, 0.01, {schemaOnly: true});
      if (index % 3 === 0) part(4, 0.4, {includeTables: ['orders', 'order_items']});
    }
    if (restoreTests && index % restoreTests.every === 0) {
      const ok = restoreTests.failedDays?.includes(index) !== true;
      const restoreDuration = vary(size / 1200);
      const findings = ok ? [] : ['public.orders has other rows than the backup.'];
      const proof: Verification = {
        level: 'restore',
        at: at(5).toISOString(),
        ok,
        duration: restoreDuration + 20_000,
        findings,
        restoreDuration,
      };
      backups[backups.indexOf(whole)] = {...whole, proofs: [proof]};
      runs.push(
        sampleRun({
          startedAt: at(5).toISOString(),
          command: 'verify',
          database: source,
          backupId: whole.id,
          verifications: [
            {backupId: whole.id, level: 'restore', ok, duration: proof.duration, restoreDuration},
          ],
          ...(ok
            ? {}
            : {outcome: 'failed', exitCode: 4, errorCode: 'VERIFY_FAILED', errorMessage: findings.join(' ')}),
        }),
      );
    }
  }
  return {runs, backups};
}

/** Writes histories into a backups folder: one audit log in the order of time, the metadata and small dumps. */
export async function writeHistory(
  backupsDir: string,
  ...histories: readonly GeneratedHistory[]
): Promise<void> {
  const runs = histories.flatMap((history) => history.runs);
  for (const run of runs.toSorted((a, b) => (a.startedAt < b.startedAt ? -1 : 1)))
    await appendRun(backupsDir, run);
  for (const record of histories.flatMap(({backups}) => backups))
    await writeSampleBackup(join(backupsDir, 'database'), record.timestamp, record);
}

/** Numbers from 0 to 1, the same for the same seed. */
function generator(seed: number): () => number {
  let count = 0;
  return () => {
    count += 1;
    return createHash('sha256').update(`${seed} ${count}`).digest().readUInt32BE(0) / 2 ** 32;
  };
}
