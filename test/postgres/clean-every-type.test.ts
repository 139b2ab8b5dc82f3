/** Deleted rows are restored byte for byte: the sample shop, and every type, key and reference of PostgreSQL. */
import {afterEach, beforeEach, expect, it} from 'vitest';
import {cleanOrders} from '../../src/lib/services/orders/clean/execute.js';
import {restoreOrders} from '../../src/lib/services/orders/restore/execute.js';
import type {OrdersConfig} from '../../src/lib/settings/orders-config.js';
import {cleanRequest} from '../support/clean-request.js';
import {loadEveryType} from '../support/every-type.js';
import {tempFolder} from '../support/run-cli.js';
import {createTempDatabase, type TempDatabase} from '../support/temp-database.js';
import {testContext} from '../support/test-context.js';
import {contentOf} from '../support/write-order-backup.js';

let folder: string;
let database: TempDatabase | undefined;
beforeEach(async () => {
  folder = await tempFolder();
});
afterEach(() => database?.drop());

async function cleanAndRestore(from: TempDatabase, orders: OrdersConfig = {}) {
  const context = testContext(folder, {env: {DIRECT_URL: from.url}, settings: {config: {orders}}});
  const before = await contentOf(from);
  const done = await cleanOrders(context, cleanRequest());
  const between = await contentOf(from);
  const backupFile = String(done.backupPath);
  await restoreOrders(context, {backupFile, execute: true, failOnConflicts: true, onlyOrders: []});
  return {done, before, between, after: await contentOf(from)};
}

it('restores the sample shop', async () => {
  database = await createTempDatabase();
  const {before, between, after} = await cleanAndRestore(database);
  expect(between['orders']?.length).toBe(252);
  expect(after).toEqual(before);
});

it('restores every type, key and reference', async () => {
  database = await createTempDatabase('template0');
  await loadEveryType(database);
  // Every table's rows depend on one testing order; a typed table cannot get a column, and a rule forbids deletions from another.
  await database.run(`
    INSERT INTO kinds.documents VALUES (6, E'{\\n  "a":\\t1.10\\r\\n}', '{"__proto__": {"x": 1}}', NULL);
    CREATE TABLE kinds.orders (id integer PRIMARY KEY, email text NOT NULL);
    INSERT INTO kinds.orders VALUES (1, 'test@shop.com'), (2, 'anna@shop.com');
    DO $$ DECLARE item record; BEGIN
      FOR item IN SELECT c.oid::regclass AS name, c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                   WHERE n.nspname IN ('kinds', 'Other "Schema"') AND c.relkind IN ('r', 'p') AND NOT c.relispartition
                     AND c.reloftype = 0 AND c.relname NOT IN ('orders', 'ruled', 'child') LOOP
        EXECUTE format('ALTER TABLE %s ADD order_id integer DEFAULT 1 REFERENCES kinds.orders ON DELETE CASCADE', item.name);
        EXECUTE format('CREATE INDEX ON %s (order_id)', item.name);
      END LOOP; END $$`);
  const root = {schema: 'kinds', table: 'orders', email: 'email'};
  const {done, before, between, after} = await cleanAndRestore(database, {
    profile: {name: 'kinds', roots: [root]},
  });
  const emptied = Object.entries(before).filter(
    ([name, rows]) => rows.length > 0 && between[name]?.length === 0,
  );
  expect(emptied.length).toBeGreaterThan(35);
  expect(done.totalRows).toBeGreaterThan(100);
  expect(after).toEqual(before);
});
