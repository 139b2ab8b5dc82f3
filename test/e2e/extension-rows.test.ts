/** Tables of extensions that have rows of their own, of which a dump has only those of users, as spatial_ref_sys of PostGIS. */
import {rm} from 'node:fs/promises';
import {fileURLToPath} from 'node:url';
import {afterAll, beforeAll, expect, inject, it} from 'vitest';
import {type Connection, withDatabase} from '../../src/lib/postgres/connect/connection.js';
import {type LocalCluster, startLocalCluster} from '../../src/lib/postgres/tools/local-cluster.js';
import {backupDatabase} from '../../src/lib/services/backup/local-backup.js';
import {refresh} from '../../src/lib/services/refresh/refresh.js';
import {runCli, tempFolder} from '../support/run-cli.js';
import {withAppSession} from '../support/app-session.js';
import {installationWithExtensions} from '../support/extensions.js';
import {urlOf} from '../support/temp-database.js';
import {testContext} from '../support/test-context.js';

const files = fileURLToPath(new URL('../fixtures/extensions/', import.meta.url));
let cluster: LocalCluster;
let folder: string;

const of = (name: string): Connection => withDatabase(cluster.connection, name);
const execute = (name: string, sql: string) =>
  withAppSession(of(name), async (session) => void (await session.client.query(sql)));
const one = (name: string, sql: string) =>
  withAppSession(of(name), async (session) => Object.values((await session.query(sql))[0] ?? {})[0]);
const counts = `SELECT (SELECT count(*) FROM map_system) || ' ' || (SELECT count(*) FROM map_option) || ' ' || (SELECT count(*) FROM place)`;
const program = (...args: string[]) =>
  runCli([...args, `--pg-bin=${inject('serverBin')}`], {
    cwd: folder,
    env: {DIRECT_URL: urlOf(of('maps'))},
  });

beforeAll(async () => {
  folder = await tempFolder();
  const binFolder = await installationWithExtensions(inject('serverBin'), files);
  cluster = await startLocalCluster({binFolder, settings: ['jit = off', 'autovacuum = off']});
  await execute('postgres', 'CREATE DATABASE maps');
  await execute(
    'maps',
    `CREATE EXTENSION map_systems; INSERT INTO map_system VALUES (901, 'our own'); INSERT INTO map_option VALUES ('north up');
     CREATE TABLE place (id int PRIMARY KEY, owner text); INSERT INTO place VALUES (1, 'Anna'), (2, 'Ben')`,
  );
  const {status, stderr} = await program('backup', '--format=custom');
  expect(stderr).not.toContain('Error');
  expect(status).toBe(0);
});

afterAll(async () => {
  await cluster.stop();
  await rm(folder, {recursive: true, force: true});
});

it('are restored into a new database, and the backup is proven by a restore', async () => {
  const restored = await program('restore', '--latest', '--target-db=maps_new', '--create-db', '--yes');
  expect(restored.stderr).toContain('Compare: 3 tables, 4 rows');
  expect(restored.status).toBe(0);
  expect(await one('maps_new', counts)).toBe('501 1 2');
  const verified = await program('verify', '--latest', '--level=restore');
  expect(verified.stdout).toContain('every row equal, 4 rows');
  expect(verified.status).toBe(0);
});

it('are rows alone of an extension that exists', async () => {
  await execute('postgres', 'CREATE DATABASE maps_rows');
  await execute(
    'maps_rows',
    'CREATE EXTENSION map_systems; CREATE TABLE place (id int PRIMARY KEY, owner text)',
  );
  const args = ['restore', '--latest', '--target-db=maps_rows', '--data-only', '--yes'];
  expect((await program(...args)).status).toBe(0);
  expect(await one('maps_rows', counts)).toBe('501 1 2');
  const again = await program(...args);
  expect(again.stderr).toContain('TARGET_NOT_EMPTY');
  expect(again.stderr).toContain('public.map_system');
});

it('are compared with the live database', async () => {
  const equal = await program('diff', 'latest');
  expect(equal.stdout).toContain('Both sides are equal.');
  await execute('maps', `INSERT INTO map_system VALUES (902, 'another')`);
  try {
    const {stdout} = await program('diff', 'latest');
    expect(stdout).toMatch(/public\.map_system +1 +0 +0\n/);
    expect(stdout).not.toContain('only in the backup');
  } finally {
    await execute('maps', 'DELETE FROM map_system WHERE id = 902');
  }
});

it('are in a masked copy', async () => {
  const context = testContext(folder, {
    settings: {databaseUrl: urlOf(of('maps')), config: {masks: {'public.place.owner': {mask: 'name'}}}},
    env: {STAGING_URL: urlOf(of('maps_staging'))},
  });
  await backupDatabase(context, {format: 'custom'});
  const {masked} = await refresh(context, {}, {targetUrlEnv: 'STAGING_URL', keepSetAside: 0});
  expect(masked?.proof.passed).toBe(true);
  expect(await one('maps_staging', counts)).toBe('501 1 2');
});
