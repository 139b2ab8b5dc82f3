/** A month of the shop's backup runs, 24 October to 22 November 2026, in the audit log and the folder. */
import {createHash} from 'node:crypto';
import {join} from 'node:path';
import type {BackupRecord, Verification} from '../../src/lib/catalog/backup-record.js';
import {appendRun} from '../../src/lib/run/append-history.js';
import {noFacts, type RunFacts, type RunRecord} from '../../src/lib/run/run-record.js';
import {sampleRecord, writeSampleBackup} from './sample-backups.js';

/**
 * The plan: a custom backup every day at 02:00 kept for 14 days, a sql backup on Sundays at 03:00, a restore test of
 * the newest custom backup on Sundays at 04:00. The exceptions, by day (all times UTC):
 */
export const story = {
  firstDay: '2026-10-24',
  lastDay: '2026-11-22',
  /** The server did not answer. */
  connectionRefused: '2026-10-30',
  diskFull: '2026-11-05',
  /** Orders were cleaned at 09:10, after a preview at 09:00 ... */
  ordersCleaned: '2026-11-07',
  /** ... and restored at 10:00 of this day. */
  ordersRestored: '2026-11-08',
  /** The machine was off: no runs at all. */
  missed: ['2026-11-09', '2026-11-10'],
  interrupted: '2026-11-12',
  /** The Sunday backup of this day could not be restored. */
  restoreTestFailed: '2026-11-15',
  /** The backup of this day contained a tenth of the orders; the next day's contained all of them again. */
  shrunk: '2026-11-17',
} as const;

export interface SimulatedMonth {
  /** Oldest first. */
  readonly runs: readonly RunRecord[];
  /** The backups that exist at the end, oldest first. */
  readonly backups: readonly BackupRecord[];
}

const dayMs = 86_400_000;
const keepMs = 14 * dayMs;
const database = {name: 'shop', systemIdentifier: '7300000000000000001', host: 'db.example', port: 5432};

/** The month at `until`: started runs and existing backups. */
export function simulateMonth(until = new Date(`${story.lastDay}T12:00:00Z`)): SimulatedMonth {
  const runs: RunRecord[] = [];
  let backups: BackupRecord[] = [];

  const run = (
    at: string,
    command: string,
    duration: number,
    facts: RunFacts,
    ending: Partial<RunRecord> = {},
  ): void => {
    runs.push({
      schemaVersion: 1,
      runId: uuidOf(`${at} ${command}`),
      command,
      toolVersion: '0.1.0',
      user: 'backup',
      host: 'ops.example',
      startedAt: at,
      duration,
      outcome: 'ok',
      exitCode: 0,
      errorCode: null,
      errorMessage: null,
      warnings: [],
      ...noFacts,
      database,
      ...facts,
      ...ending,
    });
  };
  const failed = (exitCode: number, errorCode: string, errorMessage: string): Partial<RunRecord> => ({
    outcome: exitCode >= 130 ? 'interrupted' : 'failed',
    exitCode,
    errorCode,
    errorMessage,
  });

  const backup = (day: string, index: number, time: string, format: 'custom' | 'sql'): void => {
    const at = `${day}T${time}:00.000Z`;
    const notConnected: RunFacts = {database: {...database, systemIdentifier: null}, format};
    if (format === 'custom' && day === story.connectionRefused) {
      return run(
        at,
        'backup',
        15_000,
        notConnected,
        failed(3, 'CONNECTION_REFUSED', 'Nothing answers at db.example:5432.'),
      );
    }
    if (format === 'custom' && day === story.diskFull) {
      return run(
        at,
        'backup',
        41_000,
        {format},
        failed(3, 'DISK_FULL', 'The disk is full: nothing was kept.'),
      );
    }
    if (format === 'custom' && day === story.interrupted) {
      return run(
        at,
        'backup',
        20_000,
        {format},
        failed(
          130,
          'INTERRUPTED',
          'Interrupted. Unfinished work was cleaned up, except where a warning says otherwise.',
        ),
      );
    }
    const isShrunk = format === 'custom' && day === story.shrunk;
    const fullOrders = 12_000 + 100 * index;
    const orders = isShrunk ? Math.round(fullOrders / 10) : fullOrders;
    const duration = 60_000 + 500 * index + (format === 'sql' ? 9000 : 0);
    const proof: Verification = {
      level: 'archive',
      at: new Date(Date.parse(at) + duration).toISOString(),
      ok: true,
      duration: 8000,
      findings: [],
    };
    const record = sampleRecord(at, {
      format,
      size: Math.round(
        (100_000_000 + 1_000_000 * index) * (isShrunk ? 0.2 : 1) * (format === 'sql' ? 1.3 : 1),
      ),
      duration,
      tables: [
        {schema: 'public', name: 'orders', rows: orders, fingerprint: null, sizeBytes: 30_000 * orders},
        {schema: 'public', name: 'products', rows: 40, fingerprint: null, sizeBytes: 81_920},
      ],
      verification: proof,
      shrink: isShrunk ? [{table: 'public.orders', rowsBefore: fullOrders - 100, rowsNow: orders}] : [],
    });
    const old = isShrunk
      ? []
      : backups.filter(({timestamp}) => Date.parse(at) - Date.parse(timestamp) > keepMs);
    backups = [...backups.filter((other) => !old.includes(other)), record];
    run(
      at,
      'backup',
      duration,
      {
        format,
        backupId: record.id,
        size: record.size,
        databaseSize: record.size * 4,
        rows: orders + 40,
        verifications: [
          {backupId: record.id, level: 'archive', ok: true, duration: 8000, restoreDuration: null},
        ],
        pruned: old.map(({id}) => id),
        alarms: record.shrink.map(
          ({table, rowsBefore, rowsNow}) => `${table} has ${rowsNow} rows, ${rowsBefore} before.`,
        ),
      },
      isShrunk ? {outcome: 'alarm', exitCode: 4} : {},
    );
  };

  const restoreTest = (day: string, index: number): void => {
    const at = `${day}T04:00:00.000Z`;
    const tested = backups.findLast(({format}) => format === 'custom');
    if (!tested) return;
    const ok = day !== story.restoreTestFailed;
    const restoreDuration = 90_000 + 1000 * index;
    const duration = restoreDuration + 30_000;
    const findings = ok ? [] : ['public.orders holds other rows than the backup.'];
    const proof: Verification = {level: 'restore', at, ok, duration, findings, restoreDuration};
    backups = backups.map((other) =>
      other === tested ? {...other, proofs: [...other.proofs, proof]} : other,
    );
    run(
      at,
      'verify',
      duration,
      {
        backupId: tested.id,
        format: 'custom',
        verifications: [{backupId: tested.id, level: 'restore', ok, duration, restoreDuration}],
      },
      ok ? {} : failed(4, 'VERIFY_FAILED', `${tested.id} was restored and differs: ${findings.join(' ')}`),
    );
  };

  const first = Date.parse(`${story.firstDay}T00:00:00Z`);
  for (let index = 0; first + index * dayMs <= until.getTime(); index += 1) {
    const day = new Date(first + index * dayMs).toISOString().slice(0, 10);
    if (story.missed.some((missed) => missed === day)) continue;
    const steps: [string, () => void][] = [['02:00', () => backup(day, index, '02:00', 'custom')]];
    if (new Date(`${day}T00:00:00Z`).getUTCDay() === 0) {
      steps.push(
        ['03:00', () => backup(day, index, '03:00', 'sql')],
        ['04:00', () => restoreTest(day, index)],
      );
    }
    if (day === story.ordersCleaned) {
      const counts = {orders: 12, deletedRows: 61};
      steps.push(
        ['09:00', () => run(`${day}T09:00:00.000Z`, 'orders:clean', 800, {mode: 'preview', ...counts})],
        ['09:10', () => run(`${day}T09:10:00.000Z`, 'orders:clean', 2100, counts)],
      );
    }
    if (day === story.ordersRestored) {
      steps.push([
        '10:00',
        () => run(`${day}T10:00:00.000Z`, 'orders:restore', 1900, {orders: 12, restoredRows: 61}),
      ]);
    }
    for (const [time, step] of steps) if (new Date(`${day}T${time}:00Z`) <= until) step();
  }
  return {runs, backups};
}

/** Writes the month at `until` into a backups folder: the audit log, the metadata and small dumps. */
export async function writeSimulatedMonth(backupsDir: string, until?: Date): Promise<SimulatedMonth> {
  const month = simulateMonth(until);
  for (const run of month.runs) await appendRun(backupsDir, run);
  for (const record of month.backups) {
    await writeSampleBackup(join(backupsDir, 'database'), record.timestamp, record);
  }
  return month;
}

/** A UUID that is the same for the same text. */
function uuidOf(text: string): string {
  const hex = createHash('sha256').update(text).digest('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}
