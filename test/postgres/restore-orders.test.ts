/** orders:restore gives back every byte of the rows that an order backup holds, in the sample shop. */
import {rm} from 'node:fs/promises';
import {join} from 'node:path';
import {afterEach, beforeEach, describe, expect, it} from 'vitest';
import {AppError} from '../../src/lib/errors.js';
import {type RestoreOrdersOptions, restoreOrders} from '../../src/lib/services/restore-orders.js';
import {tempFolder} from '../support/run-cli.js';
import {createTempDatabase, type TempDatabase} from '../support/temp-database.js';
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

/** The given orders and all that hangs on them. */
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
  // Later conditions look at rows that are gone by then, so the keys are written down first.
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
  it('brings back every byte of every table', async () => {
    const before = await contentOf(database);
    await cleaned();
    expect(await contentOf(database)).not.toEqual(before);
    const result = await run();
    expect(await contentOf(database)).toEqual(before);
    expect(result.tables['public.orders']?.restored).toBeGreaterThan(10);
    expect(result.tables['public.refunds']?.restored).toBeGreaterThan(0);
    expect(result.conflicts).toEqual([]);
  });

  it('changes nothing as a preview, and tells what it would do', async () => {
    await cleaned();
    const before = await contentOf(database);
    const preview = await run({execute: false});
    expect(preview.mode).toBe('preview');
    expect(await contentOf(database)).toEqual(before);
    const result = await run();
    expect(preview.tables).toEqual(result.tables);
  });

  it('finds everything there when it is run again', async () => {
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
