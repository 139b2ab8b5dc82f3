/** The simulated month as series. */
import {beforeAll, describe, expect, it} from 'vitest';
import type {Verification} from '../../../../src/lib/catalog/backup-record.js';
import {readCatalogue} from '../../../../src/lib/catalog/catalogue.js';
import {type ReportData, reportData} from '../../../../src/lib/services/report/report-data.js';
import {tempFolder} from '../../../support/run-cli.js';
import {sampleRecord, writeOldScriptBackup} from '../../../support/sample-backups.js';
import {sampleRun} from '../../../support/sample-run.js';
import {catalogueOf} from '../../../support/simulated-status.js';
import {story} from '../../../support/simulated-month.js';
import {reportedAt as now, simulatedReport} from '../../../support/simulated-report.js';

let data: ReportData;

beforeAll(async () => {
  data = await simulatedReport();
});

describe('reportData of the simulated month', () => {
  it('counts successful, failed and missed runs, week by week', () => {
    expect(data.summary.backupRuns).toEqual({ok: 30, failed: 3});
    expect(data.weeks).toEqual([
      {week: '2026-10-19', ok: 3, failed: 0, missed: 0},
      {week: '2026-10-26', ok: 7, failed: 1, missed: 0},
      {week: '2026-11-02', ok: 7, failed: 1, missed: 0},
      {week: '2026-11-09', ok: 5, failed: 1, missed: 2},
      {week: '2026-11-16', ok: 8, failed: 0, missed: 0},
    ]);
    expect(data.failures.map(({at, errorCode}) => [at.slice(0, 10), errorCode])).toEqual([
      [story.connectionRefused, 'CONNECTION_REFUSED'],
      [story.diskFull, 'DISK_FULL'],
      [story.interrupted, 'INTERRUPTED'],
    ]);
  });

  it('shows the backup that shrank, and backups that retention removed later', () => {
    const shrunk = data.backups.filter((backup) => backup.alarms.length > 0);
    expect(shrunk.map((backup) => backup.at.slice(0, 10))).toEqual([story.shrunk]);
    expect(data.backups).toHaveLength(30);
    expect(data.backups.filter((backup) => backup.isOnDisk).length).toBe(data.summary.backupsOnDisk);
    expect(data.summary.backupsOnDisk).toBeLessThan(30);
  });

  it('finds the gap while the machine was off, and the missed runs', () => {
    const longest = [...data.gaps].sort((a, b) => b.duration - a.duration)[0];
    expect(longest).toMatchObject({from: '2026-11-08T03:00:00.000Z', until: '2026-11-11T02:00:00.000Z'});
    const missed = data.gaps.filter((gap) => gap.what.includes('did not run'));
    expect(missed.map((gap) => gap.from.slice(0, 10))).toEqual([...story.missed]);
  });

  it('contains the restore tests with their measured times, including the failed one', () => {
    expect(data.restoreTests.filter((test) => !test.ok).map((test) => test.at.slice(0, 10))).toEqual([
      story.restoreTestFailed,
    ]);
    expect(data.summary.lastRestoreTest).toMatchObject({ok: true});
    expect(data.summary.usualRestoreTime).toBe(105_000);
  });

  it('omits previews of order cleanings', () => {
    expect(data.orderRuns.map(({command, orders}) => [command, orders])).toEqual([
      ['orders:clean', 12],
      ['orders:restore', 12],
    ]);
  });

  it('sorts storage into ages that add up', () => {
    expect(data.storage.reduce((sum, part) => sum + part.sizeBytes, 0)).toBe(data.summary.storageBytes);
    expect(data.storage.map((part) => part.count)).toEqual([2, 6, 6, 0, 0, 0]);
  });

  it('contains the tables of the newest usable backup, largest first', () => {
    expect(data.tables.map((table) => table.table)).toEqual(['public.orders', 'public.products']);
  });
});

it('reports an empty history', () => {
  const empty = reportData({backups: [], runs: [], plan: undefined, findings: [], now});
  expect(empty.summary).toEqual({
    newestGoodBackup: null,
    backupsOnDisk: 0,
    damagedBackups: 0,
    storageBytes: 0,
    backupRuns: {ok: 0, failed: 0},
    lastRestoreTest: null,
    usualRestoreTime: null,
  });
  expect([empty.backups, empty.gaps, empty.tables]).toEqual([[], [], []]);
});

it('contains backups that are not in the audit log', async () => {
  const folder = await tempFolder();
  const id = await writeOldScriptBackup(folder, '2026-11-20T02:00:00.000Z');
  const {backups} = await readCatalogue(folder);
  const old = reportData({backups, runs: [], plan: undefined, findings: [], now});
  expect(old.backups).toMatchObject([{id, sizeBytes: 6, duration: null, isOnDisk: true}]);
});

it('counts neither a damaged nor a partial backup as the newest usable backup, like status', () => {
  const proof: Verification = {
    level: 'archive',
    at: '2026-11-21T05:00:00.000Z',
    ok: false,
    duration: 1,
    findings: ['cut'],
  };
  const whole = sampleRecord('2026-11-20T02:00:00.000Z');
  const [orders] = whole.tables;
  if (!orders) throw new Error('the sample has no tables');
  const damaged = sampleRecord('2026-11-21T02:00:00.000Z', {
    proofs: [proof],
    tables: [{...orders, name: 'of the damaged one'}],
  });
  const schemaOnly = sampleRecord('2026-11-22T02:00:00.000Z', {config: {...whole.config, schemaOnly: true}});
  const oneTable = sampleRecord('2026-11-22T03:00:00.000Z', {
    config: {...whole.config, includeTables: ['orders']},
    tables: [orders],
  });
  const records = [whole, damaged, schemaOnly, oneTable];
  const {summary, tables} = reportData({
    backups: catalogueOf(records).backups,
    runs: [],
    plan: undefined,
    findings: [],
    now,
  });
  expect(summary.newestGoodBackup?.id).toBe(whole.id);
  expect(tables.map(({table}) => table)).toEqual(['public.orders', 'public.products']);
});

it('covers a quarter, and ignores times in the future of a wrong clock', () => {
  const days = ['2026-08-01', '2026-08-30', '2026-11-21', '2026-11-30'];
  const runs = days.map((day) =>
    sampleRun({startedAt: `${day}T02:00:00.000Z`, backupId: `shop-${day}`, rows: 5}),
  );
  const report = reportData({backups: [], runs, plan: undefined, findings: [], now});
  expect(report.summary.backupRuns).toEqual({ok: 2, failed: 0});
  expect(report.backups.map(({id, rows}) => [id, rows])).toEqual([
    ['shop-2026-08-30', 5],
    ['shop-2026-11-21', 5],
  ]);
  const {backups} = catalogueOf(days.map((day) => sampleRecord(`${day}T02:00:00.000Z`)));
  expect(reportData({backups, runs: [], plan: undefined, findings: [], now}).backups[0]?.at).toBe(
    '2026-08-30T02:00:00.000Z',
  );
});

it('derives the usual restore time from passed tests', () => {
  const test = (restoreDuration: number, ok: boolean) =>
    sampleRun({
      command: 'verify',
      verifications: [{backupId: 'a', level: 'restore', ok, duration: 1, restoreDuration}],
    });
  const runs = [test(100, true), test(1, false), test(2, false)];
  expect(reportData({backups: [], runs, plan: undefined, findings: [], now}).summary.usualRestoreTime).toBe(
    100,
  );
});

it('counts neither a backup with a mistyped URL nor a refusal at a terminal as a failure, and ends the gaps of a forgotten database', () => {
  const database = {name: 'shop', systemIdentifier: null, host: 'db.example', port: 5432};
  const failed = {outcome: 'failed', exitCode: 3, errorCode: 'DATABASE_NOT_FOUND'} as const;
  const runs = [
    sampleRun({...failed, database: {...database, name: 'shopp'}}),
    sampleRun({...failed, exitCode: 5, incident: false, database}),
    sampleRun({...failed, database}),
  ];
  const {backups} = catalogueOf(
    ['2026-11-01', '2026-11-02', '2026-11-03'].map((day) => sampleRecord(`${day}T02:00:00Z`)),
  );
  const report = reportData({backups, runs, plan: undefined, findings: [], now});
  expect(report.summary.backupRuns).toEqual({ok: 0, failed: 1});
  expect(report.gaps.map(({what}) => what)).toEqual(['no new backup of shop']);
  const forgot = sampleRun({command: 'status', startedAt: '2026-11-22T03:00:00.000Z', forgotten: [database]});
  expect(reportData({backups, runs: [...runs, forgot], plan: undefined, findings: [], now}).gaps).toEqual([]);
});
