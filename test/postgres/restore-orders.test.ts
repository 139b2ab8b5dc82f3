/** orders:restore restores every byte of the rows in an order backup, in the sample shop. */
import {mkdir, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {afterEach, beforeEach, describe, expect, it} from 'vitest';
import {AppError} from '../../src/lib/base/errors.js';
import type {FaultPoint} from '../../src/lib/run/fault-points.js';
import {withAdvisoryLock} from '../../src/lib/postgres/databases/advisory-lock.js';
import {withAppSession} from '../support/app-session.js';
import type {ConfirmRequest} from '../../src/lib/run/run-context.js';
import {type RestoreOrdersOptions, restoreOrders} from '../../src/lib/services/orders/restore/execute.js';
import {tempFolder} from '../support/run-cli.js';
import {startProxy} from '../support/server-proxy.js';
import {createTempDatabase, type TempDatabase, urlOf} from '../support/temp-database.js';
import {testContext} from '../support/test-context.js';
import {
  contentOf,
  deleteTaken,
  type OrderBackupContent,
  writeOrderBackup,
} from '../support/write-order-backup.js';

let database: TempDatabase;
let folder: string;
let path: string;

beforeEach(async () => {
  database = await createTempDatabase();
  folder = await tempFolder();
  path = join(folder, 'orders-backup-2026-11-22T03-10-00.json');
});

afterEach(async () => {
  await Promise.all([database.drop(), rm(folder, {recursive: true, force: true})]);
});

/** The given orders and all dependent rows. */
function taken(ids: string, cateringIds: string): OrderBackupContent {
  return {
    roots: ['public.orders', 'public.catering_orders'],
    tables: [
      {table: 'public.orders', where: `t.id IN (${ids})`},
      {table: 'public.catering_orders', where: `t.id IN (${cateringIds})`},
      {table: 'public.order_items', where: `t."orderId" IN (${ids})`},
      {table: 'public.catering_order_items', where: `t."orderId" IN (${cateringIds})`},
      {table: 'public.payments', where: `t."orderId" IN (${ids})`},
      {table: 'public.email_alerts', where: `t."relatedOrderId" IN (${ids})`},
      {
        table: 'public.refunds',
        where: `t."paymentId" IN (SELECT p.id FROM payments p WHERE p."orderId" IN (${ids}))`,
      },
    ],
  };
}

const someOrders = taken(
  `SELECT id FROM orders WHERE status IN ('CANCELLED', 'PENDING')
   UNION SELECT p."orderId" FROM payments p JOIN refunds r ON r."paymentId" = p.id`,
  `SELECT id FROM catering_orders WHERE status = 'CANCELLED'`,
);

async function freeze(content: OrderBackupContent): Promise<OrderBackupContent> {
  // Later conditions refer to rows that are already deleted, so the keys are stored first.
  const tables = [];
  for (const {table, where} of content.tables) {
    const rows = await database.query(`SELECT t.id FROM ${table} t WHERE ${where}`);
    tables.push({
      table,
      where: rows.length === 0 ? 'false' : `t.id IN (${rows.map(({id}) => `'${id ?? ''}'`).join(',')})`,
    });
  }
  return {...content, tables};
}

function run(options: Partial<RestoreOrdersOptions> = {}, changes: Parameters<typeof testContext>[1] = {}) {
  const context = testContext(folder, {
    ...changes,
    settings: {databaseUrl: database.url, ...changes.settings},
  });
  return restoreOrders(context, {
    backupFile: path,
    execute: true,
    failOnConflicts: false,
    onlyOrders: [],
    ...options,
  });
}

async function failure(work: Promise<unknown>): Promise<AppError> {
  return work.then(
    () => expect.fail('it did not fail'),
    (error: unknown) => {
      expect(error).toBeInstanceOf(AppError);
      return error as AppError;
    },
  );
}

async function cleaned(): Promise<OrderBackupContent> {
  const content = await freeze(someOrders);
  await writeOrderBackup(database, path, content);
  await deleteTaken(database, content);
  return content;
}

describe('a restore of orders', () => {
  it('restores every byte of every table', async () => {
    const before = await contentOf(database);
    await cleaned();
    expect(await contentOf(database)).not.toEqual(before);
    const result = await run();
    expect(await contentOf(database)).toEqual(before);
    expect(result.tables['public.orders']?.restored).toBeGreaterThan(10);
    expect(result.tables['public.refunds']?.restored).toBeGreaterThan(0);
    expect(result.conflicts).toEqual([]);
  });

  it('changes nothing as a preview, and reports what it would do', async () => {
    await cleaned();
    const before = await contentOf(database);
    const preview = await run({execute: false});
    expect(preview.mode).toBe('preview');
    expect(await contentOf(database)).toEqual(before);
    const result = await run();
    expect(preview.tables).toEqual(result.tables);
  });

  it('finds everything present when it runs again', async () => {
    await cleaned();
    await run();
    const before = await contentOf(database);
    const again = await run();
    expect(await contentOf(database)).toEqual(before);
    expect(again.tables['public.orders']?.restored).toBe(0);
    expect(new Set(again.conflicts.map(({reason}) => reason))).toEqual(new Set(['already there']));
    const error = await failure(run({failOnConflicts: true}));
    expect(error.code).toBe('CONFLICTS');
  });
});

/** Cleans, changes the database, and returns which orders were in the file. */
async function changed(sql: (orders: string[]) => string): Promise<string[]> {
  const content = await cleaned();
  const orders = [...(content.tables[0]?.where ?? '').matchAll(/'([^']+)'/g)].map(([, id]) => id ?? '');
  await database.run(sql(orders));
  return orders;
}

const insertOrder = (id: string, squareOrderId: string): string => `
  INSERT INTO orders (id, "squareOrderId", total, "customerName", email, phone, "updatedAt")
  VALUES ('${id}', ${squareOrderId}, 1, 'Somebody', 'else@example.com', '-', now());`;

describe('a conflict', () => {
  it('of the same key is skipped with all dependent rows', async () => {
    const [order = ''] = await changed(([id = '']) => insertOrder(id, 'NULL'));
    const counts = await run({execute: false});
    const before = await contentOf(database);
    await expect(run({failOnConflicts: true})).rejects.toMatchObject({code: 'CONFLICTS', exitCode: 5});
    expect(await contentOf(database)).toEqual(before);
    const result = await run();
    expect(result.conflicts).toContainEqual({
      table: 'public.orders',
      key: order,
      reason: 'same key: another row has it',
    });
    expect(result.tables).toEqual(counts.tables);
    expect(result.tables['public.order_items']?.skipped).toBeGreaterThan(0);
    expect(await database.query(`SELECT 1 FROM order_items WHERE "orderId" = '${order}'`)).toEqual([]);
    expect(await database.query(`SELECT "customerName" FROM orders WHERE id = '${order}'`)).toEqual([
      {customerName: 'Somebody'},
    ]);
    expect(result.reasons.some(({reason}) => reason.startsWith('parent skipped'))).toBe(true);
  });

  it('of the same unique value names the index, partial ones and expressions included', async () => {
    await database.run(
      `CREATE UNIQUE INDEX one_cancelled ON orders (lower("customerName"), (total::int)) WHERE status = 'CANCELLED' AND notes = 'once'`,
    );
    await database.run(
      `UPDATE orders SET notes = 'once', "customerName" = 'Only' WHERE id = (SELECT id FROM orders WHERE status = 'CANCELLED' LIMIT 1)`,
    );
    const [square] = await database.query(
      `SELECT "squareOrderId" AS id FROM orders WHERE status = 'CANCELLED' AND "squareOrderId" IS NOT NULL AND notes IS DISTINCT FROM 'once' LIMIT 1`,
    );
    const only = await database.query(`SELECT total FROM orders WHERE notes = 'once'`);
    await changed(
      () => `
      ${insertOrder('00000000-0000-4000-8000-000000000001', `'${square?.['id'] ?? ''}'`)}
      INSERT INTO orders (id, status, total, notes, "customerName", email, phone, "updatedAt")
      VALUES ('00000000-0000-4000-8000-000000000002', 'CANCELLED', ${only[0]?.['total'] ?? ''}, 'once', 'ONLY', 'x@example.com', '-', now());`,
    );
    const {reasons} = await run();
    const unique = reasons.filter(({reason}) => reason.startsWith('same unique value'));
    expect(unique).toEqual([
      {table: 'public.orders', reason: 'same unique value: another row has it (one_cancelled)', rows: 1},
      {
        table: 'public.orders',
        reason: 'same unique value: another row has it (orders_squareOrderId_key)',
        rows: 1,
      },
    ]);
  });

  it('of a missing parent names the constraint', async () => {
    await changed(
      () =>
        `DELETE FROM order_items; DELETE FROM products WHERE id = (SELECT min(id::text)::uuid FROM products);`,
    );
    const {reasons, tables} = await run();
    expect(reasons).toEqual([
      {
        table: 'public.order_items',
        reason: expect.stringMatching(
          /^parent gone: public\.products .*order_items_productId_fkey/,
        ) as string,
        rows: expect.any(Number) as number,
      },
    ]);
    expect(tables['public.orders']?.skipped).toBe(0);
  });

  it('of new and dropped columns reports what would be lost', async () => {
    await changed(
      () =>
        `ALTER TABLE refunds DROP COLUMN reason; ALTER TABLE payments ADD COLUMN later text DEFAULT 'x', ADD COLUMN optional int;`,
    );
    const {reasons, notes, tables} = await run();
    expect(tables['public.payments']?.skipped).toBe(0);
    expect(reasons).toContainEqual({
      table: 'public.refunds',
      reason: 'column gone: the table no longer has "reason"',
      rows: expect.any(Number) as number,
    });
    expect(notes).toContain('public.refunds no longer has the column reason.');
    expect(notes).toContain(
      'public.payments has columns that the file does not have; they get their default: later, optional.',
    );
  });

  it('of a missing table restores the other tables completely', async () => {
    await changed(
      () =>
        `DROP TABLE refunds; ALTER TABLE email_alerts ADD COLUMN needed int NOT NULL DEFAULT 1; ALTER TABLE email_alerts ALTER COLUMN needed DROP DEFAULT;`,
    );
    const {reasons, tables} = await run();
    expect(reasons.map(({table, reason}) => `${table}: ${reason}`)).toEqual([
      'public.email_alerts: column new: "needed" needs a value that the file does not have',
      'public.refunds: table gone',
    ]);
    expect(tables['public.payments']?.restored).toBeGreaterThan(0);
  });
});

describe('--only-order', () => {
  it('restores one order with its rows, and the rest later', async () => {
    const before = await contentOf(database);
    const content = await cleaned();
    const ids = [...(content.tables[4]?.where ?? '').matchAll(/'([^']+)'/g)].map(([, id]) => id ?? '');
    expect(ids.length).toBeGreaterThan(1);
    const line = before['payments']?.find((row) => row.includes(ids[0] ?? '-')) ?? '';
    const [, , order = ''] = line.split(',');
    const result = await run({onlyOrders: [order.toUpperCase()]});
    expect(result.tables['public.orders']).toEqual({restored: 1, relinked: 0, skipped: 0});
    expect(await database.query(`SELECT id FROM orders WHERE id = '${order}'`)).toHaveLength(1);
    expect(result.conflicts).toEqual([]);
    await run();
    expect(await contentOf(database)).toEqual(before);
  });

  it('refuses an order that is not in the file', async () => {
    await cleaned();
    const before = await contentOf(database);
    await expect(run({onlyOrders: ['00000000-0000-4000-8000-00000000dead']})).rejects.toMatchObject({
      code: 'USAGE',
      message: expect.stringContaining('00000000-0000-4000-8000-00000000dead') as string,
      details: expect.arrayContaining([
        expect.stringMatching(/^public\.orders: [0-9a-f-]{36}, .*, and \d+ more$/),
      ]) as unknown,
    });
    expect(await contentOf(database)).toEqual(before);
  });
});

describe('a restore that must not continue', () => {
  it('rolls back when a row would read differently, and names it', async () => {
    await changed(() => `ALTER TABLE payments ALTER COLUMN amount TYPE numeric(12, 3);`);
    const before = await contentOf(database);
    const error = await failure(run());
    expect(error).toMatchObject({code: 'ORDERS_RESTORE_FAILED', exitCode: 1});
    expect(error.message).toContain('public.payments');
    expect(await contentOf(database)).toEqual(before);
  });

  it('does nothing while another run has the lock', async () => {
    await cleaned();
    const before = await contentOf(database);
    await withAppSession(database.connection, (session) =>
      withAdvisoryLock(session, {purpose: 'change', database: database.name}, async () => {
        await expect(run()).rejects.toMatchObject({code: 'LOCKED', exitCode: 5});
        await expect(run({waitMs: 1})).rejects.toThrow('did not end within');
        await expect(run({execute: false})).resolves.toMatchObject({mode: 'preview'});
      }),
    );
    expect(await contentOf(database)).toEqual(before);
  });

  it('rolls back when another session writes the same key after the plan', async () => {
    const content = await cleaned();
    const id = /'([^']+)'/.exec(content.tables[0]?.where ?? '')?.[1] ?? '';
    const confirm = () => database.run(insertOrder(id, 'NULL'));
    const error = await failure(run({}, {confirm}));
    expect(error).toMatchObject({code: 'ORDERS_RESTORE_FAILED'});
    expect(error.message).toContain('nothing was changed');
    expect(await database.query('SELECT "customerName" FROM orders WHERE id = \'' + id + "'")).toEqual([
      {customerName: 'Somebody'},
    ]);
    expect(await database.query('SELECT 1 FROM refunds LIMIT 1')).toEqual([]);
  });

  it('does not report a rollback when the answer to its COMMIT was lost', async () => {
    await cleaned();
    const place: {needle?: string} = {};
    const proxy = await startProxy(database.connection, place, 'close');
    const context = {
      ...testContext(folder, {settings: {databaseUrl: urlOf(proxy.connection)}}),
      checkpoint: (point: FaultPoint) => {
        if (point === 'orders.inserted') place.needle = 'COMMIT\0';
        return Promise.resolve();
      },
    };
    try {
      const options = {backupFile: path, execute: true, failOnConflicts: false, onlyOrders: []};
      const {code, message} = await failure(restoreOrders(context, options));
      expect({code, message}).toEqual({
        code: 'CONNECTION_LOST',
        message: expect.stringMatching(/The orders were restored before that\.$/) as string,
      });
      expect((await run({execute: false})).tables['public.orders']?.restored).toBe(0);
    } finally {
      await proxy.close();
    }
  });

  it('refuses tables whose rows are hidden from the role', async () => {
    await cleaned();
    const role = `r_${database.name}`;
    await database.run(`
      CREATE ROLE ${role} LOGIN PASSWORD 'x'; GRANT ALL ON ALL TABLES IN SCHEMA public TO ${role};
      ALTER TABLE payments ENABLE ROW LEVEL SECURITY; CREATE POLICY paid_only ON payments USING (status = 'PAID');`);
    try {
      const url = database.url.replace(/\/\/[^@]+@/, `//${role}:x@`);
      await expect(run({}, {settings: {databaseUrl: url}})).rejects.toMatchObject({code: 'ROW_SECURITY'});
    } finally {
      await database.run(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
    }
  });

  it('is stopped by a missing confirmation, which shows what would happen and where the file is from', async () => {
    await cleaned();
    const before = await contentOf(database);
    const seen: string[] = [];
    const confirm = (request: ConfirmRequest) => {
      seen.push(request.action, ...request.plan);
      return Promise.reject(new AppError('NOT_CONFIRMED', 'no'));
    };
    await expect(run({}, {confirm})).rejects.toMatchObject({code: 'NOT_CONFIRMED'});
    expect(seen.join('\n')).toMatch(/^Restore \d+ rows/);
    expect(seen.join('\n')).toContain('public.refunds');
    expect(await contentOf(database)).toEqual(before);
  });
});

it('warns when the file is from another database', async () => {
  const content = await freeze(someOrders);
  await writeOrderBackup(database, path, {
    ...content,
    change: (metadata) =>
      Object.assign(metadata, {
        database: {name: 'elsewhere', systemIdentifier: '1', host: 'h', port: 1, serverVersion: '15'},
      }),
  });
  const context = testContext(folder, {settings: {databaseUrl: database.url}});
  await restoreOrders(context, {backupFile: path, execute: false, failOnConflicts: false, onlyOrders: []});
  expect(context.warnings).toEqual([expect.stringContaining('"elsewhere" of another server')]);
});

it('finds the newest order backup, and asks for one if none is named', async () => {
  const backups = join(folder, 'backups', 'order-cleanup');
  await mkdir(backups, {recursive: true});
  const content = await freeze(someOrders);
  const newest = join(backups, 'orders-backup-2026-11-22T03-10-00-10.json');
  await writeOrderBackup(database, newest, content);
  for (const name of [
    'orders-backup-2026-11-22T03-10-00-2.json',
    'orders-backup-2026-11-23T00-00-00.json.partial',
    'notes.json',
  ]) {
    await writeFile(join(backups, name), '');
  }
  expect(await run({execute: false, backupFile: 'latest'})).toMatchObject({backupPath: newest});
  expect(await run({execute: false, backupFile: 'orders-backup-2026-11-22T03-10-00-10.json'})).toMatchObject({
    backupPath: newest,
  });
  const error = await failure(run({backupFile: undefined}));
  expect(error).toMatchObject({code: 'USAGE', hint: expect.stringContaining(newest) as string});
});
