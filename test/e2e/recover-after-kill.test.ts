import {readdir, rm} from 'node:fs/promises';
import {join} from 'node:path';
import {setTimeout as delay} from 'node:timers/promises';
import {afterAll, beforeAll, expect, inject, it} from 'vitest';
import {readCatalogue} from '../../src/lib/catalog/catalogue.js';
import type {Session} from '../../src/lib/postgres/client.js';
import {withAppSession} from '../support/app-session.js';
import {type Connection, withDatabase} from '../../src/lib/postgres/connect/connection.js';
import {listDatabases} from '../../src/lib/postgres/databases/owner-comment.js';
import {type LocalCluster, startLocalCluster} from '../../src/lib/postgres/tools/local-cluster.js';
import type {RecoverResult} from '../../src/lib/services/recover/recover.js';
import {runCli, tempFolder} from '../support/run-cli.js';
import {urlOf} from '../support/temp-database.js';

// A separate server, because recover looks at every database of a server.
let cluster: LocalCluster;
let shop: Connection;
let home = '';
beforeAll(async () => {
  home = await tempFolder();
  cluster = await startLocalCluster({binFolder: inject('serverBin')});
  shop = withDatabase(cluster.connection, 'shop');
  await withAppSession(cluster.connection, (session) => session.query('CREATE DATABASE shop'));
  await withAppSession(shop, async (session) => {
    await session.query('CREATE TABLE orders AS SELECT id FROM generate_series(1, 100) id');
    // Building this index never ends except in the shop itself, so the restore waits to be killed.
    await session.query(`CREATE FUNCTION slow(id int) RETURNS int IMMUTABLE LANGUAGE sql AS
      $$ SELECT CASE WHEN current_database() = 'shop' THEN id ELSE id + length(pg_sleep(600)::text) END $$`);
    await session.query('CREATE INDEX ON orders (slow(id))');
  });
});
afterAll(async () => {
  await cluster.stop();
  await rm(home, {recursive: true, force: true});
});

const database = () => join(home, 'backups', 'database');
const cli = (...args: string[]) => runCli(args, {cwd: home, env: {DIRECT_URL: urlOf(shop)}});

/** Runs the command and kills it as soon as `isReached`. */
async function killWhen(isReached: () => Promise<boolean>, ...args: string[]): Promise<void> {
  let pid: number | undefined;
  const run = runCli(args, {
    cwd: home,
    env: {DIRECT_URL: urlOf(shop)},
    onStart: (child) => (pid = child.pid),
  });
  const state = {isOver: false};
  void run.finally(() => (state.isOver = true));
  while (!state.isOver && !(await isReached())) await delay(10);
  if (pid !== undefined) process.kill(pid, 'SIGKILL');
  expect((await run).signal).toBe('SIGKILL');
}

async function isWaiting(session: Session, what: string): Promise<boolean> {
  const sql = 'SELECT 1 FROM pg_stat_activity WHERE wait_event_type = $1 OR wait_event = $1';
  return (await session.query(sql, [what])).length > 0;
}

it('a killed backup leaves nothing that looks like a backup; the next run says so, and recover removes it', async () => {
  await withAppSession(shop, async (session) => {
    await session.query('BEGIN');
    await session.query('LOCK TABLE orders IN ACCESS EXCLUSIVE MODE');
    await withAppSession(cluster.connection, (watcher) =>
      killWhen(() => isWaiting(watcher, 'Lock'), 'backup', '--format', 'directory'),
    );
    await session.query('ROLLBACK');
  });
  expect((await readdir(database())).filter((name) => !name.endsWith('.partial'))).toEqual([]);
  expect(await readdir(join(home, 'backups', '.journal'))).toHaveLength(1);
  const next = await cli('backup', '--json');
  expect(next.status).toBe(0);
  expect(next.stderr).toContain('Interrupted runs (backup) left unfinished work');
  const before = await readdir(database());
  expect(before.filter((name) => name.endsWith('.partial'))).toHaveLength(1);
  const dry = await cli('recover', '--dry-run', '--json');
  expect((dry.json() as RecoverResult).recovered.map((one) => one.action)).toEqual(['remove']);
  expect(await readdir(database())).toEqual(before);
  expect((await cli('recover')).status).toBe(5);
  expect((await cli('recover', '--yes')).status).toBe(0);
  expect((await readdir(database())).filter((name) => name.endsWith('.partial'))).toEqual([]);
  expect(await readdir(join(home, 'backups', '.journal'))).toEqual([]);
  expect((await cli('recover', '--yes')).stdout).toContain('Interrupted runs left nothing behind.');
});

it('a backup that was killed when only the name of its metadata was missing is completed by recover', async () => {
  const before = (await readCatalogue(database())).backups.length;
  const env = {DIRECT_URL: urlOf(shop), DESTINO_DB_FAULT: 'backup.published=SIGKILL'};
  expect((await runCli(['backup'], {cwd: home, env})).signal).toBe('SIGKILL');
  expect((await readCatalogue(database())).backups).toHaveLength(before);
  const recovered = await cli('recover', '--yes', '--json');
  expect(recovered.json()).toMatchObject({recovered: [{kind: 'dump-without-metadata', action: 'finish'}]});
  const {backups} = await readCatalogue(database());
  expect(backups).toHaveLength(before + 1);
  expect((await cli('verify', '--backup-file', backups[0]?.id ?? '')).status).toBe(0);
});

it('the scratch database of a killed restore test is dropped, with the restore that is still running and its temporary folder', async () => {
  await withAppSession(cluster.connection, async (watcher) => {
    const scratch = async () =>
      (await listDatabases(watcher)).filter((one) => one.mark?.kind === 'scratch').map((one) => one.name);
    await killWhen(() => isWaiting(watcher, 'PgSleep'), 'verify', '--latest', '--level', 'restore');
    expect(await scratch()).toHaveLength(1);
    const result = (await cli('recover', '--yes', '--json')).json() as RecoverResult;
    expect(result.recovered).toMatchObject([
      {kind: 'partial', action: 'remove', what: expect.stringMatching(/\/destino-db-list-\w{6}$/) as string},
      {kind: 'scratch-database', action: 'drop'},
    ]);
    expect(await scratch()).toEqual([]);
    expect(await isWaiting(watcher, 'PgSleep')).toBe(false);
  });
});

it('recover does not report success if it cannot reach the server', async () => {
  const elsewhere = await tempFolder();
  const unreachable = await runCli(['recover', '--yes'], {
    cwd: elsewhere,
    env: {DIRECT_URL: 'postgresql://u:p@127.0.0.1:1/shop'},
  });
  expect([unreachable.status, unreachable.stdout]).toEqual([
    3,
    expect.stringContaining('The server was not looked at: '),
  ]);
  expect((await runCli(['recover', '--yes'], {cwd: elsewhere})).status).toBe(0);
});
