import {describe, expect, it} from 'vitest';
import {databaseNamed} from '../../../../src/lib/catalog/database-groups.js';
import type {RunRecord, WatchedDatabase} from '../../../../src/lib/run/run-record.js';
import {assessStatus} from '../../../../src/lib/services/status/assess.js';
import {sampleRecord} from '../../../support/sample-backups.js';
import {sampleRun} from '../../../support/sample-run.js';
import {simulateMonth, story} from '../../../support/simulated-month.js';
import {catalogueOf, limits, statusAt} from '../../../support/simulated-status.js';

const day = 86_400_000;
const now = new Date('2026-11-22T12:00:00Z');

/** The codes found at noon of each day of the month, without days that have none. */
function storyByStatus(): Record<string, string[]> {
  const days: Record<string, string[]> = {};
  for (let at = Date.parse(`${story.firstDay}T12:00:00Z`); at <= now.getTime(); at += day) {
    const noon = new Date(at).toISOString();
    const codes = statusAt(noon).findings.map(({code}) => code);
    if (codes.length > 0) days[noon.slice(0, 10)] = codes;
  }
  return days;
}

describe('the status over a simulated month', () => {
  it('reports the failures, the gap, the shrink and the failed restore test on their days, and nothing else', () => {
    const testFailed = ['RESTORE_TEST_FAILED', 'DAMAGED'];
    expect(storyByStatus()).toEqual({
      [story.connectionRefused]: ['TOO_OLD', 'RUN_FAILED'],
      [story.diskFull]: ['TOO_OLD', 'RUN_FAILED'],
      [story.missed[0]]: ['TOO_OLD'],
      [story.missed[1]]: ['TOO_OLD'],
      [story.interrupted]: ['TOO_OLD', 'RUN_FAILED'],
      [story.restoreTestFailed]: testFailed,
      '2026-11-16': testFailed,
      [story.shrunk]: ['SHRUNK', ...testFailed],
      '2026-11-18': testFailed,
      '2026-11-19': testFailed,
      '2026-11-20': testFailed,
      '2026-11-21': testFailed,
      [story.lastDay]: ['DAMAGED'],
    });
  });

  it('passes just before a limit and fails just after it', () => {
    const lastGood = `${story.ordersRestored}T03:00:00.000Z`;
    const at = (ms: number): string => new Date(Date.parse(lastGood) + limits.maxAge + ms).toISOString();
    expect(statusAt(at(0))).toMatchObject({ok: true, findings: []});
    expect(statusAt(at(1))).toMatchObject({ok: false, findings: [{code: 'TOO_OLD', severity: 'critical'}]});
  });

  it('counts the age from the newest backup that is proven to the required level', () => {
    const status = statusAt(`${story.lastDay}T12:00:00Z`, {require: 'restore'});
    expect(status.databases[0]?.newest).toMatchObject({id: 'shop-2026-11-22T02-00-00', proof: 'restore'});
    const before = statusAt('2026-11-21T12:00:00Z', {require: 'restore'});
    expect(before.databases[0]?.newest).toMatchObject({
      id: 'shop-2026-11-08T02-00-00',
      age: 13 * day + 10 * 3_600_000,
    });
    expect(before.findings[0]?.message).toBe(
      'shop: the newest usable backup proven by restore is 13 d 10 h old, limit 26 h (shop-2026-11-08T02-00-00).',
    );
  });

  it('checks the age of the last passed restore test, even if its backup was pruned', () => {
    const maxRestoreTestAge = 9 * day;
    expect(
      statusAt('2026-11-17T03:00:00Z', {maxRestoreTestAge}).findings.map(({code}) => code),
    ).not.toContain('RESTORE_TEST_TOO_OLD');
    expect(statusAt('2026-11-17T05:00:00Z', {maxRestoreTestAge}).findings.map(({code}) => code)).toContain(
      'RESTORE_TEST_TOO_OLD',
    );
    const {runs} = simulateMonth(now);
    const pruned = assessStatus(
      {catalogue: catalogueOf([sampleRecord('2026-11-22T02:00:00Z')]), runs, now, freeBytes: null},
      limits,
    );
    expect(pruned.databases[0]?.lastGoodRestoreTest).toMatchObject({
      at: '2026-11-22T04:00:00.000Z',
      restoreDuration: 119_000,
    });
  });

  it('adds up the backups', () => {
    const {backups} = simulateMonth(now);
    const status = statusAt(now.toISOString());
    expect(status.storage.used).toBe(backups.reduce((sum, {size}) => sum + size, 0));
    expect(status.databases).toMatchObject([
      {
        label: 'shop',
        host: 'db.example',
        failuresSince: 0,
        backups: {archive: 12, restore: 1, damaged: 1, unproven: 0},
      },
    ]);
  });
});

describe('the status', () => {
  const assess = (
    records: Parameters<typeof catalogueOf>[0],
    runs = [sampleRun({startedAt: '2026-11-01T00:00:00Z'})],
  ) => assessStatus({catalogue: catalogueOf(records), runs, now, freeBytes: 1e12}, limits);
  const codes = (...given: Parameters<typeof assess>): string[] =>
    assess(...given).findings.map(({code}) => code);
  const fresh = '2026-11-22T02:00:00Z';

  const failed = sampleRun({
    outcome: 'failed',
    exitCode: 3,
    errorCode: 'CONNECTION_REFUSED',
    errorMessage: 'No answer.',
    startedAt: '2026-11-22T05:00:00.000Z',
  });
  const reached = {name: 'shop', systemIdentifier: null, host: 'db.example', port: 5432};
  const sourcesOf = (records: Parameters<typeof catalogueOf>[0], runs: RunRecord[] = []) => ({
    catalogue: catalogueOf(records),
    runs,
    now,
    freeBytes: 1e12,
  });

  it('finds a named database without a successful backup, and an empty folder', () => {
    const named = [databaseNamed('shop')];
    const {findings} = assessStatus({...sourcesOf([], [failed]), named}, limits);
    expect(findings.map(({code}) => code)).toEqual(['NO_BACKUP', 'RUN_FAILED']);
    expect(codes([], [])).toEqual(['NO_BACKUP']);
  });

  it('names a killed run, which has no error code, by its message alone', () => {
    const killed = sampleRun({...failed, outcome: 'interrupted', exitCode: 137, errorCode: null});
    const {findings} = assess([sampleRecord(fresh)], [killed]);
    expect(findings.map(({message}) => message)).toEqual([
      expect.stringMatching(/, the last at 2026-11-22T05:00:00\.000Z: No answer\.$/),
    ]);
  });

  it('does not watch a database that only a mistyped URL names, and keeps the labels of the others', () => {
    const at = (changes: Partial<WatchedDatabase>) =>
      sampleRun({...failed, database: {...reached, ...changes} as RunRecord['database']});
    for (const mistyped of [at({name: 'shopp'}), at({host: 'db.exampel'}), at({port: 5433})]) {
      const status = assess([sampleRecord(fresh)], [mistyped]);
      expect(status).toMatchObject({ok: true, databases: [{label: 'shop', failuresSince: 0}]});
    }
  });

  it('counts failures at another host that the plan or the config uses, as one database for each name', () => {
    const moved = {...reached, host: 'new.example'};
    const run = sampleRun({...failed, database: {...moved}});
    const named = [moved, databaseNamed('shop'), databaseNamed('crm'), databaseNamed('crm')];
    const {databases, findings} = assessStatus({...sourcesOf([sampleRecord(fresh)], [run]), named}, limits);
    expect(databases.map(({label, failuresSince}) => [label, failuresSince])).toEqual([
      ['crm', 0],
      ['shop', 1],
    ]);
    expect(findings.map(({message}) => message.split(',')[0])).toEqual([
      'crm: there is no backup.',
      'shop: 1 backup run failed since the newest usable backup',
    ]);
  });

  it('forgets a database until it has a new backup, unless the plan or the config names it', () => {
    const retired = sampleRecord('2026-01-01T00:00:00Z', {databaseName: 'retired'});
    const database = {...reached, name: 'retired', systemIdentifier: '7300000000000000001'};
    const forgetting = {startedAt: '2026-11-21T00:00:00.000Z', forgotten: [database]};
    const forgot = sampleRun({command: 'status', database: null, ...forgetting});
    const labels = (...given: Parameters<typeof sourcesOf>): string[] =>
      assessStatus(sourcesOf(...given), limits).databases.map(({label}) => label);
    expect(labels([retired, sampleRecord(fresh)], [forgot])).toEqual(['shop']);
    const again = sampleRecord('2026-11-21T00:00:01Z', {databaseName: 'retired'});
    expect(labels([retired, again], [forgot])).toEqual(['retired']);
    const made = sampleRun({database, backupId: again.id, startedAt: '2026-11-21T00:00:01.000Z'});
    expect(labels([retired], [forgot, made])).toEqual(['retired']);
    const sources = {...sourcesOf([retired]), forgetting};
    expect(assessStatus(sources, limits).findings).toMatchObject([
      {code: 'NO_BACKUP', message: 'No database is watched: all databases with a backup were forgotten.'},
    ]);
    expect(assessStatus({...sources, databases: ['retired']}, limits).findings).toMatchObject([
      {code: 'TOO_OLD'},
    ]);
    expect(assessStatus({...sources, named: [databaseNamed('retired')]}, limits).databases).toHaveLength(1);
  });

  it('counts only incidents as failed backups', () => {
    const run = sampleRun({...failed, database: reached, incident: false});
    expect(codes([sampleRecord(fresh)], [run])).toEqual([]);
    expect(codes([sampleRecord(fresh)], [{...run, incident: true}])).toEqual(['RUN_FAILED']);
  });

  it('reports a requested database without a backup, with the nearest name', () => {
    const sources = {...sourcesOf([sampleRecord(fresh)]), databases: ['shopp']};
    expect(assessStatus(sources, limits).findings).toMatchObject([
      {severity: 'critical', code: 'NO_BACKUP', message: 'shopp: there is no backup. Did you mean shop?'},
    ]);
  });

  it('does not count schema-only or partial backups as a backup of the database', () => {
    const config = sampleRecord(fresh).config;
    expect(codes([sampleRecord(fresh, {config: {...config, schemaOnly: true}})])).toEqual(['NO_BACKUP']);
    expect(codes([sampleRecord(fresh, {config: {...config, includeTables: ['orders']}})])).toEqual([
      'NO_BACKUP',
    ]);
    expect(codes([sampleRecord(fresh, {config: {...config, excludeTables: ['logs']}})])).toEqual([]);
    expect(codes([sampleRecord(fresh, {config: {...config, excludeTableData: ['logs']}})])).toEqual([]);
  });

  it('finds no usable backup if a later check failed', () => {
    const proofs = [{level: 'checksum' as const, at: fresh, ok: false, duration: 1, findings: ['differs']}];
    expect(codes([sampleRecord(fresh, {proofs})])).toEqual(['DAMAGED']);
  });

  it('skips damaged backups as the newest one', () => {
    const proofs = [{level: 'checksum' as const, at: fresh, ok: false, duration: 1, findings: ['differs']}];
    const records = [sampleRecord('2026-11-19T02:00:00Z'), sampleRecord(fresh, {proofs})];
    expect(assess(records).databases[0]?.newest?.id).toBe('shop-2026-11-19T02-00-00');
    expect(codes(records)).toEqual(['TOO_OLD', 'DAMAGED']);
  });

  it('assigns a run without a connection to the database of that host, and previews to none', () => {
    const database = {name: 'shop', systemIdentifier: null, host: 'db.example', port: 5432};
    const run = sampleRun({database, outcome: 'failed', exitCode: 3, startedAt: '2026-11-22T05:00:00Z'});
    expect(codes([sampleRecord(fresh)], [run])).toEqual(['RUN_FAILED']);
    expect(codes([sampleRecord(fresh)], [{...run, mode: 'preview'}])).toEqual([]);
  });

  it('distinguishes two clusters that had the same address, as after an upgrade', () => {
    const newer = sampleRecord('2026-11-22T02:00:00Z');
    const older = sampleRecord('2026-11-20T02:00:00Z', {
      source: {...newer.source, systemIdentifier: '7200000000000000001'},
    });
    const status = assessStatus(
      {catalogue: catalogueOf([older, newer]), runs: [], now, freeBytes: null},
      limits,
    );
    expect(status.databases.map(({label}) => label)).toEqual([
      'shop@db.example:5432 (cluster 7200000000000000001)',
      'shop@db.example:5432 (cluster 7300000000000000001)',
    ]);
  });

  it('distinguishes two Supabase projects behind one pooler', () => {
    const {source} = sampleRecord(fresh);
    const behind = (project: string) =>
      sampleRecord(fresh, {
        id: `postgres-${project}`,
        databaseName: 'postgres',
        source: {...source, systemIdentifier: null, host: 'aws-0-eu.pooler.supabase.com', project},
      });
    const catalogue = catalogueOf([behind('abc'), behind('xyz')]);
    const {databases} = assessStatus({catalogue, runs: [], now, freeBytes: null}, limits);
    expect(databases.map(({label}) => label)).toEqual(['postgres@abc', 'postgres@xyz']);
  });

  it('never reports a backup as damaged if its restore test was not possible, even if 0.1.0 recorded that as a failure', () => {
    const at = '2026-11-22T03:00:00.000Z';
    const refused = {
      level: 'restore',
      at,
      ok: false,
      duration: 1,
      findings: [
        'It cannot be restored: pg_restore failed: pg_restore: error: could not execute query: ERROR:  extension "x" is not available.',
      ],
    } as const;
    const untested = {...refused, outcome: 'not-possible', code: 'PG_RESTORE_FAILED', hint: null} as const;
    const old = sampleRecord(fresh, {proofs: [{...refused, findings: [...refused.findings]}]});
    const current = sampleRecord(fresh, {notPossible: [{...untested, findings: [...untested.findings]}]});
    const logged = {
      backupId: old.id,
      level: 'restore',
      ok: false,
      duration: 1,
      restoreDuration: null,
    } as const;
    const run = sampleRun({
      command: 'verify',
      outcome: 'alarm',
      exitCode: 4,
      startedAt: at,
      verifications: [logged],
    });
    for (const [record, runs] of [
      [old, [run]],
      [current, []],
    ] as const) {
      const status = assessStatus({catalogue: catalogueOf([record]), runs, now, freeBytes: null}, limits);
      expect(status.findings.map(({code, severity}) => [code, severity])).toEqual([
        ['RESTORE_TEST_NOT_POSSIBLE', 'warning'],
      ]);
      expect(status.databases[0]).toMatchObject({newest: {id: record.id}, backups: {damaged: 0}});
    }
  });

  it('never counts a safety backup or a partial backup as the newest usable backup', () => {
    const good = sampleRecord('2026-11-22T01:00:00Z');
    const records = [
      good,
      sampleRecord('2026-11-22T02:00:00Z', {label: 'safety'}),
      sampleRecord('2026-11-22T03:00:00Z', {content: 'tables'}),
    ];
    const sources = {catalogue: catalogueOf(records), runs: [], now, freeBytes: null};
    expect(assessStatus(sources, limits).databases[0]?.newest?.id).toBe(good.id);
  });

  it('reports a backup from the future, a full disk and unreadable metadata', () => {
    expect(codes([sampleRecord('2026-11-22T13:00:00Z')])).toEqual(['FROM_THE_FUTURE']);
    const catalogue = {
      ...catalogueOf([sampleRecord(fresh, {size: 5000})]),
      problems: [{path: '/b/x', reason: 'no JSON'}],
    };
    const found = assessStatus({catalogue, runs: [], now, freeBytes: 4999}, limits).findings;
    expect(found.map(({code, severity}) => [code, severity])).toEqual([
      ['UNREADABLE_METADATA', 'warning'],
      ['DISK_LOW', 'warning'],
    ]);
  });

  it('checks only the requested databases', () => {
    const records = [sampleRecord('2026-01-01T00:00:00Z', {databaseName: 'retired'}), sampleRecord(fresh)];
    const sources = {catalogue: catalogueOf(records), runs: [], now, freeBytes: null};
    expect(assessStatus(sources, limits).findings.map(({database}) => database)).toEqual(['retired']);
    expect(assessStatus({...sources, databases: ['shop']}, limits)).toMatchObject({
      ok: true,
      databases: [{label: 'shop'}],
    });
  });
});
