/** A whole server with its roles and a database of its own, each with locations of their own, and a restore on another server. */
import {readFile, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {afterAll, beforeAll, expect, inject, it} from 'vitest';
import {withDatabase} from '../../src/lib/postgres/connect/connection.js';
import {type LocalCluster, startLocalCluster} from '../../src/lib/postgres/tools/local-cluster.js';
import {makeKey} from '../support/age.js';
import {withAppSession} from '../support/app-session.js';
import {createBucket, keysIn, storeEnvironment} from '../support/bucket.js';
import {type CliResult, runCli, tempFolder} from '../support/run-cli.js';
import {urlOf} from '../support/temp-database.js';

const binFolder = inject('serverBin');
let source: LocalCluster;
let target: LocalCluster;
let folder: string;
let bucket: string;
let place: string;
let copies: string;

const run = (server: LocalCluster, sql: string, database = 'postgres') =>
  withAppSession(withDatabase(server.connection, database), async ({client}) => client.query(sql));
const url = (server: LocalCluster, database: string): string =>
  urlOf(withDatabase(server.connection, database));
const cli = (...args: string[]): Promise<CliResult> =>
  runCli([...args, '--json'], {
    cwd: folder,
    env: {
      ...storeEnvironment(),
      OWN_URL: url(source, 'own'),
      CLUSTER_URL: url(source, 'postgres'),
      DIRECT_URL: url(target, 'postgres'),
    },
  });

beforeAll(async () => {
  folder = await tempFolder();
  [source, target] = await Promise.all([startLocalCluster({binFolder}), startLocalCluster({binFolder})]);
  await run(source, `CREATE ROLE app LOGIN CONNECTION LIMIT 7 PASSWORD 'the password of the application'`);
  for (const name of ['shop', 'blog', 'own']) {
    await run(source, `CREATE DATABASE ${name} OWNER app`);
    await run(source, `SET ROLE app; CREATE TABLE items AS SELECT generate_series(1, 9) AS id`, name);
  }
  bucket = await createBucket();
  place = `s3://${bucket}/cluster`;
  copies = join(folder, 'copies');
  const databases = [
    {name: 'own', urlEnv: 'OWN_URL', places: [copies], retention: {keepDays: 5}},
    {name: 'cluster', urlEnv: 'CLUSTER_URL', include: ['shop', 'blog'], places: [place]},
  ];
  const recipients = [makeKey(join(folder, 'key.txt'))];
  const config = {databases, encryption: {recipients}, retention: {keepLast: 9}};
  await writeFile(join(folder, 'destino-db.config.json'), JSON.stringify(config));
});
afterAll(async () => {
  await Promise.all([source.stop(), target.stop()]);
  await rm(folder, {recursive: true, force: true});
});

interface Listed {
  backups: {id: string; source: string; kept: string | null; places: string[]}[];
  places: {place: string; backups: number; error: object | null}[];
}
const here = (): string => join(folder, 'backups/database');

it('stores the roles of the server with each of its databases, and each copy in the locations of its database', async () => {
  const made = await cli('backup', '--all-databases');
  expect(made.status).toBe(0);
  const {databases} = made.json() as {databases: {name: string; result: {metadataPath: string}}[]};
  const roles = await Promise.all(
    databases.map(async ({name, result: {metadataPath}}) => {
      const record = JSON.parse(await readFile(metadataPath, 'utf8')) as {roles: object | null};
      return [name, record.roles];
    }),
  );
  expect(roles).toMatchObject([
    ['own', null],
    ['cluster/blog', {hasPasswords: true}],
    ['cluster/shop', {hasPasswords: true}],
  ]);
  const keys = (await keysIn(bucket)).filter((key) => key.endsWith('.roles.sql.age'));
  expect(keys.map((key) => /(?:blog|shop|own)(?=-\d)/.exec(key)?.[0])).toEqual(['blog', 'shop']);
  const list = (await cli('list', '--places')).json() as Listed;
  expect(list.backups.map(({source: name, places}) => [name, places]).sort()).toEqual([
    ['cluster/blog', [here(), place]],
    ['cluster/shop', [here(), place]],
    ['own', [here(), copies]],
  ]);
});

it('status, list, report, verify and prune use the locations and rules of each database', async () => {
  const status = (await cli('status')).json() as {
    ok: boolean;
    findings: object[];
    databases: {label: string; copies: {place: string; newest: object | null}[]}[];
  };
  expect(status.findings).toEqual([]);
  expect(status.databases.map(({label, copies: of}) => [label, of.map((one) => one.place)])).toEqual([
    ['cluster/blog', [place]],
    ['cluster/shop', [place]],
    ['own', [copies]],
  ]);
  const report = (await cli('report')).json() as {places: {place: string; backups: number}[]};
  expect(report.places.map(({place: name, backups}) => [name, backups])).toEqual([
    [here(), 3],
    [copies, 1],
    [place, 2],
  ]);
  const list = (await cli('list')).json() as Listed;
  const kept = list.backups.map(({source: name, kept: reason}) => [name, reason]).sort();
  expect(kept).toMatchObject([
    ['cluster/blog', expect.stringContaining('last 1') as string],
    ['cluster/shop', expect.stringContaining('last 1') as string],
    ['own', expect.stringContaining('days') as string],
  ]);
  const opened = ['--identity', 'key.txt'];
  const verified = await cli('verify', '--all-databases', '--from', place, ...opened);
  expect(verified.json()).toMatchObject({
    databases: [
      {name: 'own', error: {code: 'BACKUP_NOT_FOUND'}},
      {name: 'cluster/blog', exitCode: 0},
      {name: 'cluster/shop', exitCode: 0},
    ],
  });
  const pruned = (await cli('prune', '--from', place, '--database', 'cluster', '--dry-run')).json();
  expect(pruned).toMatchObject({kept: [{database: 'shop'}, {database: 'blog'}], removed: []});
});

it('one backup of the bucket restores its database and the roles of the server, with their passwords', async () => {
  const list = (await cli('list', '--from', place)).json() as Listed;
  const id = list.backups.find(({source: name}) => name === 'cluster/shop')?.id ?? '';
  const flags = ['--from', place, '--identity', 'key.txt', '--target-db', 'shop', '--create-db', '--yes'];
  const restored = await cli('restore', id, '--with-roles', ...flags);
  expect(restored.json()).toMatchObject({mode: 'execute'});
  const passwords = (server: LocalCluster) =>
    run(server, `SELECT rolname, rolpassword, rolconnlimit FROM pg_authid WHERE rolname = 'app'`);
  expect((await passwords(target)).rows).toEqual((await passwords(source)).rows);
  expect((await run(target, 'SELECT count(*)::text AS n FROM items', 'shop')).rows).toEqual([{n: '9'}]);
});
