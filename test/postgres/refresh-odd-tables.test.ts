/** Tables that refresh does not restore with rows, tables that inherit from others, and rows of other servers. */
import {rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {afterAll, beforeAll, expect, inject, it} from 'vitest';
import {backupDatabase} from '../../src/lib/services/backup/local-backup.js';
import {refresh, type RefreshResult} from '../../src/lib/services/refresh/refresh.js';
import type {MasksConfig} from '../../src/lib/settings/mask-config.js';
import {runProgram, tempFolder} from '../support/run-cli.js';
import {
  clusterConnection,
  createTempDatabase,
  dropDatabase,
  existingDatabase,
  type TempDatabase,
} from '../support/temp-database.js';
import {testContext} from '../support/test-context.js';

const target = 'odd_tables_staging';
const masks: MasksConfig = {
  'public.people.email': {mask: 'email'},
  'public.animal': {rows: 'none'},
  'public.visit': {rows: 'none'},
  'public.visit_note': {rows: 'none'},
};
let folder: string;
let production: TempDatabase;
let elsewhere: TempDatabase;
let preview: RefreshResult;
let done: RefreshResult;

beforeAll(async () => {
  folder = await tempFolder();
  elsewhere = await createTempDatabase('template0');
  await elsewhere.run(
    `CREATE TABLE remote (id int, animal text); INSERT INTO remote VALUES (1, 'their cat')`,
  );
  production = await createTempDatabase('template0');
  const {port, user, password} = clusterConnection();
  await production.run(`
    CREATE TABLE people (id int PRIMARY KEY, email text, photo bytea);
    INSERT INTO people VALUES (1, 'anna@people.example', '\\x00'), (2, 'ben@people.example', NULL);
    CREATE TABLE page (id int, html text);
    INSERT INTO page VALUES (1, repeat('large and easy to pack ', 1000));
    CREATE TABLE animal (id int, name text);
    CREATE TABLE dog () INHERITS (animal);
    INSERT INTO animal VALUES (1, 'any');
    INSERT INTO dog VALUES (2, 'rex');
    CREATE TABLE visit (id int, at date, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
    CREATE TABLE visit_1 PARTITION OF visit FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
    INSERT INTO visit SELECT n, '2026-02-01' FROM generate_series(1, 500) n;
    CREATE TABLE visit_note (visit int, at date, FOREIGN KEY (visit, at) REFERENCES visit);
    INSERT INTO visit_note SELECT n, '2026-02-01' FROM generate_series(1, 500) n;
    SELECT lo_from_bytea(4711, 'x');
    COMMENT ON LARGE OBJECT 4711 IS 'of anna@people.example';
    CREATE VIEW "LARGE OBJECT" AS SELECT 'ben@people.example' AS owner;
    CREATE EXTENSION postgres_fdw;
    CREATE SERVER elsewhere FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1', port '${port}', dbname '${elsewhere.name}');
    CREATE USER MAPPING FOR PUBLIC SERVER elsewhere OPTIONS (user '${user}', password '${password ?? ''}');
    CREATE FOREIGN TABLE cat (id int, animal text) SERVER elsewhere OPTIONS (table_name 'remote');
    CREATE FOREIGN TABLE horse () INHERITS (animal) SERVER elsewhere OPTIONS (table_name 'remote');
    ALTER FOREIGN TABLE horse ALTER name OPTIONS (column_name 'animal');
    CREATE VIEW cats AS SELECT * FROM cat;
    CREATE MATERIALIZED VIEW all_cats AS SELECT * FROM cats;
    CREATE MATERIALIZED VIEW our_dogs AS SELECT * FROM dog`);
  await production.run(`
    ALTER DATABASE "${production.name}" SET app.settings.jwt_secret = 'of-production';
    ALTER DATABASE "${production.name}" SET statement_timeout = '9min'`);
  await backupDatabase(context(), {format: 'custom'});
  preview = await refresh(context(), {}, {targetUrlEnv: 'STAGING_URL', keepSetAside: 1, dryRun: true});
  done = await refresh(context(), {}, {targetUrlEnv: 'STAGING_URL', keepSetAside: 1});
});

const ofView = {'VIEW public.LARGE OBJECT': 'of a test'};
const ofComment = {'COMMENT LARGE OBJECT 4711': 'of a test'};

const context = (keepDefinitions: Record<string, string> = {...ofView, ...ofComment}) =>
  testContext(folder, {
    env: {STAGING_URL: existingDatabase(target).url},
    settings: {
      databaseUrl: production.url,
      config: {
        masks,
        keepDefinitions: {
          'USER MAPPING USER MAPPING public SERVER elsewhere': 'of a test',
          ...keepDefinitions,
        },
      },
    },
  });

afterAll(async () => {
  await production.drop();
  await elsewhere.drop();
  await dropDatabase(target);
  await rm(folder, {recursive: true, force: true});
});

const count = async (table: string): Promise<string | null | undefined> =>
  (await existingDatabase(target).query(`SELECT count(*) AS rows FROM ${table}`))[0]?.['rows'];

it('empties a table without the tables that inherit from it, whose rows stay on this and on the other server', async () => {
  expect(await count('ONLY public.animal')).toBe('0');
  expect(await count('public.dog')).toBe('1');
  const [row] = await elsewhere.query('SELECT count(*) AS rows FROM public.remote');
  expect(row).toEqual({rows: '1'});
});

it('compresses large values by lz4, which the next reads of them take less time for', async () => {
  const how = 'SELECT pg_column_compression(html) AS how, md5(html) AS content FROM page';
  const [[before], [now]] = [await production.query(how), await existingDatabase(target).query(how)];
  expect([before?.['how'], now?.['how']]).toEqual(['pglz', 'lz4']);
  expect(now?.['content']).toBe(before?.['content']);
});

it('copies no settings of applications into a new database, which may be secrets of production', async () => {
  const [row] = await existingDatabase(target).query(`
    SELECT array_to_string(s.setconfig, ' ') AS settings FROM pg_db_role_setting s
      JOIN pg_database d ON d.oid = s.setdatabase WHERE d.datname = current_database()`);
  expect(row).toEqual({settings: 'statement_timeout=9min'});
  expect(done.warnings).toContainEqual(
    expect.stringContaining('the setting app.settings.jwt_secret of the database'),
  );
  expect(JSON.stringify([preview, done])).not.toContain('of-production');
});

it('restores no rows of tables without rows, so that not even statistics had any', async () => {
  expect(done.notes).toContainEqual(
    expect.stringMatching(/^left out: [45] objects rows that the copy does not get/) as string,
  );
  expect(await count('public.visit')).toBe('0');
  expect(await count('public.visit_note')).toBe('0');
});

it('does not fill materialized views with rows of another server', async () => {
  const views = await existingDatabase(target).query(
    'SELECT matviewname AS name, ispopulated AS filled FROM pg_matviews ORDER BY 1',
  );
  expect(views).toEqual([
    {name: 'all_cats', filled: 'f'},
    {name: 'our_dogs', filled: 't'},
  ]);
});

it('names in the preview what it cannot look into', () => {
  expect(preview.notLooked).toEqual(
    expect.arrayContaining([
      {of: 'public.people.photo', reason: 'bytea is not text'},
      {of: 'public.cat', reason: 'its rows are in another database'},
      {of: 'public.horse', reason: 'its rows are in another database'},
      {of: 'large objects', reason: 'they are not text'},
    ]),
  );
});

it('loads no statistics of a plain dump, which contain values of tables that get no rows, and adds its checks after the masks', async () => {
  const {stdout} = await runProgram(join(inject('serverBin'), 'pg_dump'), [production.url]);
  // As pg_dump --statistics of PostgreSQL 18 writes them; an older server has no such function.
  const statistics = `--\n-- Statistics for Name: animal; Type: STATISTICS DATA; Schema: public; Owner: -\n--\n\nSELECT * FROM pg_catalog.pg_restore_attribute_stats(\n\t'schemaname', 'public',\n\t'relname', 'animal',\n\t'attname', 'name',\n\t'inherited', 'f'::boolean,\n\t'null_frac', '0'::real,\n\t'avg_width', '4'::integer,\n\t'n_distinct', '1'::real,\n\t'most_common_vals', '{any}'::text,\n\t'most_common_freqs', '{1}'::real[]\n);\n\n`;
  // A row breaks it, as its validation would find.
  const check = `--\n-- Name: people shown; Type: CHECK CONSTRAINT; Schema: public; Owner: -\n--\n\nALTER TABLE public.people\n    ADD CONSTRAINT shown CHECK ((photo IS NOT NULL)) NOT VALID;\n\n\n`;
  const dump = stdout
    .replace('--\n-- Name: people people_pkey; Type: CONSTRAINT;', (heading) => statistics + check + heading)
    .replace('--\n-- PostgreSQL database dump complete', (end) => statistics + end);
  expect(dump.split(statistics)).toHaveLength(3);
  const path = join(folder, 'with-statistics.sql');
  await writeFile(path, dump);
  await refresh(context(), {}, {targetUrlEnv: 'STAGING_URL', backupFile: path, keepSetAside: 0});
  const known = await existingDatabase(target).query(
    `SELECT most_common_vals AS known FROM pg_stats WHERE tablename = 'animal' AND NOT inherited`,
  );
  expect(known).toEqual([]);
});

it('refuses a plain dump without headings, whose objects have no names', async () => {
  const {stdout} = await runProgram(join(inject('serverBin'), 'pg_dump'), [production.url]);
  const path = join(folder, 'without-headings.sql');
  await writeFile(path, stdout.replace(/^-- (?:Data for )?Name: .*$/gm, '--'));
  const refused = refresh(context(), {}, {targetUrlEnv: 'STAGING_URL', backupFile: path, keepSetAside: 0});
  await expect(refused).rejects.toMatchObject({code: 'MASK_REFUSED'});
});

it('stops at personal comments of large objects, and at a view with a name like theirs', async () => {
  for (const [kept, found] of [
    [ofView, 'COMMENT LARGE OBJECT 4711: email'],
    [ofComment, 'VIEW public.LARGE OBJECT: email'],
  ] as const)
    await expect(
      refresh(context(kept), {}, {targetUrlEnv: 'STAGING_URL', keepSetAside: 0}),
    ).rejects.toMatchObject({code: 'PERSONAL_DATA', details: [found]});
});
