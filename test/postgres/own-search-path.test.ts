/** The user's code runs under the role's own search_path, the program's code never: triggers, defaults, casts, types of extensions. */
import {afterEach, beforeEach, expect, it} from 'vitest';
import {withSession, withTransaction} from '../../src/lib/postgres/client.js';
import {selectForDump} from '../../src/lib/postgres/inspect/dump-selection.js';
import {inspectOwnership} from '../../src/lib/postgres/inspect/platform-objects.js';
import {cleanOrders} from '../../src/lib/services/orders/clean/execute.js';
import {planClean} from '../../src/lib/services/orders/clean/plan.js';
import {restoreOrders} from '../../src/lib/services/orders/restore/execute.js';
import type {OrdersConfig} from '../../src/lib/settings/orders-config.js';
import {cleanRequest} from '../support/clean-request.js';
import {tempFolder} from '../support/run-cli.js';
import {createTempDatabase, type TempDatabase} from '../support/temp-database.js';
import {testContext} from '../support/test-context.js';
import {cases} from '../support/long-form.js';

const orders: OrdersConfig = {
  profile: {
    name: 'app',
    roots: [{schema: 'app', table: 'orders', key: 'code', email: 'email', status: 'state'}],
    setNull: {notes: 'keep'},
  },
};

let database: TempDatabase;
let folder: string;
beforeEach(async () => {
  folder = await tempFolder();
  database = await createTempDatabase('template0');
  await database.run(`
    CREATE SCHEMA app;
    CREATE EXTENSION citext SCHEMA app;
    ALTER DATABASE ${database.name} SET search_path = app;
    SET search_path = app;
    CREATE TYPE state AS ENUM ('NEW', 'CANCELLED');
    CREATE TABLE orders (code citext PRIMARY KEY, email text, state state NOT NULL DEFAULT 'NEW');
    CREATE TABLE items (id int PRIMARY KEY, code citext NOT NULL REFERENCES orders, amount int NOT NULL);
    CREATE TABLE notes (id int PRIMARY KEY, code citext DEFAULT 'none' REFERENCES orders ON DELETE SET NULL);
    CREATE INDEX ON items (code); CREATE INDEX ON notes (code);
    CREATE TABLE gone (code citext, at timestamptz DEFAULT now());
    CREATE TABLE limits (most int); INSERT INTO limits VALUES (100);
    CREATE FUNCTION allowed(amount int) RETURNS boolean LANGUAGE plpgsql AS
      $$ BEGIN RETURN amount <= (SELECT most FROM limits); END $$;
    ALTER TABLE items ADD CHECK (app.allowed(amount));
    CREATE FUNCTION remember() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN INSERT INTO gone (code) VALUES (OLD.code); RETURN NULL; END $$;
    CREATE TRIGGER remember AFTER DELETE ON orders FOR EACH ROW EXECUTE FUNCTION remember();
    CREATE CONSTRAINT TRIGGER later AFTER DELETE ON items DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION remember();
    INSERT INTO orders VALUES ('a-1', 'test@x.org'), ('B-2', 'anna@x.org');
    INSERT INTO items VALUES (1, 'A-1', 5), (2, 'a-1', 7), (3, 'b-2', 1);
    INSERT INTO notes VALUES (1, 'A-1'), (2, 'B-2'), (3, NULL);`);
});
afterEach(() => database.drop());

const context = () => testContext(folder, {env: {DIRECT_URL: database.url}, settings: {config: {orders}}});

const content = async () =>
  (
    await database.query(`
      SELECT 'orders' AS name, string_agg(t::text, ';' ORDER BY t::text) AS rows FROM orders t
      UNION ALL SELECT 'items', string_agg(t::text, ';' ORDER BY t::text) FROM items t
      UNION ALL SELECT 'notes', string_agg(t::text, ';' ORDER BY t::text) FROM notes t ORDER BY 1`)
  ).map(({name, rows}) => `${name ?? ''}: ${rows ?? ''}`);

const goneRows = async () =>
  (await database.query('SELECT code FROM gone ORDER BY code::text COLLATE "C"')).map(({code}) => code);

it('lets triggers, checks and deferred triggers find unqualified names, and restores everything', async () => {
  const before = await content();
  const cleaned = await cleanOrders(context(), cleanRequest());
  expect(cleaned.tables).toEqual({
    'app.orders': {deleted: 1, relinked: 0},
    'app.items': {deleted: 2, relinked: 0},
    'app.notes': {deleted: 0, relinked: 1},
  });
  expect(await goneRows()).toEqual(['A-1', 'a-1', 'a-1']);
  await restoreOrders(context(), {
    backupFile: 'latest',
    execute: true,
    failOnConflicts: true,
    onlyOrders: [],
  });
  expect(await content()).toEqual(before);
});

it('does not lose rows whose key is equal only by the operator of its type', async () => {
  const plan = await planClean(context(), cleanRequest().selection);
  expect(plan.tables['app.items']?.deleted).toBe(2); // A-1 and a-1
  expect(plan.tables['app.notes']?.relinked).toBe(1);
});

it('uses no operator of another user for a type of an extension', async () => {
  await database.run(`
    CREATE DOMAIN code AS citext;
    ALTER TABLE notes ALTER COLUMN code DROP DEFAULT; ALTER TABLE items ALTER COLUMN code TYPE code;
    CREATE FUNCTION never(code, citext) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'trap'; END $$;
    CREATE FUNCTION never(citext, code) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'trap'; END $$;
    CREATE OPERATOR app.= (LEFTARG = code, RIGHTARG = citext, FUNCTION = never);
    CREATE OPERATOR app.= (LEFTARG = citext, RIGHTARG = code, FUNCTION = never);`);
  const plan = await planClean(context(), cleanRequest().selection);
  expect(plan.tables['app.items']?.deleted).toBe(2);
});

it('runs no cast of another role', async () => {
  await database.run(`
    CREATE ROLE ${database.name}_mallory; ALTER TYPE state OWNER TO ${database.name}_mallory;
    CREATE FUNCTION words(state) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE 'trap'; END $$;
    ALTER FUNCTION words(state) OWNER TO ${database.name}_mallory;`);
  await cleanOrders(context(), cleanRequest());
  await database.run('CREATE CAST (state AS text) WITH FUNCTION words(state)');
  try {
    await expect(planClean(context(), cleanRequest().selection)).rejects.toMatchObject({
      code: 'GUARD',
      message: expect.stringContaining('The type app.state of app.orders.state has a cast') as string,
    });
    const restore = {backupFile: 'latest', execute: false, failOnConflicts: false, onlyOrders: []};
    await expect(restoreOrders(context(), restore)).rejects.toMatchObject({code: 'GUARD'});
  } finally {
    await database.run(`DROP OWNED BY ${database.name}_mallory CASCADE; DROP ROLE ${database.name}_mallory`);
  }
});

it('matches patterns with the tables that the role finds without a schema', async () => {
  await database.run(`CREATE SCHEMA other; CREATE TABLE other.orders (); CREATE TABLE other.own ();`);
  const found = await withSession(database.connection, (session) =>
    selectForDump(session, {
      includeTables: ['orders'],
      excludeTables: [],
      includeSchemas: [],
      excludeSchemas: [],
    }),
  );
  expect(found.tables.map(({schema, name}) => `${schema}.${name}`)).toEqual(['app.orders']);
  await expect(
    withSession(database.connection, (session) =>
      selectForDump(session, {
        includeTables: ['own'],
        excludeTables: [],
        includeSchemas: [],
        excludeSchemas: [],
      }),
    ),
  ).rejects.toMatchObject({code: 'PATTERN_MATCHES_NOTHING'});
});

it.each(cases(['other, app', 'app, other', '"$user", app', 'nowhere, app'], 2))(
  'finds the tables of the search_path %s as the server does',
  async (path) => {
    await database.run(`CREATE SCHEMA other; CREATE TABLE other.orders (); CREATE SCHEMA postgres; CREATE TABLE postgres.orders ();
    CREATE SCHEMA "Odd, ""one"; CREATE TABLE "Odd, ""one".strange ();
    ALTER DATABASE ${database.name} SET search_path = ${path}, "Odd, ""one"`);
    const asServer = await database.query(`
    SELECT n.nspname || '.' || relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
     WHERE relkind = 'r' AND pg_table_is_visible(c.oid) AND nspname <> 'pg_catalog' ORDER BY 1`);
    const found = await withSession(database.connection, (session) =>
      selectForDump(session, {
        includeTables: ['*'],
        excludeTables: [],
        includeSchemas: [],
        excludeSchemas: [],
      }),
    );
    expect(found.tables.map(({schema, name}) => `${schema}.${name}`).sort()).toEqual(
      asServer.map(({name}) => name).sort(),
    );
  },
);

it('reads foreign keys once for all relations', async () => {
  await database.run(`DO $$ BEGIN FOR n IN 1..30 LOOP
    EXECUTE format('CREATE TABLE app.t%s (code app.citext REFERENCES app.orders)', n); END LOOP; END $$`);
  await withSession(database.connection, (session) =>
    withTransaction(session, '', async () => {
      const {relations} = await inspectOwnership(session);
      expect(relations.filter(({isVisible}) => isVisible).length).toBeGreaterThan(30);
      expect(relations.filter(({referencedFrom}) => referencedFrom.length > 0)).toMatchObject([
        {name: 'orders', referencedFrom: ['app']},
      ]);
      const scans = await session.query(
        `SELECT seq_scan AS scans FROM pg_catalog.pg_stat_xact_sys_tables WHERE relname = 'pg_constraint'`,
      );
      expect(Number(scans[0]?.['scans'])).toBeLessThan(10);
    }),
  );
});
