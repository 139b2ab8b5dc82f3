/** refresh killed at each of its points: the name of the target always refers to the old or to the masked content, and only the restoring role can read the copy before. */
import {rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {afterAll, afterEach, beforeAll, beforeEach, expect, it} from 'vitest';
import {withSession} from '../../src/lib/postgres/client.js';
import {type Connection, withDatabase} from '../../src/lib/postgres/connect/connection.js';
import type {FaultPoint} from '../../src/lib/run/fault-points.js';
import {withAppSession} from '../support/app-session.js';
import {cases} from '../support/long-form.js';
import {runCli, tempFolder} from '../support/run-cli.js';
import {
  clusterConnection,
  createTempDatabase,
  dropDatabase,
  existingDatabase,
  onServer,
  startOwnServer,
  type TempDatabase,
  urlOf,
} from '../support/temp-database.js';

const name = 'refresh_target';
const secrets = ['anna@customers.example', 'Anna Berg', '+1 415 555 0101'];
let folder: string;
let production: TempDatabase;
let staging: Connection;

const refresh = (env: Readonly<Record<string, string>> = {}) =>
  runCli(['refresh', '--target-url-env', 'STAGING_URL', '--target-db', name, '--yes', '--json'], {
    cwd: folder,
    env: {DIRECT_URL: production.url, STAGING_URL: urlOf(staging), ...env},
  });

/** The target, and databases that runs created beside it. */
async function related(): Promise<string[]> {
  const rows = await onServer((session) =>
    session.query('SELECT datname FROM pg_database WHERE starts_with(datname, $1) ORDER BY 1', [name]),
  );
  return rows.map((row) => row['datname'] ?? '');
}

/** "old", or "masked" with the values that production must not have given away. */
async function content(): Promise<string> {
  const rows = await existingDatabase(name).query(
    'SELECT email, name, phone FROM public.customers ORDER BY id',
  );
  const text = JSON.stringify(rows);
  if (text.includes('old@staging.example')) return 'old';
  for (const secret of secrets) expect(text).not.toContain(secret);
  expect(rows).toHaveLength(2);
  return 'masked';
}

/** Whether a role of staging can connect. */
async function canConnect(database: string): Promise<boolean> {
  const visitor = {
    ...withDatabase(clusterConnection(), database),
    user: 'refresh_reader',
    password: 'reader',
  };
  try {
    await withSession(visitor, (session) => session.query('SELECT 1'));
    return true;
  } catch {
    return false;
  }
}

beforeAll(startOwnServer);
beforeAll(async () => {
  folder = await tempFolder();
  await onServer(async (session) => {
    await session.query(`CREATE ROLE refresh_owner LOGIN CREATEDB PASSWORD 'owner'`);
    await session.query(`CREATE ROLE refresh_app LOGIN PASSWORD 'app'`);
    await session.query('GRANT refresh_app TO refresh_owner');
    await session.query(`CREATE ROLE refresh_reader LOGIN PASSWORD 'reader'`);
  });
  production = await createTempDatabase('template0');
  await production.run(`CREATE TABLE customers (id int PRIMARY KEY, email text UNIQUE, name text, phone text);
    INSERT INTO customers VALUES (1, '${secrets[0] ?? ''}', '${secrets[1] ?? ''}', '${secrets[2] ?? ''}'), (2, 'ben@customers.example', 'Ben Chu', '+1 415 555 0102');
    GRANT SELECT ON customers TO PUBLIC`);
  await writeFile(
    join(folder, 'destino-db.config.json'),
    JSON.stringify({
      masks: {
        'public.customers.email': {mask: 'email'},
        'public.customers.name': {mask: 'name'},
        'public.customers.phone': {mask: 'phone'},
      },
    }),
  );
  const backup = await runCli(['backup'], {cwd: folder, env: {DIRECT_URL: production.url}});
  expect(backup.status).toBe(0);
  staging = {...clusterConnection(), user: 'refresh_owner', password: 'owner'};
});

beforeEach(async () => {
  const target = await createTempDatabase('template0', name);
  await target.run(`CREATE TABLE customers (id int PRIMARY KEY, email text, name text, phone text);
    INSERT INTO customers VALUES (1, 'old@staging.example', 'Old', '0')`);
  await onServer((session) => session.query(`ALTER DATABASE ${name} OWNER TO refresh_app`));
});

afterEach(async () => {
  for (const database of await related()) await dropDatabase(database);
});

afterAll(async () => {
  await production.drop();
  await onServer((session) => session.query('DROP ROLE refresh_reader, refresh_owner, refresh_app'));
  await rm(folder, {recursive: true, force: true});
});

const points: readonly (readonly [point: FaultPoint, content: 'old' | 'masked', isHidden: boolean])[] = [
  ['staging.masked', 'old', true],
  ['swap.renamed', 'old', false],
  ['swap.committed', 'masked', false],
  ['staging.made', 'old', true],
  ['staging.marked', 'old', true],
  ['staging.compared', 'old', true],
  ['staging.proven', 'old', true],
  ['staging.changed', 'old', true],
  ['staging.filled', 'old', true],
  ['staging.finished', 'old', false],
  ['swap.begun', 'old', false],
];

it.each(cases(points, 3))(
  'killed at %s leaves the %s content, and the next run cleans up',
  async (point, left, isHidden) => {
    const killed = await refresh({DESTINO_DB_FAULT: `${point}=SIGKILL`});
    expect(killed.signal).toBe('SIGKILL');
    expect(await content()).toBe(left);
    const hidden = (await related()).filter((database) => database.startsWith(`${name}_restore_`));
    expect(hidden).toHaveLength(left === 'old' ? 1 : 0);
    for (const database of isHidden ? hidden : []) expect(await canConnect(database)).toBe(false);
    const recovered = await runCli(['recover', '--yes'], {
      cwd: folder,
      env: {DIRECT_URL: urlOf(withDatabase(staging, name))},
    });
    expect([recovered.status, recovered.stdout, recovered.stderr]).toEqual([
      0,
      expect.anything(),
      expect.anything(),
    ]);
    expect((await related()).filter((database) => database.startsWith(`${name}_restore_`))).toEqual([]);
    expect(await content()).toBe(left);
    const next = await refresh();
    expect(next.stdout).toContain('"mode": "execute"');
    expect(await content()).toBe('masked');
  },
);

it.each(cases(['staging.masked', 'staging.compared', 'swap.renamed'] as const))(
  'drops the copy when the connection is cut at %s',
  async (point) => {
    const failed = await refresh({DESTINO_DB_FAULT: `${point}=error:CONNECTION_LOST`});
    expect(failed.status).toBe(1);
    expect(await content()).toBe('old');
    expect(await related()).toEqual([name]);
  },
);

it('hides the unmasked copy from every role but the restoring one, and gives it to the owner of the target afterwards', async () => {
  const killed = await refresh({DESTINO_DB_FAULT: 'staging.compared=SIGKILL'});
  expect(killed.signal).toBe('SIGKILL');
  const hidden = (await related()).find((database) => database.startsWith(`${name}_restore_`)) ?? '';
  expect(await canConnect(hidden)).toBe(false);
  // Not even the owner of the target.
  const app = {...withDatabase(clusterConnection(), hidden), user: 'refresh_app', password: 'app'};
  await expect(withSession(app, (session) => session.query('SELECT 1'))).rejects.toThrow(/permission denied/);
  const own = await withAppSession(withDatabase(staging, hidden), (session) =>
    session.query('SELECT email FROM customers WHERE id = 1'),
  );
  expect(own).toEqual([{email: secrets[0]}]);
  const done = await refresh();
  expect(done.status).toBe(0);
  expect(await canConnect(name)).toBe(true);
  const [row] = await onServer((session) =>
    session.query('SELECT pg_get_userbyid(datdba) AS owner FROM pg_database WHERE datname = $1', [name]),
  );
  expect(row).toEqual({owner: 'refresh_app'});
});
