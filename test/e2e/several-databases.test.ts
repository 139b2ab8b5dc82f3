/** A server with twelve databases of three shapes, one unreadable, one dropped and one made between two runs, and a database of its own. */
import {mkdir, readdir, readFile, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {afterAll, beforeAll, expect, inject, it} from 'vitest';
import {type LocalCluster, startLocalCluster} from '../../src/lib/postgres/tools/local-cluster.js';
import {type Connection, withDatabase} from '../../src/lib/postgres/connect/connection.js';
import type {RunRecord} from '../../src/lib/run/run-record.js';
import {withAppSession} from '../support/app-session.js';
import {type LocalServer, startLocalServer} from '../support/local-server.js';
import {type CliResult, runCli, tempFolder} from '../support/run-cli.js';
import {urlOf} from '../support/temp-database.js';

let cluster: LocalCluster;
let server: LocalServer;
let home = '';
const shapes: Readonly<Record<string, string>> = {
  shop: 'CREATE TABLE orders AS SELECT id, id * 2 AS total FROM generate_series(1, 30) id',
  blog: 'CREATE TABLE posts(id int PRIMARY KEY, body text); INSERT INTO posts VALUES (1, $$one$$), (2, $$two$$)',
  empty: 'SELECT 1',
};
const names = Object.keys(shapes).flatMap((shape) => [1, 2, 3, 4].map((number) => `${shape}_${number}`));

/** The role that makes the backups may not connect to one of them. */
async function onServer(sql: string, database = 'postgres'): Promise<void> {
  await withAppSession(withDatabase(cluster.connection, database), async (session) => {
    await session.client.query(sql);
  });
}

async function createDatabase(name: string): Promise<void> {
  await onServer(`CREATE DATABASE ${name} OWNER keeper`);
  const shape = shapes[name.replace(/_\d+$/, '')] ?? '';
  await onServer(`SET ROLE keeper; ${shape}`, name);
}

beforeAll(async () => {
  home = await tempFolder();
  server = await startLocalServer();
  cluster = await startLocalCluster({binFolder: inject('serverBin')});
  await onServer(`CREATE ROLE keeper LOGIN CREATEDB PASSWORD 'keeper'`);
  await onServer('GRANT CREATE ON DATABASE postgres TO keeper');
  for (const name of names) await createDatabase(name);
  await onServer('ALTER DATABASE blog_4 OWNER TO postgres; REVOKE CONNECT ON DATABASE blog_4 FROM PUBLIC');
  await onServer('REVOKE CONNECT ON DATABASE blog_4 FROM keeper');
  await createDatabase('shop_own');
  await writeConfig({});
});
afterAll(async () => {
  await cluster.stop();
  await server.close();
  await rm(home, {recursive: true, force: true});
});

const keeper = (): Connection => ({...cluster.connection, user: 'keeper', password: 'keeper'});
const url = (database: string) => urlOf(withDatabase(keeper(), database));

async function writeConfig(more: object, folder = home): Promise<void> {
  const config = {
    databases: [
      {name: 'own', urlEnv: 'OWN_URL', backup: {format: 'sql'}, retention: {keepLast: 1, keepMin: 1}},
      {name: 'cluster', urlEnv: 'CLUSTER_URL', include: ['*_*'], exclude: ['*_own']},
    ],
    retention: {keepLast: 5},
    notifications: {targets: [{type: 'webhook', url: server.url, on: ['success', 'failure']}]},
    ...more,
  };
  await mkdir(folder, {recursive: true});
  await writeFile(join(folder, 'destino-db.config.json'), JSON.stringify(config));
}

const cli = (args: readonly string[], env: Record<string, string> = {}, cwd = home): Promise<CliResult> =>
  runCli(args, {cwd, env: {OWN_URL: url('shop_own'), CLUSTER_URL: url('postgres'), ...env}});

interface Several {
  databases: {
    name: string;
    exitCode: number;
    result?: {id: string; format: string; tables: unknown[]; pruned: unknown[]; results: {ok: boolean}[]};
    error?: {code: string; message: string; hint?: string};
  }[];
  gone: string[];
}
const several = (run: CliResult): Several => run.json() as Several;
const metadataIn = async (folder = home): Promise<string[]> =>
  (await readdir(join(folder, 'backups/database'))).filter((name) => name.endsWith('.metadata.json'));
const linesIn = async (folder = home): Promise<RunRecord[]> =>
  (await readFile(join(folder, 'backups/history.jsonl'), 'utf8'))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as RunRecord);

it('backs up all databases in one run: the others go on after one that cannot be read, and one notification reports all', async () => {
  const run = await cli(['backup', '--all-databases', '--json']);
  const {databases, gone} = several(run);
  expect(databases.map(({name}) => name)).toEqual(['own', ...names.sort().map((name) => `cluster/${name}`)]);
  const failed = databases.filter(({exitCode}) => exitCode !== 0);
  expect(failed).toMatchObject([{name: 'cluster/blog_4', exitCode: 3, error: {code: 'PERMISSION_DENIED'}}]);
  expect(run.status).toBe(3);
  expect(gone).toEqual([]);
  expect(databases.find(({name}) => name === 'own')?.result).toMatchObject({format: 'sql'});
  expect(databases.find(({name}) => name === 'cluster/shop_1')?.result).toMatchObject({format: 'custom'});
  expect(await metadataIn()).toHaveLength(12);
  const lines = await linesIn();
  expect(lines.map(({database, outcome}) => [database?.source, outcome])).toEqual(
    databases.map(({name, exitCode}) => [name, exitCode === 0 ? 'ok' : 'failed']),
  );
  expect(server.received).toHaveLength(1);
  expect(server.received[0]?.body).toMatch(
    /backup of 13 databases on .* failed after .*1 of 13 databases failed: cluster\/blog_4 \(PERMISSION_DENIED\)/,
  );
});

it('status, list and history name the databases as the config file does, and choose among them', async () => {
  const status = (await cli(['status', '--all-databases', '--json'])).json() as {
    databases: {label: string; backups: {archive: number}}[];
    findings: {code: string; database: string}[];
  };
  expect(status.databases.map(({label}) => label)).toHaveLength(13);
  expect(status.databases.filter(({backups}) => backups.archive === 1)).toHaveLength(12);
  expect(status.findings.map(({code, database}) => `${database} ${code}`)).toEqual([
    'cluster/blog_4 NO_BACKUP',
    'cluster/blog_4 RUN_FAILED',
  ]);
  const one = await cli(['list', '--database', 'own', '--json']);
  expect(one.json()).toMatchObject({backups: [{database: 'shop_own', source: 'own', format: 'sql'}]});
  const server = (await cli(['list', '--database', 'cluster', '--json'])).json() as {backups: unknown[]};
  expect(server.backups).toHaveLength(11);
  const wrong = await cli(['list', '--database', 'clustre', '--json']);
  expect(wrong.stderr).toContain('Did you mean "cluster"?');
});

it('finds a new database, names one that is gone, and keeps its backups', async () => {
  await onServer('DROP DATABASE empty_4');
  await createDatabase('shop_5');
  await onServer('GRANT CONNECT ON DATABASE blog_4 TO keeper; ALTER DATABASE blog_4 OWNER TO keeper');
  const run = await cli(['backup', '--all-databases', '--json']);
  expect(several(run).gone).toEqual(['cluster/empty_4']);
  expect(several(run).databases.map(({name}) => name)).toContain('cluster/shop_5');
  expect(several(run).databases.filter(({exitCode}) => exitCode !== 0)).toEqual([]);
  expect(run.status).toBe(0);
  // The one database with a retention of its own keeps one backup, the others two of five.
  expect(await metadataIn()).toHaveLength(12 + 13 - 1);
  const status = await cli(['status', '--json']);
  expect(status.status).toBe(4);
  expect(status.json()).toMatchObject({
    findings: [{code: 'DATABASE_GONE', severity: 'warning', database: 'cluster/empty_4'}],
  });
  expect((await cli(['history'])).stdout).toContain('empty_4 does not exist any more');
  const forgotten = await cli(['status', '--forget', 'cluster/empty_4']);
  expect(forgotten.status).toBe(0);
  expect((await cli(['status'])).status).toBe(0);
  expect(several(await cli(['backup', '--all-databases', '--dry-run', '--json'])).gone).toEqual([]);
});

it('restores one of the databases', async () => {
  const list = (await cli(['list', '--database', 'cluster/shop_2', '--json'])).json() as {
    backups: {id: string}[];
  };
  const id = list.backups[0]?.id ?? '';
  const restored = await cli(['restore', id, '--target-db', 'restored', '--create-db', '--json'], {
    DIRECT_URL: url('postgres'),
  });
  expect(restored.status).toBe(0);
  const rows = await withAppSession(withDatabase(cluster.connection, 'restored'), (session) =>
    session.query('SELECT count(*) AS count FROM public.orders'),
  );
  expect(rows).toEqual([{count: '30'}]);
  await onServer('DROP DATABASE restored');
});

it.each([
  [['--database', 'onw'], {}, {}, 'USAGE', 'the config file has no database "onw"'],
  [
    ['--all-databases', '--database-url', 'postgres://x/y'],
    {},
    {},
    'USAGE',
    '--database-url contradicts --all-databases',
  ],
  [
    ['--database', 'own'],
    {databases: undefined},
    {},
    'USAGE',
    '--database needs "databases" in the config file',
  ],
  [
    ['--all-databases'],
    {
      databases: [
        {name: 'a', urlEnv: 'OWN_URL'},
        {name: 'a', urlEnv: 'X'},
      ],
    },
    {},
    'CONFIG_INVALID',
    '"a" is the name of another database too',
  ],
  [
    ['--all-databases'],
    {databases: [{name: 'a/b', urlEnv: 'OWN_URL'}]},
    {},
    'CONFIG_INVALID',
    '"a/b" has a slash',
  ],
  [
    ['--all-databases'],
    {
      databases: [
        {name: 'a', urlEnv: 'OWN_URL'},
        {name: 'b', urlEnv: 'OWN_URL'},
      ],
    },
    {},
    'CONFIG_INVALID',
    '"a" and "b" in the config file are the same database',
  ],
])('refuses %j with %s', async (flags, config, env, code, message) => {
  const folder = join(home, 'refused');
  await writeConfig(config, folder);
  const run = await cli(['backup', ...flags, '--json'], env, folder);
  expect(run.json()).toMatchObject({
    error: {code, message: expect.stringContaining(message) as string, exitCode: 2},
  });
  expect((run.json() as {error: {hint?: string}}).error.hint).toBeTypeOf('string');
});

it('reports a missing variable, a pattern that matches nothing and a server that does not answer, each as its database', async () => {
  const folder = join(home, 'problems');
  const databases = [
    {name: 'unset', urlEnv: 'UNSET_URL'},
    {name: 'nothing', urlEnv: 'CLUSTER_URL', include: ['nope_*']},
    {name: 'away', urlEnv: 'AWAY_URL', include: ['*']},
    {name: 'own', urlEnv: 'OWN_URL'},
  ];
  await writeConfig({databases}, folder);
  const run = await cli(
    ['backup', '--all-databases', '--json'],
    {AWAY_URL: 'postgres://x@127.0.0.1:1/x'},
    folder,
  );
  expect(several(run).databases).toMatchObject([
    {name: 'unset', error: {code: 'NO_DATABASE_URL', hint: expect.stringContaining('UNSET_URL') as string}},
    {name: 'nothing', error: {code: 'PATTERN_MATCHES_NOTHING', hint: expect.any(String) as string}},
    {name: 'away', error: {code: 'CONNECTION_REFUSED', hint: expect.any(String) as string}},
    {name: 'own', exitCode: 0},
  ]);
  expect(run.status).toBe(3);
  const status = (await cli(['status', '--json'], {}, folder)).json() as {
    findings: {database: string; code: string}[];
  };
  expect(status.findings.map(({database, code}) => `${database} ${code}`)).toEqual([
    'unset NO_BACKUP',
    'nothing NO_BACKUP',
    'away NO_BACKUP',
  ]);
});
