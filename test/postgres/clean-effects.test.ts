/** Effects of triggers and rules during a cleaning: rows that no order backup contains are never lost. */
import {readdir} from 'node:fs/promises';
import {afterEach, beforeEach, expect, it} from 'vitest';
import {defined} from '../../src/lib/base/defined.js';
import {cleanOrders} from '../../src/lib/services/orders/clean/execute.js';
import {cleanRequest} from '../support/clean-request.js';
import {tempFolder} from '../support/run-cli.js';
import {createTempDatabase, type TempDatabase} from '../support/temp-database.js';
import {testContext, type TestContext} from '../support/test-context.js';
import type {OrdersConfig} from '../../src/lib/settings/orders-config.js';

let shop: TempDatabase;
let folder: string;
beforeEach(async () => {
  shop = await createTempDatabase();
  folder = await tempFolder();
  await shop.run('CREATE TABLE ledger AS SELECT id AS "order" FROM orders');
});
afterEach(() => shop.drop());

interface Changes {
  readonly url?: string;
  readonly execute?: boolean;
  readonly allowTriggers?: readonly string[];
  readonly context?: TestContext;
}

const contextOf = (url: string, orders: OrdersConfig = {}): TestContext =>
  testContext(folder, {settings: {databaseUrl: url, config: {orders}}});

const clean = ({url = shop.url, execute = true, allowTriggers, context = contextOf(url)}: Changes = {}) =>
  cleanOrders(context, cleanRequest({execute, selection: defined({allowTriggers})}));

const trigger = (body: string): Promise<void> =>
  shop.run(`
    CREATE FUNCTION effect() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN ${body}; RETURN OLD; END $$;
    CREATE TRIGGER effect AFTER DELETE ON orders FOR EACH ROW EXECUTE FUNCTION effect()`);

const countRows = async (table: string): Promise<number> =>
  Number((await shop.query(`SELECT count(*) FROM ${table}`))[0]?.['count']);

async function expectNothingLost(): Promise<void> {
  expect([await countRows('orders'), await countRows('ledger')]).toEqual([404, 404]);
  expect(await readdir(`${folder}/backups/order-cleanup`).catch(() => [])).toEqual([]);
}

const deletesLedger = 'DELETE FROM ledger WHERE "order" = OLD.id';

it('loses no rows to a trigger if the server does not count changed rows', async () => {
  await shop.run(`ALTER DATABASE ${shop.name} SET track_counts = off`);
  await trigger(deletesLedger);
  await expect(clean()).rejects.toMatchObject({
    code: 'CLEAN_FAILED',
    message: expect.stringContaining('public.ledger') as string,
  });
  await expectNothingLost();
});

it('loses no rows to a trigger that it cannot observe, unless it is allowed by name', async () => {
  const role = `cleaner_${shop.name}`;
  const url = shop.url.replace(/\/\/[^@]*@/, `//${role}:pw@`);
  await shop.run(`
    CREATE ROLE ${role} LOGIN PASSWORD 'pw'; GRANT ALL ON ALL TABLES IN SCHEMA public TO ${role};
    ALTER DATABASE ${shop.name} SET track_counts = off`);
  try {
    await trigger(deletesLedger);
    expect((await clean({url, execute: false})).unseen).toEqual(['public.orders.effect']);
    await expect(clean({url})).rejects.toMatchObject({
      code: 'GUARD',
      hint: expect.stringContaining('--allow-trigger public.orders.effect') as string,
    });
    await expectNothingLost();
    const {roots} = await clean({url, allowTriggers: ['public.orders.effect']});
    expect(roots).toMatchObject({'public.orders': 152});
  } finally {
    await shop.run(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
  }
});

it('knows every name that can be allowed', async () => {
  await trigger(deletesLedger);
  await shop.run('CREATE RULE other AS ON INSERT TO ledger DO ALSO NOTIFY other');
  const allowTriggers = ['public.orders.effect', 'public.ledger.other'];
  const execute = false;
  const context = contextOf(shop.url, {allowTriggers: ['public.orders.efect']});
  await clean({execute, allowTriggers, context});
  expect(context.warnings).toEqual([
    'orders.allowTriggers: the database has no trigger or rule "public.orders.efect". Did you mean "public.orders.effect"?',
  ]);
  await expect(clean({execute, allowTriggers: ['efect']})).rejects.toMatchObject({
    code: 'USAGE',
    message:
      '--allow-trigger: the database has no trigger or rule "efect"; nothing was changed. Did you mean "public.orders.effect"?',
  });
});

it('loses no rows to a rule, allowed by name or not', async () => {
  await shop.run(`CREATE RULE effect AS ON DELETE TO orders DO ALSO ${deletesLedger}`);
  const {rules, unseen} = await clean({execute: false});
  expect(rules).toEqual([{table: 'public.orders', rule: 'effect', event: 'delete', timing: 'also'}]);
  expect(unseen).toEqual(['public.orders.effect']);
  await expect(clean()).rejects.toMatchObject({code: 'GUARD'});
  await expect(clean({allowTriggers: unseen})).rejects.toMatchObject({code: 'CLEAN_FAILED'});
  await expectNothingLost();
});

it.each([
  ['truncates a table', 'TRUNCATE ledger', 'public.ledger'],
  ['drops a table', 'DROP TABLE IF EXISTS ledger', 'public.ledger'],
  [
    'removes a large object',
    'PERFORM lo_unlink(oid) FROM pg_largeobject_metadata',
    'pg_largeobject_metadata',
  ],
])('loses no rows to a trigger that %s', async (_what, body, table) => {
  await shop.run("SELECT lo_from_bytea(0, 'kept')");
  await trigger(body);
  await expect(clean()).rejects.toMatchObject({
    code: 'CLEAN_FAILED',
    message: expect.stringContaining(table) as string,
  });
  expect(await countRows('pg_largeobject_metadata')).toBe(1);
  await expectNothingLost();
});

it('allows a trigger to use its own temporary table', async () => {
  await trigger('CREATE TEMPORARY TABLE work (id integer); DROP TABLE work');
  expect((await clean()).roots).toMatchObject({'public.orders': 152});
});
