/** refresh loads the rows of masked tables where those before the masks are kept, and notices a crash that empties these. */
import {rm} from 'node:fs/promises';
import {afterEach, beforeAll, beforeEach, expect, it} from 'vitest';
import {beginLoad, endLoad} from '../../src/lib/masks/originals.js';
import {withSession} from '../../src/lib/postgres/client.js';
import {backupDatabase} from '../../src/lib/services/backup/local-backup.js';
import {refresh} from '../../src/lib/services/refresh/refresh.js';
import {columnName} from '../../src/lib/settings/column-name.js';
import type {Config} from '../../src/lib/settings/config-schema.js';
import {tempFolder} from '../support/run-cli.js';
import {
  createTempDatabase,
  dropDatabase,
  existingDatabase,
  onServer,
  startOwnServer,
  type TempDatabase,
} from '../support/temp-database.js';
import {testContext} from '../support/test-context.js';

const target = 'originals_staging';
const roles = ['originals_owner', 'originals_reader', 'originals_other'] as const;
const [owner, reader, other] = roles;
const masks = {
  'public.people.name': {mask: 'name'},
  'public._pet.name': {mask: 'name'},
  'public.pet.name': {mask: 'name'},
  [columnName('public', 'Order "1"', 'note')]: {mask: 'text'},
  'public.visit.who': {mask: 'name'},
  'public.animal.owner': {mask: 'name'},
} satisfies Config['masks'];

const {'public.visit.who': _who, 'public.animal.owner': _owner, ...ofTables} = masks;

let folder: string;
let production: TempDatabase;

// A crash of the server would end the sessions of other files.
beforeAll(async () => {
  const stop = await startOwnServer();
  await onServer(async (session) => {
    for (const role of roles) await session.query(`CREATE ROLE ${role} LOGIN CREATEDB PASSWORD 'secret'`);
    await session.query(`GRANT ${other} TO ${owner}`);
  });
  return stop;
});

beforeEach(async () => {
  folder = await tempFolder();
  production = await createTempDatabase('template0');
  await production.run(`
    CREATE TABLE people (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, gone text, name text NOT NULL CHECK (name <> ''),
      loud text GENERATED ALWAYS AS (upper(name)) STORED, since date DEFAULT current_date);
    ALTER TABLE people DROP COLUMN gone;
    CREATE TABLE _pet (id int, name text);
    CREATE TABLE pet (id int, name text);
    CREATE TABLE "Order ""1""" (id serial PRIMARY KEY, buyer bigint REFERENCES people, note text COLLATE "C");
    CREATE TABLE visit (at date, who text) PARTITION BY RANGE (at);
    CREATE TABLE visit_1 PARTITION OF visit FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
    CREATE TABLE animal (id int, owner text);
    CREATE TABLE dog () INHERITS (animal);
    CREATE TABLE page (id int PRIMARY KEY, title text);
    CREATE VIEW names AS SELECT p.name, o.id FROM people p JOIN "Order ""1""" o ON o.buyer = p.id;
    CREATE FUNCTION oldest() RETURNS people LANGUAGE sql STABLE BEGIN ATOMIC SELECT * FROM people ORDER BY since LIMIT 1; END;
    CREATE RULE quiet AS ON DELETE TO page DO INSTEAD NOTHING;
    ALTER TABLE people ENABLE ROW LEVEL SECURITY;
    CREATE POLICY own ON people USING (name = current_user);
    INSERT INTO people (name) SELECT 'Anna ' || n FROM generate_series(1, 40) n;
    INSERT INTO pet VALUES (1, 'Rex');
    INSERT INTO _pet SELECT n, 'Ben ' || n FROM generate_series(1, 30) n;
    INSERT INTO "Order ""1""" (buyer, note) SELECT 1 + n % 40, repeat('Leave it with Carla ', n) FROM generate_series(1, 20) n;
    INSERT INTO visit SELECT '2026-02-01', 'Dora ' || n FROM generate_series(1, 10) n;
    INSERT INTO animal SELECT n, 'Emil ' || n FROM generate_series(1, 5) n;
    INSERT INTO dog SELECT n, 'Frida ' || n FROM generate_series(1, 6) n;
    INSERT INTO page VALUES (1, 'Start');
    GRANT SELECT ON people, "Order ""1""" TO ${reader};
    GRANT UPDATE (name) ON people TO ${reader}`);
  for (const table of ['people', '"Order ""1"""'])
    await production.run(`ALTER TABLE ${table} OWNER TO ${owner}`);
  await production.run(`REVOKE INSERT ON people FROM ${owner}; ALTER TABLE _pet OWNER TO ${other}`);
});

afterEach(async () => {
  await production.drop();
  await dropDatabase(target);
  await rm(folder, {recursive: true, force: true});
});

/** Row types and array types too, whose names follow those of the tables. */
const described = `
  SELECT c.oid::regclass::text AS name, pg_get_userbyid(c.relowner) AS owner, c.relpersistence AS persistence, c.relacl::text AS grants,
         t.typname AS type, a.typname AS array_type, (SELECT string_agg(x.attname || ' ' || x.attacl::text, ', ') FROM pg_attribute x WHERE x.attrelid = c.oid) AS column_grants
    FROM pg_class c LEFT JOIN pg_type t ON t.oid = c.reltype LEFT JOIN pg_type a ON a.oid = t.typarray
   WHERE c.relnamespace = 'public'::regnamespace ORDER BY c.relname`;

/** Rows that were written to each table, in its own one only. */
const written = `SELECT relname AS name, n_tup_ins AS rows FROM pg_stat_user_tables WHERE n_tup_ins > 0 ORDER BY relname COLLATE "C"`;

it.each([
  ['a superuser', undefined, 'custom'],
  ['a superuser, from a folder', undefined, 'directory'],
  ['the owner of the tables', owner, 'custom'],
] as const)('writes masked rows once, and changes no definition, as %s', async (_who, role, format) => {
  const url = new URL(existingDatabase(target).url);
  if (role !== undefined) [url.username, url.password] = [role, 'secret'];
  const context = testContext(folder, {
    settings: {databaseUrl: production.url, config: {masks}},
    env: {STAGING_URL: url.href},
  });
  const before = await production.query(described);
  await backupDatabase(context, {format});
  const {masked} = await refresh(context, {}, {targetUrlEnv: 'STAGING_URL', keepSetAside: 0, allowOwnerChange: ['all']});
  expect(masked?.proof.passed).toBe(true);
  expect(masked?.proof.checks.filter(({kind}) => kind === 'rows').map(({of, compared}) => [of, compared])).toEqual(
    expect.arrayContaining([['public.people', 40], ['public._pet', 30], ['public.Order "1"', 20], ['public.visit', 10], ['public.page', 1]]),
  );
  const copy = existingDatabase(target);
  if (role === undefined) expect(await copy.query(described)).toEqual(before);
  else expect((await copy.query(described)).map(({name, array_type}) => [name, array_type])).toEqual(before.map(({name, array_type}) => [name, array_type])); // prettier-ignore
  expect(Object.fromEntries((await copy.query(written)).map(({name, rows}) => [name, Number(rows)]))).toEqual({
    'Order "1"': 20,
    _pet: 30,
    // Partitions, inherited tables, and tables with an odd array type are copied first.
    animal: 10,
    dog: 6,
    page: 1,
    people: 40,
    pet: 2,
    visit_1: 20,
  });
  expect(await copy.query(`SELECT count(*) AS people, count(*) FILTER (WHERE p.loud <> upper(p.name) OR p.name LIKE 'Anna%') AS wrong, count(DISTINCT p.name) AS names FROM people p`)).toEqual([{people: '40', wrong: '0', names: '40'}]);
  expect(await copy.query(`SELECT count(*) AS schemas FROM pg_namespace WHERE nspname LIKE 'destino%'`)).toEqual([{schemas: '0'}]);
}); // prettier-ignore

it('leaves tables alone that the role may not rename', async () => {
  await production.run(
    `ALTER TABLE page OWNER TO ${other}; GRANT CREATE ON DATABASE "${production.name}" TO ${reader}`,
  );
  const connection = {...production.connection, user: reader, password: 'secret'};
  const before = await production.query(described);
  const {tables} = await withSession(connection, (session) =>
    beginLoad(session, [{schema: 'public', name: 'page'}]),
  );
  expect(tables).toEqual([]);
  expect(await production.query(described)).toEqual(before);
});

it('gives the names back to the same tables', async () => {
  const oids = `SELECT relname AS name, oid FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' ORDER BY relname`;
  const before = await production.query(oids);
  await withSession(production.connection, async (session) => {
    const loaded = await beginLoad(session, ['people', 'pet', 'visit', 'visit_1', 'animal', 'dog', 'missing'].map((name) => ({schema: 'public', name})));
    expect(loaded.tables.map(({name}) => name)).toEqual(['people']);
    expect(await production.query('SELECT count(*) AS rows FROM people')).toEqual([{rows: '0'}]);
    await endLoad(session, loaded);
  });
  expect(await production.query(oids)).toEqual(before);
  expect(await production.query('SELECT count(*) AS rows FROM people')).toEqual([{rows: '40'}]);
}); // prettier-ignore

it.each([
  ['before the comparison', 'Compare'],
  ['before the masks', 'staging.compared'],
  ['before the indexes and keys', 'Build indexes and keys'],
  ['before the check', 'Check the masks'],
])('fails as a lost connection if the server crashes %s', async (_when, crashes) => {
  await production.run('DROP TABLE visit, animal CASCADE');
  const context = testContext(folder, {
    settings: {databaseUrl: production.url, config: {masks: ofTables}},
    env: {STAGING_URL: existingDatabase(target).url},
  });
  await backupDatabase(context, {format: 'custom'});
  const crashing: typeof context = {
    ...context,
    checkpoint: async (point) => {
      if (point === crashes) await crash();
    },
    progress: {
      ...context.progress,
      step: async (started, work) => {
        if (started === crashes) await crash();
        return context.progress.step(started, work);
      },
    },
  };
  const request = {targetUrlEnv: 'STAGING_URL', keepSetAside: 0};
  await expect(refresh(crashing, {}, request)).rejects.toMatchObject({
    code: 'CONNECTION_LOST',
    message: expect.stringContaining('was dropped') as string,
  });
});

/** Each would see the table that waits empty, or keep the oid of the one that has its name meanwhile. */
it.each([
  ['an oid in an array of a domain', `CREATE DOMAIN kind AS regtype; CREATE TABLE audit AS SELECT ARRAY['people'::regtype::kind] AS named`],
  ['an oid in a part of a value', `CREATE TYPE pair AS (id int, named regprocedure); CREATE FUNCTION f(people) RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE TABLE audit AS SELECT ROW(1, 'f(people)')::pair AS named`],
  ['an oid in a range', `CREATE TYPE span AS RANGE (subtype = regclass, subtype_opclass = oid_ops); CREATE TABLE audit AS SELECT span('people', 'people', '[]') AS named`],
  ['a check', `CREATE VIEW seen AS SELECT * FROM people; CREATE FUNCTION known(int) RETURNS boolean LANGUAGE sql AS 'SELECT EXISTS (SELECT FROM public.seen WHERE id = $1)';
    CREATE TABLE wait (id int CHECK (known(id))); INSERT INTO wait VALUES (7)`],
  ['a check of a domain', `CREATE FUNCTION known(int) RETURNS boolean LANGUAGE sql BEGIN ATOMIC SELECT EXISTS (SELECT FROM public.people WHERE id = $1); END;
    CREATE DOMAIN person AS int CHECK (known(VALUE)); CREATE TABLE wait (id person); INSERT INTO wait VALUES (7)`],
  ['a check of a name', `CREATE TABLE audit (named text CHECK (named::regclass = 'people'::regclass)); INSERT INTO audit VALUES ('public.people')`],
  ['a partition key', `CREATE FUNCTION among(int) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN (SELECT count(*) FROM public.seen); END'; CREATE VIEW seen AS SELECT * FROM people;
    CREATE TABLE wait (id int) PARTITION BY LIST (among(id)); CREATE TABLE wait_1 PARTITION OF wait FOR VALUES IN (40); INSERT INTO wait VALUES (7)`],
])('leaves all tables alone where %s can refer to one', async (_what, sql) => {
  await production.run(sql);
  const {tables} = await withSession(production.connection, (session) => beginLoad(session, [{schema: 'public', name: 'people'}]));
  expect(tables).toEqual([]);
}); // prettier-ignore

it.each([
  ['an oid in a value', `CREATE TABLE audit AS SELECT 1 AS id, 'people'::regclass AS named`, 'named'],
  ['a generated column', `CREATE VIEW seen AS SELECT * FROM people; CREATE FUNCTION among(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN (SELECT count(*) FROM public.seen); END';
    CREATE TABLE wait (id int, among int GENERATED ALWAYS AS (among(id)) STORED); INSERT INTO wait VALUES (7)`, 'among', 'wait'],
])('copies the rows aside where %s can refer to the table, and loses nothing', async (_what, sql, column, table = 'audit') => {
  await production.run(`DROP TABLE visit, animal, _pet, pet CASCADE; ${sql}`);
  const context = testContext(folder, {
    settings: {databaseUrl: production.url, config: {masks: {'public.people.name': {mask: 'name'}}}},
    env: {STAGING_URL: existingDatabase(target).url},
  });
  await backupDatabase(context, {format: 'custom'});
  // Rows of people come first.
  const {masked} = await refresh(context, {}, {targetUrlEnv: 'STAGING_URL', keepSetAside: 0, parallelJobs: 1});
  expect(masked?.proof.passed).toBe(true);
  const values = `SELECT ${column}::text AS value FROM ${table}`;
  expect(await existingDatabase(target).query(values)).toEqual(await production.query(values));
  expect(await existingDatabase(target).query(`SELECT n_tup_ins AS rows FROM pg_stat_user_tables WHERE relname = 'people'`)).toEqual([{rows: '80'}]);
}); // prettier-ignore

it('ignores tables that get no rows, such as the subscriptions of Realtime at Supabase', async () => {
  await production.run(`DROP TABLE visit, animal, _pet, pet CASCADE; CREATE SCHEMA realtime;
    CREATE FUNCTION realtime.to_regrole(text) RETURNS regrole LANGUAGE sql IMMUTABLE AS 'SELECT pg_catalog.to_regrole($1)';
    CREATE TABLE realtime.subscription (id bigint GENERATED ALWAYS AS IDENTITY, entity regclass NOT NULL, claims jsonb NOT NULL,
      claims_role regrole NOT NULL GENERATED ALWAYS AS (realtime.to_regrole(claims ->> 'role')) STORED, CHECK (realtime.to_regrole(claims ->> 'role') IS NOT NULL));
    INSERT INTO realtime.subscription (entity, claims) VALUES ('people', '{"role": "postgres"}')`);
  const context = testContext(folder, {
    settings: {databaseUrl: production.url, config: {masks: {'public.people.name': {mask: 'name'}}}},
    env: {STAGING_URL: existingDatabase(target).url},
  });
  await backupDatabase(context, {format: 'custom'});
  const {masked} = await refresh(context, {}, {targetUrlEnv: 'STAGING_URL', keepSetAside: 0});
  expect(masked?.proof.passed).toBe(true);
  const copy = existingDatabase(target);
  expect(await copy.query('SELECT count(*) AS rows FROM realtime.subscription')).toEqual([{rows: '0'}]);
  expect(await copy.query(`SELECT n_tup_ins AS rows FROM pg_stat_user_tables WHERE relname = 'people'`)).toEqual([{rows: '40'}]);
}); // prettier-ignore

it('leaves all tables alone where values have the row type of one that gets no rows', async () => {
  await production.run(`CREATE TABLE seen (named regclass); CREATE TABLE audit AS SELECT ARRAY[ROW('people')::seen] AS old`);
  const load = () => withSession(production.connection, (session) => beginLoad(session, [{schema: 'public', name: 'people'}], [{schema: 'public', name: 'seen'}]));
  expect((await load()).tables).toEqual([]);
  await production.run('DROP TABLE audit');
  expect((await load()).tables).toHaveLength(1);
}); // prettier-ignore

it('builds indexes with functions that their owner may use by a grant', async () => {
  await production.run(`
    CREATE SCHEMA tools; GRANT USAGE ON SCHEMA tools TO ${owner};
    CREATE FUNCTION tools.short(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT left($1, 3)';
    CREATE FUNCTION short(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT tools.short($1)';
    CREATE INDEX people_short ON people (short(name))`);
  const context = testContext(folder, {
    settings: {databaseUrl: production.url, config: {masks}},
    env: {STAGING_URL: existingDatabase(target).url},
  });
  await backupDatabase(context, {format: 'custom'});
  const {masked} = await refresh(context, {}, {targetUrlEnv: 'STAGING_URL', keepSetAside: 0});
  expect(masked?.proof.passed).toBe(true);
});

/** Kills a server process, after which the server ends all sessions and recovers from its log. */
async function crash(): Promise<void> {
  const ended = withSession(production.connection, async (session) => {
    const [row] = await session.query('SELECT pg_backend_pid() AS pid');
    const waiting = session.query('SELECT pg_sleep(600)');
    process.kill(Number(row?.['pid']), 'SIGKILL');
    await waiting;
  });
  await expect(ended).rejects.toThrow();
  await expect
    .poll(() => production.query('SELECT 1 AS up').catch(() => []), {timeout: 60_000})
    .toEqual([{up: '1'}]);
}
