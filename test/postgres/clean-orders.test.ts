/** Cleaning the sample shop: selected and kept orders, and equal results of preview, file and database. */
import {readdir, readFile, stat, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {afterAll, afterEach, beforeAll, beforeEach, describe, expect, it} from 'vitest';
import {readOrderSnapshot} from '../../src/lib/rows/file/read-order-snapshot.js';
import {snapshotMetadata} from '../../src/lib/rows/file/format.js';
import type {ConfirmRequest} from '../../src/lib/run/run-context.js';
import {type CleanRequest, cleanOrders} from '../../src/lib/services/orders/clean/execute.js';
import {planClean} from '../../src/lib/services/orders/clean/plan.js';
import type {OrdersConfig} from '../../src/lib/settings/orders-config.js';
import {cleanRequest} from '../support/clean-request.js';
import {tempFolder} from '../support/run-cli.js';
import {createTempDatabase, type TempDatabase} from '../support/temp-database.js';
import {type TestContext, testContext} from '../support/test-context.js';

let shop: TempDatabase;
let folder: string;
const open = async (): Promise<void> => {
  shop = await createTempDatabase();
  folder = await tempFolder();
};
const close = () => shop.drop();

function contextWith(
  orders: OrdersConfig = {},
  changes: Parameters<typeof testContext>[1] = {},
): TestContext {
  return testContext(folder, {env: {DIRECT_URL: shop.url}, settings: {config: {orders}}, ...changes});
}

const clean = (changes: Parameters<typeof cleanRequest>[0] = {}, orders: OrdersConfig = {}) =>
  cleanOrders(contextWith(orders), cleanRequest(changes));

const preview = (selection: Partial<CleanRequest['selection']> = {}, orders: OrdersConfig = {}) =>
  planClean(contextWith(orders), cleanRequest({selection}).selection);

async function count(sql: string): Promise<number> {
  const [row] = await shop.query(`SELECT count(*) AS count FROM ${sql}`);
  return Number(row?.['count']);
}

/** A new order, by default from a person, unpaid. */
async function plant(values: Record<string, string> = {}, table = 'orders'): Promise<string> {
  const isCatering = table === 'catering_orders';
  const row: Record<string, string> = {
    id: 'gen_random_uuid()',
    email: "'someone@gmail.com'",
    status: "'PENDING'",
    '"paymentStatus"': "'PENDING'",
    [isCatering ? 'name' : '"customerName"']: "'Somebody'",
    phone: "'-'",
    [isCatering ? '"totalAmount"' : 'total']: '50',
    '"createdAt"': "'2026-03-10 12:00:00'",
    '"updatedAt"': "'2026-03-10 12:00:00'",
    ...(isCatering ? {'"eventDate"': "'2026-04-01'", '"numberOfPeople"': '10'} : {}),
    ...values,
  };
  const [found] = await shop.query(
    `INSERT INTO ${table} (${Object.keys(row).join(', ')}) VALUES (${Object.values(row).join(', ')}) RETURNING id`,
  );
  return found?.['id'] ?? '';
}

const isThere = async (id: string, table = 'orders'): Promise<boolean> =>
  (await count(`${table} WHERE id = '${id}'`)) === 1;

const tables = [
  'orders',
  'catering_orders',
  'order_items',
  'catering_order_items',
  'payments',
  'refunds',
  'email_alerts',
];

describe('a cleaning', () => {
  beforeEach(open);
  afterEach(close);

  it('reports the same counts in preview, result, file and database', async () => {
    const before: Record<string, number> = {};
    for (const name of tables) before[`public.${name}`] = await count(name);
    const seen = await preview();
    const done = await clean({plan: seen.plan, batchSize: 7});
    expect(done.plan).toBe(seen.plan);
    expect(done.tables).toEqual(seen.tables);
    expect(done.reasons).toEqual(seen.reasons);
    expect(done.guards).toEqual(seen.guards);
    expect(seen.totalRows).toBeGreaterThan(500);
    for (const [label, {deleted}] of Object.entries(done.tables)) {
      expect([label, await count(label)]).toEqual([label, Number(before[label]) - deleted]);
    }
    const file = await readOrderSnapshot(String(done.backupPath));
    expect(Object.fromEntries(file.tables.map(({table, rows}) => [table, rows]))).toEqual(
      Object.fromEntries(Object.entries(seen.tables).map(([table, {deleted}]) => [table, deleted])),
    );
    const text = await readFile(String(done.backupPath), 'utf8');
    const document = JSON.parse(text) as {metadata: unknown; rows: {table: string; row: {id: string}}[]};
    const metadata = snapshotMetadata.parse(document.metadata);
    expect(metadata).toMatchObject({
      plan: seen.plan,
      roots: seen.roots,
      reasons: seen.reasons,
      totalRows: seen.totalRows,
    });
    expect(document.rows).toHaveLength(seen.totalRows);
    expect(text.split('\n')[3]).toMatch(/^\{"table":"public\.(orders|catering_orders)","row":\{"id":/);
    expect(await preview()).toMatchObject({
      totalRows: 0,
      roots: {'public.orders': 0, 'public.catering_orders': 0},
    });
  });

  it('leaves no row without its parent and deletes no real customer', async () => {
    const people = `orders WHERE email IN ('contest@gmail.com', 'latest@company.com') OR email ~ 'protest|fakenham|testimonials'`;
    const peopleBefore = await count(people);
    const unlinkedBefore = await count('email_alerts WHERE "relatedOrderId" IS NULL');
    expect(peopleBefore).toBeGreaterThan(5);
    await clean({selection: {testEmailsOnly: true}});
    expect(await count(people)).toBe(peopleBefore);
    expect(
      await count(
        `orders WHERE email ~* '^(test|demo)[0-9]*@|@test[.]com$' AND NOT (total > 100 AND "paymentStatus" IN ('PAID', 'COMPLETED'))`,
      ),
    ).toBe(0);
    expect(await count('email_alerts WHERE "relatedOrderId" IS NULL')).toBe(unlinkedBefore);
  });

  it('keeps paid orders of high value of both kinds, and reports their number', async () => {
    const ids = [
      await plant({email: "'test@x.org'", total: '100.01', '"paymentStatus"': "'PAID'"}),
      await plant({email: "'test@x.org'", total: '100.01', '"paymentStatus"': "'COMPLETED'"}),
    ];
    const catering = await plant(
      {email: "'test@x.org'", '"totalAmount"': '3379.86', '"paymentStatus"': "'PAID'"},
      'catering_orders',
    );
    const gone = [
      await plant({email: "'test@x.org'", total: '100.00', '"paymentStatus"': "'PAID'"}),
      await plant({email: "'test@x.org'", total: '900', '"paymentStatus"': "'PENDING'"}),
    ];
    const done = await clean();
    for (const id of ids) expect(await isThere(id)).toBe(true);
    expect(await isThere(catering, 'catering_orders')).toBe(true);
    for (const id of gone) expect(await isThere(id)).toBe(false);
    expect(done.guards['high-value-paid']).toBe(15 + 3);
    expect((await preview({}, {highValue: 4000})).reasons['test-email']).toBeGreaterThan(15);
  });

  it('keeps failed and cancelled orders of customers who ever paid, of either kind, unless configured otherwise', async () => {
    await plant({email: "' Anna.New@gmail.com'", '"paymentStatus"': "'PAID'"}, 'catering_orders');
    const customer = await plant({email: "'anna.new@Gmail.com'", status: "'CANCELLED'"});
    const stranger = await plant({email: "'bert.new@gmail.com'", '"paymentStatus"': "'FAILED'"});
    await clean();
    expect(await isThere(customer)).toBe(true);
    expect(await isThere(stranger)).toBe(false);
    await clean({selection: {includeCustomers: true}});
    expect(await isThere(customer)).toBe(false);
  });

  it('keeps orders that the config protects or excludes, and that flags exclude', async () => {
    const email = "'test@kept.org'";
    const [byPattern, byConfig, byFlag, gone, alike] = [
      await plant({email: "'demo_x.test@Kept.org'"}),
      await plant({email}),
      await plant({email}),
      await plant({email}),
      await plant({email: "'demo-x.test@kept.org'"}),
    ];
    const done = await clean(
      {selection: {excludeIds: [byFlag.toUpperCase()]}},
      {protected: ['demo_x*@kept.ORG'], excludedIds: [byConfig]},
    );
    expect(await Promise.all([byPattern, byConfig, byFlag, gone, alike].map((id) => isThere(id)))).toEqual([
      true,
      true,
      true,
      false,
      false,
    ]);
    expect(done.guards).toMatchObject({protected: 1, excluded: 2});
  });

  it("counts days from their start to their end, in UTC or in the config's zone, and never selects by them alone", async () => {
    const at = (time: string) => plant({email: "'test@days.org'", '"createdAt"': `'${time}'`});
    const [before, first, last, after] = [
      await at('2026-02-28 23:59:59.999'),
      await at('2026-03-01 00:00:00'),
      await at('2026-03-31 23:59:59.999'),
      await at('2026-04-01 00:00:00'),
    ];
    const person = await plant();
    const range = {from: '2026-03-01', to: '2026-03-31'};
    // Los Angeles is behind: its March begins and ends some hours later than in UTC.
    const western = await preview(range, {timeZone: 'America/Los_Angeles'});
    const utc = await preview(range);
    expect(western.plan).not.toBe(utc.plan);
    expect(utc.guards['outside-range']).toBeGreaterThan(50);
    await clean({selection: range});
    expect(await Promise.all([before, first, last, after, person].map((id) => isThere(id)))).toEqual([
      true,
      false,
      false,
      true,
      true,
    ]);
    await clean({selection: {from: '2026-04-01', to: '2026-04-01'}}, {timeZone: 'America/Los_Angeles'});
    expect(await isThere(after)).toBe(true);
    await clean({selection: {from: '2026-03-31', to: '2026-03-31'}}, {timeZone: 'America/Los_Angeles'});
    expect(await isThere(after)).toBe(false);
  });

  it('refuses if the plan differs from the preview', async () => {
    const {plan} = await preview();
    await plant({email: "'test@late.org'"});
    await expect(clean({plan})).rejects.toMatchObject({code: 'PLAN_CHANGED', exitCode: 5});
    expect((await preview()).roots).toMatchObject({'public.orders': 153});
    expect(await readdir(folder)).toEqual([]);
  });

  it('assesses an order that was paid after the question by its present state', async () => {
    const id = await plant({email: "'test@late.org'", total: '500'});
    const context = contextWith(
      {},
      {
        confirm: () => shop.run(`UPDATE orders SET "paymentStatus" = 'PAID' WHERE id = '${id}'`),
      },
    );
    const {plan} = await preview();
    await expect(cleanOrders(context, cleanRequest({plan}))).rejects.toMatchObject({code: 'PLAN_CHANGED'});
    await expect(cleanOrders(context, cleanRequest({plan, backup: false}))).rejects.toMatchObject({
      code: 'PLAN_CHANGED',
    });
    expect(await count('orders')).toBe(405);
    expect(await readdir(join(folder, 'backups/order-cleanup'))).toEqual([]);
    await shop.run(`UPDATE orders SET "paymentStatus" = 'PENDING' WHERE id = '${id}'`);
    const done = await cleanOrders(context, cleanRequest());
    expect(await isThere(id)).toBe(true);
    expect(done.roots['public.orders']).toBe(152);
  });

  it('asks a second time, for the name, if there is no backup', async () => {
    const asked: boolean[] = [];
    const context = contextWith(
      {},
      {
        confirm: (request) => {
          asked.push(request.isIrreversible === true);
          return Promise.resolve();
        },
      },
    );
    const done = await cleanOrders(context, cleanRequest({backup: false}));
    expect(asked).toEqual([false, true]);
    expect(done).toMatchObject({backupPath: null, roots: {'public.orders': 152}});
    expect(await readdir(folder)).toEqual([]);
  });

  it('asks for the name if the database is production, by its name or NODE_ENV', async () => {
    const asked: boolean[] = [];
    const confirm = ({isProduction}: ConfirmRequest) => Promise.resolve(void asked.push(isProduction));
    const settings = {config: {production: {databases: [shop.name]}}};
    const env = {DIRECT_URL: shop.url};
    const request = cleanRequest({selection: {testEmailsOnly: true}});
    await cleanOrders(testContext(folder, {env, settings, confirm}), request);
    await plant({email: "'test@late.org'"});
    await cleanOrders(testContext(folder, {env: {...env, NODE_ENV: 'production'}, confirm}), request);
    await plant({email: "'test@late.org'"});
    await cleanOrders(testContext(folder, {env, confirm}), request);
    expect(asked).toEqual([true, true, false]);
  });

  it('compares totals of the type money', async () => {
    const {guards} = await preview();
    await shop.run('ALTER TABLE orders ALTER total TYPE money');
    expect((await preview()).guards).toEqual(guards);
  });

  it('reports that nothing was deleted when the backup cannot be written', async () => {
    await writeFile(join(folder, 'backups'), '');
    await expect(clean()).rejects.toMatchObject({
      code: 'FOLDER_NOT_WRITABLE',
      message: expect.stringContaining('No order was deleted.') as string,
    });
    expect(await count('orders')).toBe(404);
  });

  it.each([
    ['a value is another', (text: string) => text.replace('"customerName":"', '"customerName":"x')],
    ['a row is gone', (text: string) => text.replace(/\n\{"table":"public\.order_items".*/, '')],
    ['it is cut off', (text: string) => text.slice(0, text.length / 2)],
  ])('deletes nothing when its file reads back different: %s', async (_what, damage) => {
    const context = contextWith();
    const orders = await count('orders');
    const checkpoint = async (point: string): Promise<void> => {
      if (point !== 'clean.file-written') return;
      const files = await readdir(join(folder, 'backups/order-cleanup'));
      const path = join(folder, 'backups/order-cleanup', files[0] ?? '');
      const text = await readFile(path, 'utf8');
      expect(damage(text)).not.toBe(text);
      await writeFile(path, damage(text));
    };
    await expect(cleanOrders({...context, checkpoint}, cleanRequest())).rejects.toMatchObject({
      code: 'ORDER_BACKUP_INVALID',
      exitCode: 4,
    });
    expect(await count('orders')).toBe(orders);
    expect(await readdir(join(folder, 'backups/order-cleanup'))).toEqual([]);
  });

  it('refuses a row that the server cannot send, in preview and execution alike, and reads only its length', async () => {
    const id = await plant({email: "'test@x.org'"});
    const big = `(SELECT string_agg(md5(n::text), '') FROM generate_series(1, 200) n)`;
    await shop.run(`
      CREATE TABLE order_files (id integer PRIMARY KEY, order_id uuid NOT NULL REFERENCES orders ON DELETE CASCADE, scan bytea, note varchar);
      INSERT INTO order_files VALUES (7, '${id}', convert_to(${big}, 'UTF8'), ${big}), (8, '${id}', NULL, 'short')`);
    const length = 3 * 6400; // a byte is two digits as text
    const refused = {
      code: 'NOT_SUPPORTED_HERE',
      message: expect.stringMatching(
        /^public\.order_files: the row 7 has .* as text \(19,200 bytes\).*Nothing was changed\.$/,
      ) as string,
    };
    const rowLimit = length - 1;
    await expect(clean({execute: false, rowLimit})).rejects.toMatchObject(refused);
    await expect(clean({rowLimit})).rejects.toMatchObject(refused);
    expect(await isThere(id)).toBe(true);
    expect(await clean({execute: false, rowLimit: length})).toMatchObject({mode: 'preview'});
    expect(await clean({execute: false, rowLimit, backup: false})).toMatchObject({mode: 'preview'});
  });

  it('writes the file only for its owner', async () => {
    const done = await clean({selection: {testEmailsOnly: true}});
    expect(((await stat(String(done.backupPath))).mode & 0o777).toString(8)).toBe('600');
    expect(((await stat(join(folder, 'backups/order-cleanup'))).mode & 0o777).toString(8)).toBe('700');
  });
});

describe('a preview', () => {
  beforeAll(open);
  afterAll(close);

  it.each([
    [{from: '2026-02-30'}, '--from "2026-02-30" is not a date.'],
    [{to: 'yesterday'}, '--to "yesterday" is not a date.'],
    [{from: '2026-03-02', to: '2026-03-01'}, '--from 2026-03-02 is after --to 2026-03-01.'],
    [{excludeIds: ['17']}, '--exclude-id "17" cannot be the id of an order (uuid).'],
  ])('refuses %j as a usage error', async (selection, message) => {
    await expect(preview(selection)).rejects.toMatchObject({code: 'USAGE', message});
  });

  it('warns of an excluded id without an order', async () => {
    const context = contextWith();
    const id = '00000000-0000-4000-8000-000000000000';
    await planClean(context, cleanRequest({selection: {excludeIds: [id]}}).selection);
    expect(context.warnings).toEqual([`No order has the excluded id "${id}".`]);
  });

  it('names old orders with --include-old, and only these with test addresses only', async () => {
    const plain = await preview();
    const old = await preview({includeOld: true});
    expect(old.roots).toEqual(plain.roots);
    expect(old.reasons['old']).toBeGreaterThan(10);
    const emails = await preview({testEmailsOnly: true});
    expect(Object.keys(emails.reasons)).toEqual(['test-email']);
    expect(emails.totalRows).toBeLessThan(plain.totalRows);
  });

  it('deletes nothing and writes nothing if nothing matches', async () => {
    const done = await clean({selection: {from: '1999-01-01', to: '1999-01-02'}});
    expect(done).toMatchObject({totalRows: 0, backupPath: null});
    expect(await readdir(folder)).toEqual([]);
  });
});
