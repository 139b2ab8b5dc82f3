/** Backups from a standby, where unlogged tables have no rows, and what a standby cannot do. */
import {rm} from 'node:fs/promises';
import {afterAll, beforeAll, expect, inject, it} from 'vitest';
import {readBackupRecord} from '../../src/lib/backups/backup-record.js';
import {withSession} from '../../src/lib/postgres/client.js';
import {type LocalCluster, startLocalCluster} from '../../src/lib/postgres/local-cluster.js';
import {backupDatabase} from '../../src/lib/services/backup-database.js';
import {restoreDatabase} from '../../src/lib/services/restore-database.js';
import {verifyBackup} from '../../src/lib/services/verify-backup.js';
import {until} from '../support/observe.js';
import {tempFolder} from '../support/run-cli.js';
import {startStandby} from '../support/standby.js';
import {urlOf} from '../support/temp-database.js';
import {testContext} from '../support/test-context.js';

const binFolder = inject('serverBin');
let primary: LocalCluster;
let standby: LocalCluster;
let folder: string;

beforeAll(async () => {
  folder = await tempFolder();
  primary = await startLocalCluster({binFolder, settings: ['max_connections = 100']});
  await withSession(primary.connection, (session) =>
    session.client
      .query(`CREATE TABLE public.orders (id int PRIMARY KEY); INSERT INTO public.orders SELECT generate_series(1, 500);
      CREATE UNLOGGED TABLE public.cache (id int); INSERT INTO public.cache SELECT generate_series(1, 100)`),
  );
  standby = await startStandby(primary, binFolder);
  // The time of what was replayed last is known from the first transaction on.
  await withSession(primary.connection, (session) =>
    session.client.query('INSERT INTO public.orders VALUES (501)'),
  );
  await until('the standby has replayed it', async () => {
    const rows = await withSession(standby.connection, (session) =>
      session.query('SELECT 1 FROM public.orders WHERE id = 501'),
    );
    return rows.length > 0;
  });
});
afterAll(async () => {
  await standby.stop();
  await primary.stop();
  await rm(folder, {recursive: true, force: true});
});

const contextOf = (server: LocalCluster) =>
  testContext(folder, {settings: {databaseUrl: urlOf(server.connection)}});

it.each(['custom', 'directory', 'sql'] as const)(
  'a backup is good although unlogged tables have no rows there, which it says: %s',
  async (format) => {
    const context = contextOf(standby);
    const {id, metadataPath, tables} = await backupDatabase(context, {format});
    expect(tables).toMatchObject([{table: 'public.orders', rows: 501}]);
    const said = context.warnings.join('\n');
    expect(said).toMatch(/standby, as of \d{4}-\d\d-\d\dT[\d:]+Z: .*hot_standby_feedback/);
    expect(said).toContain('1 unlogged table has no rows on a standby');
    expect((await readBackupRecord(metadataPath ?? '')).inventory.leftOut).toEqual([
      {table: 'public.cache', reason: 'unlogged: a standby has no rows of it'},
    ]);
    const proof = {backupFile: id ?? '', level: 'restore'} as const;
    for (const [at, kind] of [
      [standby, 'local'],
      [primary, 'same'],
    ] as const) {
      const {results} = await verifyBackup(contextOf(at), {...proof, scratch: {kind}});
      expect(results).toMatchObject([{outcome: 'passed', findings: []}]);
    }
  },
);

it('never begins on a standby what has to write', async () => {
  const {id} = await backupDatabase(contextOf(primary), {});
  const refusal = {code: 'NOT_SUPPORTED_HERE', message: expect.stringContaining('standby') as string};
  const request = {backupFile: id ?? '', targetDb: 'copy', createDb: true};
  await expect(restoreDatabase(contextOf(standby), {...request, dryRun: true})).rejects.toMatchObject(
    refusal,
  );
  await expect(restoreDatabase(contextOf(standby), request)).rejects.toMatchObject(refusal);
  const {results} = await verifyBackup(contextOf(standby), {
    backupFile: id ?? '',
    level: 'restore',
    scratch: {kind: 'same'},
  });
  expect(results).toMatchObject([
    {outcome: 'not-possible', findings: [expect.stringContaining('standby') as string]},
  ]);
});
