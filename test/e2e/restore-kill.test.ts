/** restore --drop-existing killed with SIGKILL: the database's name always refers to all of the old or all of the new content. */
import {type ChildProcess, execFileSync} from 'node:child_process';
import {rm} from 'node:fs/promises';
import {setTimeout as delay} from 'node:timers/promises';
import {afterAll, afterEach, beforeAll, beforeEach, expect, it} from 'vitest';
import {withAppSession} from '../support/app-session.js';
import {descendants, processState, until} from '../support/observe.js';
import {makeDump} from '../support/make-dump.js';
import {requirePrograms} from '../support/require-programs.js';
import {runCli, tempFolder} from '../support/run-cli.js';
import {
  createTempDatabase,
  dropDatabase,
  onServer,
  startOwnServer,
  type TempDatabase,
} from '../support/temp-database.js';

const name = 'killed_target';
let folder: string;
let target: TempDatabase;
let ownerUrl: string;

/** The target, and databases that runs created beside it. */
async function related(): Promise<string[]> {
  const rows = await onServer((session) =>
    session.query('SELECT datname FROM pg_database WHERE starts_with(datname, $1) ORDER BY 1', [name]),
  );
  return rows.map((row) => row['datname'] ?? '');
}

async function content(): Promise<string | null | undefined> {
  return (await target.query('SELECT min(note) AS note FROM public.state'))[0]?.['note'];
}

const restoreArgs = ['restore', '--backup-file', 'old.dump', '--drop-existing', '--yes', '--json'];

/** Runs the restore and kills it as soon as `isReached`. */
async function killWhen(isReached: () => Promise<boolean>): Promise<void> {
  let child: ChildProcess | undefined;
  const run = runCli(restoreArgs, {
    cwd: folder,
    env: {DIRECT_URL: ownerUrl},
    onStart: (started) => (child = started),
  });
  const progress = {isOver: false};
  void run.then(() => (progress.isOver = true));
  while (!progress.isOver && !(await isReached())) await delay(5);
  child?.kill('SIGKILL');
  const {signal} = await run;
  expect(signal).toBe('SIGKILL');
}

async function backendIs(pattern: string): Promise<boolean> {
  const rows = await onServer((session) =>
    session.query(`SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND query LIKE $1`, [pattern]),
  );
  return rows.length > 0;
}

beforeAll(startOwnServer);
beforeAll(async () => {
  requirePrograms('ps');
  folder = await tempFolder();
  await onServer((session) => session.query(`CREATE ROLE killed_owner LOGIN CREATEDB PASSWORD 'owner'`));
  const source = await createTempDatabase('template0');
  await source.run(`CREATE TABLE state (id int, note text); INSERT INTO state SELECT n, 'old' FROM generate_series(1, 50000) AS n;
    CREATE INDEX ON state (id); CREATE INDEX ON state (note, id)`);
  await makeDump(source.connection, folder, 'custom', {name: 'old.dump'});
  await source.drop();
});

beforeEach(async () => {
  target = await createTempDatabase('template0', name);
  await onServer((session) => session.query(`ALTER DATABASE ${name} OWNER TO killed_owner`));
  await target.run(`CREATE TABLE state (id int, note text); INSERT INTO state VALUES (1, 'new')`);
  const url = new URL(target.url);
  url.username = 'killed_owner';
  url.password = 'owner';
  ownerUrl = url.href;
});

afterEach(async () => {
  for (const database of await related()) await dropDatabase(database);
});

afterAll(async () => {
  await onServer((session) => session.query('DROP ROLE killed_owner'));
  await rm(folder, {recursive: true, force: true});
});

it('leaves the old content when it is killed while the new database is filled, and the next run cleans up', async () => {
  await killWhen(async () => {
    const marked = await onServer((session) =>
      session.query(
        `SELECT 1 FROM pg_database
          WHERE starts_with(datname, $1) AND shobj_description(oid, 'pg_database') LIKE 'destino-db staging%'`,
        [`${name}_restore_`],
      ),
    );
    return marked.length > 0;
  });
  expect(await content()).toBe('new');
  expect((await related()).some((database) => database.startsWith(`${name}_restore_`))).toBe(true);
  const next = await runCli(restoreArgs, {cwd: folder, env: {DIRECT_URL: ownerUrl}});
  expect(next.status).toBe(0);
  expect(await content()).toBe('old');
  const {setAside} = next.json() as {setAside: string};
  expect(await related()).toEqual([name, setAside].sort());
});

it.each([
  ['custom', []],
  ['directory', ['--parallel-jobs=2']],
] as const)('leaves no pg_restore running after SIGKILL of the program (%s)', async (format, args) => {
  const source = await createTempDatabase('template0');
  // In the source, the index covers no rows, so nothing waits.
  await source.run(`CREATE TABLE slow (id int);
    CREATE FUNCTION late(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$BEGIN
      IF pg_catalog.starts_with(pg_catalog.current_database(), '${name}') THEN PERFORM pg_catalog.pg_sleep(60); END IF;
      RETURN $1; END$$;
    CREATE INDEX ON slow (public.late(id)); INSERT INTO slow VALUES (1)`);
  const file = `slow.${format}`;
  await makeDump(source.connection, folder, format, {name: file});
  await source.drop();
  let child: ChildProcess | undefined;
  const run = runCli(
    ['restore', '--backup-file', file, '--target-db', `${name}_new`, '--create-db', '--yes', ...args],
    {cwd: folder, env: {DIRECT_URL: ownerUrl}, onStart: (started) => (child = started)},
  );
  const waits = () => backendIs('CREATE INDEX%late%');
  await until('the index is made', () =>
    Promise.race([waits(), run.then(({stderr}) => Promise.reject(new Error(stderr)))]),
  );
  const tools = await descendants(child?.pid ?? 0, 'pg_restore');
  expect(tools.length).toBeGreaterThan(0);
  child?.kill('SIGKILL');
  const killedMs = performance.now();
  for (const pid of tools)
    await until('pg_restore has ended', async () => [undefined, 'Z'].includes(await processState(pid)));
  expect(performance.now() - killedMs).toBeLessThan(20_000); // the index takes a minute
  expect((await run).signal).toBe('SIGKILL');
});

it('shows no password in the process list during a restore, not even one from a flag', async () => {
  // Other programs restore on this machine too, with passwords of their own, so only this run's processes count.
  const ofThisRun = new RegExp(`pg_restore .*--dbname.*${name}_restore_`);
  let listing = '';
  const run = runCli([...restoreArgs, '--database-url', ownerUrl], {cwd: folder});
  const progress = {isOver: false};
  void run.then(() => (progress.isOver = true));
  while (!progress.isOver && !ofThisRun.test(listing)) {
    listing = execFileSync('ps', ['-eo', 'args'], {encoding: 'utf8'});
    await delay(5);
  }
  expect(listing).toMatch(ofThisRun);
  expect(listing).not.toContain(':owner@');
  const {status, stdout, stderr} = await run;
  expect(status).toBe(0);
  expect(stdout + stderr).not.toContain(':owner@');
});

it('leaves the old content, open to all its users, when it is killed during the swap', async () => {
  // A superuser's session, which the owner cannot end, blocks the rename.
  await withAppSession(target.connection, async () => {
    await killWhen(() => backendIs(`ALTER DATABASE "${name}" RENAME%`));
  });
  while (await backendIs(`ALTER DATABASE "${name}" RENAME%`)) await delay(20);
  expect(await content()).toBe('new');
  expect((await related()).filter((database) => database.includes('_before_'))).toEqual([]);
});
