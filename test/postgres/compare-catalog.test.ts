/** "Equal" includes the catalog as well as the rows: every difference is found, and no others are reported. */
import {rm} from 'node:fs/promises';
import {afterAll, beforeAll, expect, inject, it} from 'vitest';
import {detectDump} from '../../src/lib/dump/detect-format.js';
import {type DumpDefinition, readDefinitions} from '../../src/lib/dump/dump-definitions.js';
import {findTool} from '../../src/lib/postgres/tools/find-tools.js';
import {streamArchive} from '../../src/lib/postgres/tools/pg-restore.js';
import {silentProgress} from '../../src/lib/progress/progress.js';
import type {RunContext} from '../../src/lib/run/run-context.js';
import {compareCatalog, describeDifferences} from '../../src/lib/services/restore/compare/compare-catalog.js';
import {restoreDatabase} from '../../src/lib/services/restore/execute.js';
import {readingOptions} from '../../src/lib/services/restore/source.js';
import {verifyBackups} from '../../src/lib/services/verify/verify.js';
import {makeBackup} from '../support/make-backup.js';
import {dumpKinds} from '../support/make-dump.js';
import {tempFolder} from '../support/run-cli.js';
import {
  createTempDatabase,
  databaseExists,
  dropDatabase,
  existingDatabase,
  onServer,
  type TempDatabase,
} from '../support/temp-database.js';
import {type TestContext, testContext} from '../support/test-context.js';
import {cases} from '../support/long-form.js';

const [app, reader] = ['catalog_app', 'catalog_reader'];

let folder: string;
let context: TestContext;
let source: TempDatabase;
const paths = new Map<string, string>();

beforeAll(async () => {
  folder = await tempFolder();
  source = await createTempDatabase('template0');
  await onServer((session) => session.query(`CREATE ROLE ${app}; CREATE ROLE ${reader}`));
  await source.run(`
    ALTER SCHEMA public OWNER TO ${app};
    CREATE SCHEMA shop; GRANT USAGE ON SCHEMA shop TO ${reader};
    CREATE TYPE shop."OrderStatus" AS ENUM ('NEW', 'PAID'); GRANT USAGE ON TYPE shop."OrderStatus" TO ${reader};
    CREATE TABLE shop.orders (
      id serial PRIMARY KEY, code varchar(9) CHECK (code IN ('a', 'b')), state shop."OrderStatus" DEFAULT 'NEW',
      at timestamp(3) DEFAULT now(), secret text, CONSTRAINT dear CHECK (id > 0)
    );
    INSERT INTO shop.orders (code) VALUES ('a'), ('b');
    CREATE TABLE shop.parent (a int, b int); CREATE TABLE shop.child (b int, a int); ALTER TABLE shop.child INHERIT shop.parent;
    CREATE INDEX by_code ON shop.orders (lower(code)) WHERE code IN ('a', 'b');
    CREATE VIEW shop.paid AS SELECT * FROM shop.orders WHERE code IN ('a', 'b') OR id::text = code;
    CREATE MATERIALIZED VIEW shop.sums AS SELECT count(*) FROM shop.orders;
    CREATE FUNCTION shop.look() RETURNS int LANGUAGE sql SECURITY DEFINER SET search_path = shop AS $$ SELECT 1 -- (x)
$$;
    ALTER FUNCTION shop.look() OWNER TO ${app}; REVOKE EXECUTE ON FUNCTION shop.look() FROM PUBLIC;
    CREATE FUNCTION shop.note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
    CREATE TRIGGER notes BEFORE UPDATE ON shop.orders FOR EACH ROW EXECUTE FUNCTION shop.note();
    ALTER TABLE shop.orders OWNER TO ${app}; ALTER TABLE shop.orders ENABLE ROW LEVEL SECURITY;
    GRANT SELECT ON shop.orders TO ${reader}; GRANT UPDATE (code) ON shop.orders TO ${reader};
    CREATE POLICY own ON shop.orders FOR SELECT TO ${reader} USING (code IN ('a', 'b') AND id > 1);
    ALTER DEFAULT PRIVILEGES FOR ROLE ${app} IN SCHEMA shop GRANT SELECT ON TABLES TO ${reader};
    COMMENT ON COLUMN shop.orders.code IS 'nine letters'; CREATE PUBLICATION news FOR TABLE shop.orders;
    ALTER TABLE shop.parent ADD CONSTRAINT later CHECK (a > 0) NOT VALID; ALTER TABLE shop.parent REPLICA IDENTITY FULL;
    CREATE SEQUENCE shop.numbers START 7; SELECT setval('shop.numbers', 41); CREATE EXTENSION citext SCHEMA shop`);
  context = testContext(folder, {settings: {databaseUrl: source.url}});
  for (const [index, kind] of dumpKinds.entries()) {
    const {path} = await makeBackup(context, source.connection, kind, `2025-06-0${index + 1}T03:00:00.000Z`);
    paths.set(kind, path);
  }
});

afterAll(async () => {
  await source.drop();
  await dropDatabase('catalog_new');
  await onServer((session) => session.query(`DROP ROLE ${app}; DROP ROLE ${reader}`));
  await rm(folder, {recursive: true, force: true});
});

/** A run during which the restored database is changed before the comparison. @param of the database that its comment names */
function changedBefore(title: string, of: string, sql: string): RunContext {
  let isDone = false;
  return {
    ...context,
    progress: {
      ...silentProgress,
      step: async (name, work) => {
        if (name === title && !isDone) {
          isDone = true;
          const [row] = await onServer((session) =>
            session.query(
              `SELECT datname FROM pg_database WHERE strpos(shobj_description(oid, 'pg_database'), $1) > 0`,
              [of],
            ),
          );
          await existingDatabase(row?.['datname'] ?? '').run(sql);
        }
        return silentProgress.step(name, work);
      },
    },
  };
}

const changes: readonly (readonly [string, string])[] = [
  ['ALTER SCHEMA public OWNER TO CURRENT_USER', `SCHEMA public: another owner, postgres instead of ${app}`],
  ['REVOKE USAGE ON SCHEMA shop FROM catalog_reader', 'ACL SCHEMA shop: other grants'],
  ['REVOKE USAGE ON TYPE shop."OrderStatus" FROM catalog_reader', 'ACL shop.TYPE "OrderStatus": other grants'],
  [`ALTER TYPE shop."OrderStatus" ADD VALUE 'LOST'`, 'TYPE shop.OrderStatus: another definition'],
  ['ALTER TABLE shop.orders OWNER TO CURRENT_USER', 'TABLE shop.orders: another owner, postgres instead of catalog_app'],
  ['GRANT SELECT ON shop.orders TO PUBLIC', 'ACL shop.TABLE orders: other grants, has GRANT SELECT ON TABLE shop.orders TO PUBLIC;'],
  ['REVOKE UPDATE (code) ON shop.orders FROM catalog_reader', 'ACL shop.COLUMN orders.code: other grants'],
  ['ALTER TABLE shop.orders DISABLE ROW LEVEL SECURITY', 'ROW SECURITY shop.orders: missing'],
  ['DROP POLICY own ON shop.orders', 'POLICY shop.orders own: missing'],
  ['ALTER TABLE shop.orders DISABLE TRIGGER notes', 'TRIGGER shop.orders notes: another state'],
  ['ALTER FUNCTION shop.look() SECURITY INVOKER', 'FUNCTION shop.look(): another state'],
  ['GRANT EXECUTE ON FUNCTION shop.look() TO PUBLIC', 'ACL shop.FUNCTION look(): other grants'],
  [`CREATE OR REPLACE FUNCTION shop.note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN  NEW; END'`, 'FUNCTION shop.note(): another definition'],
  ['ALTER DEFAULT PRIVILEGES FOR ROLE catalog_app IN SCHEMA shop REVOKE SELECT ON TABLES FROM catalog_reader', 'DEFAULT ACL shop.DEFAULT PRIVILEGES FOR TABLES: other grants'],
  ['ALTER DEFAULT PRIVILEGES IN SCHEMA shop GRANT SELECT ON SEQUENCES TO PUBLIC', 'DEFAULT ACL shop.DEFAULT PRIVILEGES FOR SEQUENCES: other grants'],
  [`COMMENT ON COLUMN shop.orders.code IS 'ten letters'`, 'COMMENT shop.COLUMN orders.code: another comment'],
  ['ALTER PUBLICATION news DROP TABLE shop.orders', 'PUBLICATION TABLE shop.news orders: missing'],
  ['ALTER TABLE shop.parent VALIDATE CONSTRAINT later', 'CHECK CONSTRAINT shop.parent later: missing'],
  ['ALTER TABLE shop.parent REPLICA IDENTITY DEFAULT', 'TABLE shop.parent: another state'],
  ['DROP INDEX shop.by_code', 'INDEX shop.by_code: missing'],
  ['CREATE TABLE shop.more (id int)', 'TABLE shop.more: not in the backup'],
  ['DROP EXTENSION citext', 'EXTENSION citext: missing'],
]; // prettier-ignore
const states = `SELECT setval('shop.numbers', 40); REFRESH MATERIALIZED VIEW shop.sums WITH NO DATA`;

it.each(cases(dumpKinds, 2))(
  'reports "equal" for a correct restore from %s, including owners, grants and definitions',
  async (kind) => {
    const request = {backupFile: paths.get(kind) ?? '', targetDb: 'catalog_new', createDb: true};
    expect(await restoreDatabase(context, request)).toMatchObject({
      differences: [],
      notCompared: [],
      errors: [],
    });
    expect(
      await existingDatabase('catalog_new').query(
        `SELECT nspowner::regrole::text AS owner FROM pg_namespace WHERE nspname = 'public'`,
      ),
    ).toEqual([{owner: app}]);
    await dropDatabase('catalog_new');
  },
);

it('never reports a restore as equal if its catalog differs from the backup, and keeps nothing of it', async () => {
  const sql = [...changes.map(([change]) => change), states].join(';');
  const within = changedBefore('Analyze', 'catalog_new', sql);
  const request = {backupFile: paths.get('custom') ?? '', targetDb: 'catalog_new', createDb: true};
  const failure: unknown = await restoreDatabase(within, request).catch((error: unknown) => error);
  expect(failure).toMatchObject({code: 'RESTORED_DIFFERS', exitCode: 4});
  const {details} = failure as {details: string[]};
  // PostgreSQL 15 writes a validated constraint into its table, and NOT VALID ones separately.
  expect(details[0]).toContain('The sequence shop.numbers is at 40');
  expect(details[2]).toContain('ACL ');
  // All of them; the screen shows the first and counts the others.
  expect(details.length).toBeGreaterThan(10);
  expect(await databaseExists('catalog_new')).toBe(false);
});

it('fails a restore test that opens a table to everybody', async () => {
  const [sql, difference] = ['GRANT SELECT ON shop.orders TO PUBLIC', 'ACL shop.TABLE orders: other grants'];
  const within = changedBefore('Compare', source.name, sql);
  const backupFile = paths.get('sql') ?? '';
  const {results} = await verifyBackups(within, {}, {backupFile, level: 'restore', scratch: {kind: 'same'}});
  expect(results[0]?.findings).toContainEqual(expect.stringContaining(difference));
});

it('finds every fact that can differ, and reports no others', async () => {
  await restoreDatabase(context, {
    backupFile: paths.get('custom') ?? '',
    targetDb: 'catalog_new',
    createDb: true,
  });
  const database = existingDatabase('catalog_new');
  const dump = await detectDump(paths.get('custom') ?? '');
  const tool = await findTool('pg_restore', context.settings, inject('serverMajor'));
  let definitions: readonly DumpDefinition[] = [];
  await streamArchive(tool, dump, {...readingOptions, schemaOnly: true}, async (sql) => {
    definitions = await readDefinitions(sql as AsyncIterable<Buffer>);
  });
  const compare = async (): Promise<string[]> => {
    const {differences} = await compareCatalog(context, {
      dump,
      definitions,
      encoding: 'UTF8',
      database: database.connection,
      serverMajor: inject('serverMajor'),
      excludeSchemas: [],
      limits: {},
    });
    return differences.map((one) => describeDifferences([one])[0] ?? '');
  };
  expect(await compare()).toEqual([]);
  await database.run(changes.map(([change]) => change).join(';'));
  const found = await compare();
  for (const [, difference] of changes) expect(found).toContainEqual(expect.stringContaining(difference));
  // Facts that depend on two of the changed objects, and no others.
  expect(found.length).toBe(changes.length + 2);
});
