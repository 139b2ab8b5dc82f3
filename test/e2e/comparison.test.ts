/** The README's comparison of the stock tools with this program in the same situations, for both sides. */
import type {ChildProcess} from 'node:child_process';
import {readdir, readFile, rm, truncate, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {afterEach, beforeEach, expect, inject, it} from 'vitest';
import {withAppSession} from '../support/app-session.js';
import {until} from '../support/observe.js';
import {type CliResult, runCli, runProgram, tempFolder} from '../support/run-cli.js';
import {
  createTempDatabase,
  databaseExists,
  dropDatabase,
  existingDatabase,
  onServer,
  type TempDatabase,
} from '../support/temp-database.js';

let folder: string;
let database: TempDatabase;

beforeEach(async () => {
  folder = await tempFolder();
  database = await createTempDatabase('template0');
  await database.run(`CREATE TABLE orders (id int PRIMARY KEY, note text NOT NULL);
    INSERT INTO orders SELECT n, md5(n::text) FROM generate_series(1, 20000) AS n`);
});
afterEach(async () => {
  const rows = await onServer((session) =>
    session.query('SELECT datname FROM pg_database WHERE starts_with(datname, $1)', [database.name]),
  );
  for (const row of rows) await dropDatabase(row['datname'] ?? '');
  await rm(folder, {recursive: true, force: true});
});

/** Runs a stock tool, with the database in its environment. */
async function stock(
  tool: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  onStart?: (child: ChildProcess) => void,
) {
  const {host, port, user, password, database: name} = database.connection;
  return runProgram(join(inject('serverBin'), tool), args, {
    cwd: folder,
    ...(onStart ? {onStart} : {}),
    env: {
      PGHOST: host,
      PGPORT: String(port),
      PGUSER: user,
      PGPASSWORD: password ?? '',
      PGDATABASE: name,
      ...env,
    },
  });
}

const ours = (...args: string[]) => runCli(args, {cwd: folder, env: {DIRECT_URL: database.url}});

it('a truncated dump', async () => {
  const {path} = (await ours('backup', '--json')).json() as {path: string};
  const {length} = await readFile(path);
  await truncate(path, Math.floor(length / 2));
  expect((await stock('pg_restore', ['--list', path])).status).toBe(0);
  const verified = await ours('verify', '--latest');
  expect(verified.status).toBe(4);
});

it('a plain dump truncated inside the rows of a table', async () => {
  expect((await stock('pg_dump', ['--file=whole.sql'])).status).toBe(0);
  const text = await readFile(join(folder, 'whole.sql'), 'utf8');
  const rows = text.indexOf('COPY public.orders');
  await writeFile(join(folder, 'cut.sql'), text.slice(0, text.lastIndexOf('\n', rows + 200_000) + 1));
  const target = `${database.name}_by_hand`;
  expect((await stock('createdb', ['--template=template0', target])).status).toBe(0);
  const loaded = await stock('psql', [
    '-X',
    '--single-transaction',
    '-v',
    'ON_ERROR_STOP=1',
    '-d',
    target,
    '-f',
    'cut.sql',
  ]);
  expect(loaded.status).toBe(0);
  const [count] = await existingDatabase(target).query('SELECT count(*) FROM orders');
  expect(Number(count?.['count'])).toBeGreaterThan(1000);
  expect(Number(count?.['count'])).toBeLessThan(20_000);

  const name = `${database.name}_ours`;
  const refused = await ours('restore', '--backup-file', 'cut.sql', '--target-db', name, '--create-db');
  expect(refused.status).toBe(4);
  expect(await databaseExists(name)).toBe(false);
});

it('a dump that is killed', async () => {
  const waiting = async () => {
    const rows = await database.query(
      "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()",
    );
    return rows.length > 0;
  };
  await withAppSession(database.connection, async (session) => {
    await session.query('BEGIN');
    await session.query('LOCK TABLE orders IN ACCESS EXCLUSIVE MODE');
    const killed = async (start: (onStart: (child: ChildProcess) => void) => Promise<CliResult>) => {
      let child: ChildProcess | undefined;
      const run = start((started) => (child = started));
      await until('the dump waits for the lock', waiting);
      child?.kill('SIGKILL');
      // The server waits for the lock even after pg_dump has ended.
      // In a separate session, because a transaction sees the first state of the list of sessions.
      await database.query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()",
      );
      expect((await run).signal).toBe('SIGKILL');
      await until('its session is over', async () => !(await waiting()));
    };
    await killed((onStart) => stock('pg_dump', ['--format=custom', '--file=by-hand.dump'], {}, onStart));
    await killed((onStart) => runCli(['backup'], {cwd: folder, env: {DIRECT_URL: database.url}, onStart}));
    await session.query('ROLLBACK');
  });
  expect(await readdir(folder)).toContain('by-hand.dump');
  const names = await readdir(join(folder, 'backups/database'));
  expect(names.filter((name) => !name.endsWith('.partial'))).toEqual([]);
});

it('a misspelt name of one of two tables', async () => {
  const dumped = await stock('pg_dump', ['-t', 'orders', '-t', 'odrers', '--file=by-hand.sql']);
  expect(dumped.status).toBe(0);
  const refused = await ours('backup', '--include-table', 'orders', '--include-table', 'odrers', '--json');
  expect(refused.status).toBe(2);
  expect(refused.json()).toMatchObject({error: {code: 'PATTERN_MATCHES_NOTHING'}});
});

it('row level security hides rows', async () => {
  const role = `${database.name}_reader`;
  await database.run(`CREATE ROLE ${role} LOGIN PASSWORD 'reader'; GRANT SELECT ON orders TO ${role};
    ALTER TABLE orders ENABLE ROW LEVEL SECURITY; CREATE POLICY few ON orders USING (id <= 7)`);
  try {
    const reader = {PGUSER: role, PGPASSWORD: 'reader'};
    expect((await stock('pg_dump', ['--file=failed.sql'], reader)).status).toBe(1);
    expect((await stock('pg_dump', ['--enable-row-security', '--file=few.sql'], reader)).status).toBe(0);
    const rows = /COPY public\.orders [^\n]*\n([^]*?)\\\.\n/.exec(
      await readFile(join(folder, 'few.sql'), 'utf8'),
    )?.[1];
    expect(rows?.trim().split('\n')).toHaveLength(7);

    const url = new URL(database.url);
    url.username = role;
    url.password = 'reader';
    const refused = await runCli(['backup', '--json'], {cwd: folder, env: {DIRECT_URL: url.href}});
    expect(refused.status).toBe(3);
    expect(refused.json()).toMatchObject({error: {code: 'ROW_SECURITY'}});
  } finally {
    await database.run(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
  }
});

it("Prisma's URL", async () => {
  const url = `${database.url}&schema=public`;
  const refused = await stock('pg_dump', ['--schema-only', url]);
  expect(refused.status).toBe(1);
  expect(refused.stderr).toContain('invalid URI query parameter: "schema"');
  expect((await runCli(['backup'], {cwd: folder, env: {DATABASE_URL: url}})).status).toBe(0);
});

it('a restore over the database', async () => {
  const makeDump = await stock('pg_dump', ['--format=custom', '--file=by-hand.dump']);
  expect(makeDump.status).toBe(0);
  expect((await ours('backup')).status).toBe(0);
  const since = "CREATE TABLE since (id int); INSERT INTO orders VALUES (20001, 'since the dump')";
  const state = () => database.query("SELECT count(*) AS orders, to_regclass('since') AS since FROM orders");
  await database.run(since);
  const live = await state();

  const cleaned = await stock('pg_restore', ['--clean', '--if-exists', '-d', database.name, 'by-hand.dump']);
  expect(cleaned.status).toBe(0);
  expect(await state()).toEqual([{orders: '20000', since: 'since'}]);

  await database.run(`DROP TABLE since; ${since}`);
  expect((await ours('restore', '--latest', '--drop-existing', '--yes')).status).toBe(0);
  expect(await state()).toEqual([{orders: '20000', since: null}]);
  expect((await ours('undo', '--yes')).status).toBe(0);
  expect(await state()).toEqual(live);
});
