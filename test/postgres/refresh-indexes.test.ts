/** refresh builds the indexes of tables that no rule changes with the rows, and those of all others after the masks. */
import {rm} from 'node:fs/promises';
import {afterAll, beforeAll, expect, it} from 'vitest';
import {backupDatabase} from '../../src/lib/services/backup/local-backup.js';
import {refresh} from '../../src/lib/services/refresh/refresh.js';
import type {Config} from '../../src/lib/settings/config-schema.js';
import {tempFolder} from '../support/run-cli.js';
import {
  createTempDatabase,
  dropDatabase,
  existingDatabase,
  onServer,
  type TempDatabase,
} from '../support/temp-database.js';
import {testContext} from '../support/test-context.js';

const target = 'indexed_staging';
const limited = 'indexed_staging_role';
const indexes = `SELECT indexrelid::regclass::text AS name FROM pg_index WHERE indrelid::regclass::text !~ '^(pg_|destino_)' AND indrelid >= 16384
  ORDER BY indexrelid::regclass::text COLLATE "C"`;
const masks = {
  'public.people.name': {mask: 'name'},
  'public.events.who': {mask: 'name'},
  'public.emptied': {rows: 'none'},
  'public.page.title': {mask: 'keep', reason: 'of a test'},
} satisfies Config['masks'];

let folder: string;
let production: TempDatabase;

beforeAll(async () => {
  folder = await tempFolder();
  production = await createTempDatabase('template0');
  await production.run(`
    CREATE TABLE people (id int PRIMARY KEY, name text);
    CREATE INDEX people_name ON people (name);
    CREATE TABLE page (id int PRIMARY KEY, owner int REFERENCES people, title text, body text, EXCLUDE (id WITH =));
    CREATE UNIQUE INDEX "page (title) WHERE" ON page (title DESC NULLS LAST, id) INCLUDE (body) WITH (fillfactor = 70);
    CREATE FUNCTION name_of(int) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT name FROM public.people WHERE id = $1';
    CREATE INDEX page_of ON page (name_of(owner));
    CREATE INDEX page_where ON page (id) WHERE name_of(owner) > '';
    ALTER TABLE page ADD CONSTRAINT page_excl EXCLUDE (name_of(owner) WITH =);
    COMMENT ON INDEX "page (title) WHERE" IS 'once each';
    ALTER TABLE page REPLICA IDENTITY USING INDEX page_pkey;
    ALTER TABLE page CLUSTER ON page_pkey;
    CREATE TABLE emptied (id int PRIMARY KEY);
    CREATE TABLE events (at date, who text, PRIMARY KEY (at)) PARTITION BY RANGE (at);
    CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
    CREATE TABLE visits (at date, page int, PRIMARY KEY (at)) PARTITION BY RANGE (at);
    CREATE TABLE visits_1 PARTITION OF visits FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
    CREATE MATERIALIZED VIEW titles AS SELECT title FROM page;
    CREATE INDEX titles_title ON titles (title);
    INSERT INTO people SELECT n, 'Anna ' || n FROM generate_series(1, 20) n;
    INSERT INTO page SELECT n, n, 'Page ' || n, 'b' FROM generate_series(1, 20) n;
    INSERT INTO emptied VALUES (1);
    INSERT INTO events VALUES ('2026-02-01', 'Ben');
    INSERT INTO visits VALUES ('2026-02-01', 7);
    CREATE ROLE ${limited} LOGIN CREATEDB PASSWORD 'limited'`);
});

afterAll(async () => {
  await production.drop();
  await dropDatabase(target);
  await onServer((session) => session.query(`DROP ROLE ${limited}`));
  await rm(folder, {recursive: true, force: true});
});

/** @returns the indexes before the masks, and those of the copy */
async function refreshed(role: string | undefined, subset: Config['subset'] = {}): Promise<unknown[][]> {
  await dropDatabase(target);
  const url = new URL(existingDatabase(target).url);
  if (role !== undefined) [url.username, url.password] = [role, 'limited'];
  const context = testContext(folder, {
    settings: {databaseUrl: production.url, config: {masks, subset}},
    env: {STAGING_URL: url.href},
  });
  await backupDatabase(context, {format: 'custom'});
  let before: unknown[] = [];
  const looking = {
    ...context,
    checkpoint: async (point: string) => {
      if (point !== 'staging.compared') return;
      const [copy] = await onServer((session) =>
        session.query(`SELECT datname AS name FROM pg_database WHERE starts_with(datname, $1)`, [
          `${target}_restore_`,
        ]),
      );
      const database = existingDatabase(copy?.['name'] ?? '');
      before = (await database.query(indexes)).map(({name}) => name);
    },
  };
  const {masked} = await refresh(looking, {}, {targetUrlEnv: 'STAGING_URL', keepSetAside: 0});
  expect(masked?.proof.passed).toBe(true);
  return [before, (await existingDatabase(target).query(indexes)).map(({name}) => name)];
}

const unchanged = ['"page (title) WHERE"', 'page_id_excl', 'page_pkey', 'visits_1_pkey'];
const all = [
  '"page (title) WHERE"',
  'emptied_pkey',
  'events_1_pkey',
  'events_pkey',
  'page_excl',
  'page_id_excl',
  'page_of',
  'page_pkey',
  'page_where',
  'people_name',
  'people_pkey',
  'titles_title',
  'visits_1_pkey',
  'visits_pkey',
];

it.each([
  ['a superuser', undefined],
  ['a role that owns only a part', limited],
])('builds the indexes of unchanged tables with the rows, as %s', async (_who, role) => {
  expect(await refreshed(role)).toEqual([unchanged, all]);
});

it('builds all indexes after a subset, which can take rows from each table', async () => {
  expect(await refreshed(undefined, {'public.people': 'id < 5'})).toEqual([[], all]);
});
