/** A server with twelve databases of three shapes, one unreadable, one dropped and one made between two runs, and a database of its own. */
import {mkdir, readdir, readFile, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {afterAll, beforeAll, expect, inject, it} from 'vitest';
import {type LocalCluster, startLocalCluster} from '../../src/lib/postgres/tools/local-cluster.js';
import {type Connection, withDatabase} from '../../src/lib/postgres/connect/connection.js';
import type {RunRecord} from '../../src/lib/run/run-record.js';
import {withAppSession} from '../support/app-session.js';
import {type LocalServer, startLocalServer} from '../support/local-server.js';
import {cases} from '../support/long-form.js';
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
  // Of the server, whose roles are stored with each of its databases, and not of the database of its own.
  const roles = (await readdir(join(home, 'backups/database'))).filter((name) => name.endsWith('.roles.sql'));
  expect(roles.map((name) => name.replace(/-2\d{3}-.*/, '')).sort()).toEqual(
    names.filter((name) => name !== 'blog_4').sort(),
  );
  expect(await readFile(join(home, 'backups/database', roles[0] ?? ''), 'utf8')).toContain(
    'CREATE ROLE keeper',
  );
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

it('checks, prunes and reports each database by its own rules', async () => {
  const verified = await cli(['verify', '--all-databases', '--json']);
  expect(verified.status).toBe(0);
  const checked = several(verified).databases;
  // Without the one that was forgotten.
  expect(checked.map(({name}) => name)).toHaveLength(13);
  expect(checked.every(({result}) => result?.results.length === 1 && result.results[0]?.ok)).toBe(true);
  const all = several(await cli(['verify', '--all', '--database', 'own', '--level', 'checksum', '--json']));
  expect(all.databases[0]?.result?.results).toHaveLength(1);
  interface Pruned {
    kept: {database: string; reason: string}[];
    removed: {database: string}[];
  }
  const rules = {
    databases: [
      {name: 'own', urlEnv: 'OWN_URL', retention: {keepLast: 5}},
      {name: 'cluster', urlEnv: 'CLUSTER_URL', include: ['*_*'], retention: {keepLast: 1, keepMin: 1}},
    ],
  };
  await writeConfig(rules);
  const pruned = (await cli(['prune', '--dry-run', '--json'])).json() as Pruned;
  // Ten databases have two backups each; shop_5, blog_4, empty_4 and the one of its own have one.
  expect(pruned.removed).toHaveLength(10);
  expect(pruned.kept).toHaveLength(14);
  const one = (await cli(['prune', '--dry-run', '--database', 'cluster/shop_1', '--json'])).json() as Pruned;
  expect(one.removed.map(({database}) => database)).toEqual(['shop_1']);
  expect(one.kept.map(({database}) => database)).toEqual(['shop_1']);
  expect((await cli(['prune', '--dry-run', '--database', 'shopp', '--json'])).json()).toMatchObject({
    error: {code: 'USAGE', message: expect.stringContaining('"shopp"') as string},
  });
  await writeConfig({});
  interface Report {
    databases: {label: string; backups: number}[];
  }
  const page = (await cli(['report', '--database', 'cluster', '--json'])).json() as Report;
  expect(page.databases.map(({label}) => label).sort()).toEqual(
    [...names.filter((name) => name !== 'empty_4'), 'shop_5'].map((name) => `cluster/${name}`).sort(),
  );
  const runs = (
    await cli([
      'history',
      '--database',
      'own',
      '--database',
      'cluster/shop_5',
      '--command',
      'backup',
      '--json',
    ])
  ).json() as {
    runs: RunRecord[];
  };
  const made = runs.runs.filter(({mode}) => mode === 'execute');
  expect(made.map(({database}) => database?.source)).toEqual(['own', 'own', 'cluster/shop_5']);
});

it('schedules the plan for all databases, and for each that has one of its own', async () => {
  const plan = ['daily custom at 02:00', 'weekly prune'];
  await writeConfig({
    databases: [
      {name: 'own', urlEnv: 'OWN_URL', plan: ['hourly sql at :15 keep 7 days']},
      {name: 'cluster', urlEnv: 'CLUSTER_URL', include: ['*']},
    ],
    schedule: {plan},
  });
  const commands = async (...flags: string[]) =>
    ((await cli(['schedule', ...flags, '--json'])).json() as {jobs: {command: string}[]}).jobs.map(
      ({command}) => command,
    );
  expect(await commands()).toEqual([
    'destino-db backup --format=custom --database=cluster',
    'destino-db prune --yes',
    'destino-db backup --format=sql --retention-days=7 --database=own',
  ]);
  expect(await commands('--database', 'own')).toEqual([
    'destino-db backup --format=sql --retention-days=7 --database=own',
  ]);
  await writeConfig({schedule: {plan}});
  expect(await commands('--all-databases')).toEqual(['destino-db backup --format=custom --all-databases']);
});

interface Kill {
  readonly point: string;
  /** Counted among the databases that can be read. */
  readonly number: number;
  /** In the order of the run. */
  readonly databases: readonly string[];
  readonly unreadable: readonly string[];
}

const three = {databases: ['blog_1', 'empty_1', 'shop_1'], unreadable: []};
/** After the tests before: one of the twelve was dropped, one was made, and the role loses the right to read one again. */
const twelve = {
  databases: [
    ...['blog_1', 'blog_2', 'blog_3', 'blog_4', 'empty_1', 'empty_2', 'empty_3'],
    ...['shop_1', 'shop_2', 'shop_3', 'shop_4', 'shop_5'],
  ],
  unreadable: ['blog_3'],
};
const others = ['published', 'recorded', 'reserved', 'synced', 'digested', 'verified', 'sealed', 'pruned'];
const kills: readonly Kill[] = [
  {...three, point: 'published', number: 2},
  ...[1, 2].map((number) => ({...three, point: 'dumped', number})),
  {...three, point: 'recorded', number: 3},
  ...Array.from({length: 11}, (_one, index) => index + 1).flatMap((number) => [
    {...twelve, point: 'dumped', number},
    {...twelve, point: others[number % others.length] ?? '', number},
  ]),
];

it.each(cases(kills))(
  'killed at $point of database $number of $databases.length, the backups of the others are intact, recover cleans up, and the next run goes on',
  async ({point, number, databases, unreadable}) => {
    const folder = join(home, `${point}-${number}-${databases.length}`);
    const readable = databases.filter((name) => !unreadable.includes(name));
    for (const name of unreadable) await onServer(`REVOKE CONNECT ON DATABASE ${name} FROM PUBLIC, keeper`);
    for (const name of unreadable) await onServer(`ALTER DATABASE ${name} OWNER TO postgres`);
    const config = {databases: [{name: 'cluster', urlEnv: 'CLUSTER_URL', include: databases}]};
    await writeConfig({...config, notifications: undefined}, folder);
    const fault = {DESTINO_DB_FAULT: `backup.${point}@${number}=SIGKILL`};
    const killed = await cli(['backup', '--all-databases'], fault, folder);
    expect(killed.signal).toBe('SIGKILL');
    const isRecorded = ['recorded', 'pruned'].includes(point);
    const before = number - (isRecorded ? 0 : 1);
    expect(await metadataIn(folder)).toHaveLength(before);
    const env = {DIRECT_URL: url('postgres')};
    expect((await cli(['recover', '--yes'], env, folder)).status).toBe(0);
    const finished = before + (point === 'published' ? 1 : 0);
    expect(await metadataIn(folder)).toHaveLength(finished);
    expect(
      (await readdir(join(folder, 'backups/database'))).filter((name) => name.endsWith('.partial')),
    ).toEqual([]);
    if (finished > 0) expect((await cli(['verify', '--all'], env, folder)).status).toBe(0);
    const next = await cli(['backup', '--all-databases', '--json'], {}, folder);
    expect(next.status).toBe(unreadable.length > 0 ? 3 : 0);
    expect(next.stderr).not.toContain('unfinished');
    expect(several(next).databases.map(({name, exitCode}) => [name, exitCode])).toEqual(
      databases.map((name) => [`cluster/${name}`, unreadable.includes(name) ? 3 : 0]),
    );
    expect(await metadataIn(folder)).toHaveLength(finished + readable.length);
    const lines = await linesIn(folder);
    // The first run in a folder that does not exist yet is not recorded.
    expect(
      lines.filter(({outcome}) => outcome === 'interrupted').map(({database}) => database?.source),
    ).toEqual(number === 1 ? [] : [`cluster/${readable[number - 1]}`]);
  },
);

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
  [
    ['--all-databases'],
    {databases: [{name: 'a', urlEnv: 'OWN_URL', places: ['ftp://x/y']}]},
    {},
    'CONFIG_INVALID',
    'ftp://x/y',
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
