/** Two servers behind one address: no run uses both, and nothing is dumped or changed if a second one is detected. */
import {readdir, rm} from 'node:fs/promises';
import {join} from 'node:path';
import {afterAll, beforeAll, expect, inject, it} from 'vitest';
import {AppError} from '../../src/lib/base/errors.js';
import type {Connection} from '../../src/lib/postgres/connect/connection.js';
import {type LocalCluster, startLocalCluster} from '../../src/lib/postgres/tools/local-cluster.js';
import {backupDatabase} from '../../src/lib/services/backup/local-backup.js';
import {checkMachine} from '../../src/lib/services/doctor/doctor.js';
import {restoreDatabase} from '../../src/lib/services/restore/execute.js';
import {withAppSession} from '../support/app-session.js';
import {tempFolder} from '../support/run-cli.js';
import {startBalancer} from '../support/server-proxy.js';
import {startStandby} from '../support/standby.js';
import {urlOf} from '../support/temp-database.js';
import {testContext} from '../support/test-context.js';

const binFolder = inject('serverBin');
let one: LocalCluster;
let other: LocalCluster;
let standby: LocalCluster;
let folder: string;

beforeAll(async () => {
  folder = await tempFolder();
  [one, other] = await Promise.all([startLocalCluster({binFolder}), startLocalCluster({binFolder})]);
  for (const [server, rows] of [
    [one, 100],
    [other, 200],
  ] as const)
    await run(
      server.connection,
      `CREATE ROLE twin SUPERUSER LOGIN PASSWORD 'x'; CREATE TABLE orders (id int PRIMARY KEY);
       INSERT INTO orders SELECT generate_series(1, ${rows})`,
    );
  standby = await startStandby(one, binFolder);
});
afterAll(async () => {
  await standby.stop();
  await Promise.all([one.stop(), other.stop()]);
  await rm(folder, {recursive: true, force: true});
});

const run = (connection: Connection, sql: string) =>
  withAppSession(connection, async (session) => {
    await session.client.query(sql);
  });

const stateOf = ({connection}: LocalCluster) =>
  withAppSession(connection, async (session) => [
    ...(await session.query(
      'SELECT datname AS name FROM pg_database UNION ALL SELECT id::text FROM orders ORDER BY 1',
    )),
  ]);

const contextOf = (connection: Connection) =>
  testContext(folder, {settings: {databaseUrl: urlOf({...connection, user: 'twin', password: 'x'})}});

const backups = async (): Promise<string[]> =>
  (await readdir(join(folder, 'backups', 'database')).catch(() => [])).sort();

const several = {code: 'SEVERAL_SERVERS'};

it('a backup detects a connection to another server, in any position, or stores nothing from there', async () => {
  let before = await backups();
  let noticed = 0;
  for (let astray = 1, isDone = false; !isDone; astray += 1) {
    const balancer = await startBalancer((count) => (count === astray ? other : one).connection);
    const made = backupDatabase(contextOf(balancer.connection), {format: 'directory', parallelJobs: 2});
    const outcome = await made.catch((error: unknown) => error);
    await balancer.close();
    isDone = balancer.count() < astray;
    if (outcome instanceof AppError) {
      expect(outcome, `connection ${astray}`).toMatchObject(several);
      expect(await backups()).toEqual(before);
      noticed += 1;
    } else {
      // pg_dump found no snapshot there and ran again, or nothing was asked of that session.
      expect(outcome).toMatchObject({tables: [{table: 'public.orders', rows: 100}]});
      before = await backups();
    }
  }
  expect(noticed).toBeGreaterThan(3);
});

it.each([
  ['two servers', () => other],
  ['a primary and its standby', () => standby],
])('nothing is dumped or changed through a balancer in front of %s', async (_name, second) => {
  const {id} = await backupDatabase(contextOf(one.connection), {});
  const backupFile = id ?? '';
  const before = {one: await stateOf(one), other: await stateOf(other), backups: await backups()};
  const balancer = await startBalancer((count) => (count % 2 === 0 ? second() : one).connection);
  const context = contextOf(balancer.connection);
  try {
    for (const work of [
      () => backupDatabase(context, {}),
      () => restoreDatabase(context, {backupFile, clean: true}),
      () => restoreDatabase(context, {backupFile, targetDb: 'copy', createDb: true}),
      () => restoreDatabase(context, {backupFile, targetDb: 'copy', createDb: true, dryRun: true}),
    ])
      await expect(work(), String(work)).rejects.toMatchObject({
        ...several,
        details: [
          expect.stringMatching(/^127.0.0.1:\d+, a .*, running since /),
          expect.stringMatching(/, a /),
        ],
      });
  } finally {
    await balancer.close();
  }
  expect({one: await stateOf(one), other: await stateOf(other), backups: await backups()}).toEqual(before);
});

it('doctor says so, with the figures of both', async () => {
  const balancer = await startBalancer((count) => (count % 2 === 0 ? other : one).connection);
  try {
    await checkMachine(contextOf(balancer.connection));
    const {checks} = await checkMachine(contextOf(balancer.connection));
    expect(checks).toContainEqual(
      expect.objectContaining({
        ok: false,
        message: expect.stringContaining('leads to several servers') as string,
      }),
    );
  } finally {
    await balancer.close();
  }
});
