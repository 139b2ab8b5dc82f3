/** refresh of a database with addresses where no mask reaches them: it stops before anything is restored, until each is kept by a rule. */
import {rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {afterAll, beforeAll, expect, it} from 'vitest';
import {type CliResult, runCli, tempFolder} from '../support/run-cli.js';
import {
  createTempDatabase,
  databaseExists,
  dropDatabase,
  existingDatabase,
  onServer,
  type TempDatabase,
} from '../support/temp-database.js';

const target = 'leaks_target';
let folder: string;
let production: TempDatabase;

const refresh = (...args: string[]): Promise<CliResult> =>
  runCli(['refresh', '--target-url-env', 'STAGING_URL', '--yes', ...args], {
    cwd: folder,
    env: {DIRECT_URL: production.url, STAGING_URL: existingDatabase(target).url},
  });

async function configure(keepDefinitions: Readonly<Record<string, string>>): Promise<void> {
  const masks = {'public.people.email': {mask: 'email'}, 'public.people.name': {mask: 'name'}};
  await writeFile(join(folder, 'destino-db.config.json'), JSON.stringify({masks, keepDefinitions}));
}

beforeAll(async () => {
  folder = await tempFolder();
  production = await createTempDatabase('template0');
  await production.run(`
    CREATE TABLE people (id int PRIMARY KEY, email text, name text);
    INSERT INTO people VALUES (1, 'jane@people.example', 'Jane Doe');
    CREATE TYPE mood AS ENUM ('ok', 'enum@people.example');
    CREATE TABLE with_default (id int PRIMARY KEY, contact text DEFAULT 'default@people.example', m mood);
    INSERT INTO with_default VALUES (1, NULL, 'enum@people.example');
    COMMENT ON TABLE with_default IS 'ask table@people.example';
    COMMENT ON COLUMN with_default.id IS 'ask column@people.example';
    CREATE VIEW v AS SELECT id FROM people WHERE email = 'view@people.example';
    CREATE MATERIALIZED VIEW mv AS SELECT id FROM people WHERE email <> 'materialized@people.example';
    CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $$SELECT 'function@people.example'::text$$;
    CREATE SEQUENCE s;
    COMMENT ON SEQUENCE s IS 'ask sequence@people.example';
    CREATE TABLE parted (id int, contact text) PARTITION BY LIST (contact);
    CREATE TABLE parted_1 PARTITION OF parted FOR VALUES IN ('partition@people.example');
    CREATE TABLE checked (id int CHECK (id::text <> 'check@people.example'));
    CREATE INDEX ON people (id) WHERE email = 'index@people.example';
    CREATE POLICY own ON people USING (email = 'policy@people.example');
    CREATE FUNCTION quiet() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
    CREATE TRIGGER t BEFORE UPDATE ON people FOR EACH ROW WHEN (OLD.email = 'trigger@people.example') EXECUTE FUNCTION quiet();
    CREATE DOMAIN d AS text DEFAULT 'domain@people.example';
    CREATE EXTENSION postgres_fdw;
    CREATE SERVER elsewhere FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1');
    CREATE USER MAPPING FOR PUBLIC SERVER elsewhere OPTIONS (user 'app', password 'of production');
    COMMENT ON DATABASE ${production.name} IS 'ask database@people.example';
    ALTER DATABASE ${production.name} SET application_name = 'setting@people.example';`);
  const made = await runCli(['backup'], {cwd: folder, env: {DIRECT_URL: production.url}});
  expect(made.status).toBe(0);
});

afterAll(async () => {
  await production.drop();
  const rows = await onServer((session) =>
    session.query('SELECT datname FROM pg_database WHERE starts_with(datname, $1)', [target]),
  );
  for (const row of rows) await dropDatabase(row['datname'] ?? '');
  await rm(folder, {recursive: true, force: true});
});

const leaks: readonly string[] = [
  'COMMENT public.COLUMN with_default.id',
  'COMMENT public.SEQUENCE s',
  'COMMENT public.TABLE with_default',
  'DATABASE',
  'DOMAIN public.d',
  'FUNCTION public.f()',
  'INDEX public.people_id_idx',
  'MATERIALIZED VIEW public.mv',
  'POLICY public.people own',
  'TABLE ATTACH public.parted_1',
  'TABLE public.checked',
  'TABLE public.with_default',
  'TRIGGER public.people t',
  'TYPE public.mood',
  'USER MAPPING USER MAPPING public SERVER elsewhere',
  'VIEW public.v',
];

it('stops at addresses in definitions, comments, labels and settings, and at a stored password', async () => {
  await configure({});
  const stopped = await refresh('--json');
  expect(stopped.status).toBe(5);
  const {error} = stopped.json() as {error: {code: string; details: string[]}};
  expect(error.code).toBe('PERSONAL_DATA');
  expect(error.details).toEqual(
    leaks.map((definition) => `${definition}: ${definition.startsWith('USER') ? 'secret' : 'email'}`),
  );
  expect(stopped.stdout).not.toContain('people.example');
  expect(await databaseExists(target)).toBe(false);

  const preview = await refresh('--dry-run');
  expect(preview.status).toBe(5);
  for (const definition of leaks) expect(preview.stdout).toContain(`  ${definition}: `);
});

it('goes on where each definition is kept with a reason, and names them', async () => {
  await configure(Object.fromEntries(leaks.map((definition) => [definition, 'of the shop itself'])));
  const done = await refresh('--json');
  expect(done.stderr).toBe('');
  expect(done.status).toBe(0);
  expect(done.json()).toMatchObject({
    kept: leaks.map((column) => ({column, reason: 'of the shop itself'})),
    personalDefinitions: [],
    masked: {proof: {passed: true}},
  });
  expect(await existingDatabase(target).query('SELECT m FROM with_default')).toEqual([
    {m: 'enum@people.example'},
  ]);
});
