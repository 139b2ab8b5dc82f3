/** restore:rows puts back what happened to some rows of the sample shop, byte for byte, and keeps all that came since. */
import {rm} from 'node:fs/promises';
import {afterEach, beforeEach, describe, expect, it} from 'vitest';
import {AppError} from '../../src/lib/base/errors.js';
import type {RestoreRowsRequest} from '../../src/lib/services/rows/request.js';
import {restoreRows, type RestoreRowsResult} from '../../src/lib/services/rows/restore-rows.js';
import {undoRows} from '../../src/lib/services/rows/undo-rows.js';
import {quoteIdentifier} from '../../src/lib/postgres/quote.js';
import {makeBackup} from '../support/make-backup.js';
import type {DumpKind} from '../support/make-dump.js';
import {tempFolder} from '../support/run-cli.js';
import {createTempDatabase, type TempDatabase} from '../support/temp-database.js';
import {testContext} from '../support/test-context.js';

let database: TempDatabase;
let folder: string;

beforeEach(async () => {
  folder = await tempFolder();
});

afterEach(async () => {
  await Promise.all([database.drop(), rm(folder, {recursive: true, force: true})]);
});

function contextOf(changes: Parameters<typeof testContext>[1] = {}) {
  return testContext(folder, {...changes, settings: {databaseUrl: database.url, ...changes.settings}});
}

async function backUp(kind: DumpKind = 'custom'): Promise<void> {
  await makeBackup(contextOf(), database.connection, kind, '2026-11-22T03:10:00Z');
}

function run(
  changes: Partial<RestoreRowsRequest>,
  context = contextOf(),
): Promise<RestoreRowsResult> {
  return restoreRows(
    context,
    {},
    {
      backupFile: undefined,
      at: undefined,
      tables: [],
      missing: true,
      changed: true,
      where: undefined,
      keys: [],
      columns: [],
      withParents: false,
      withChildren: false,
      firesTriggers: false,
      failOnConflicts: false,
      execute: true,
      plan: undefined,
      details: false,
      ...changes,
    },
    (id) => ['destino-db', id],
  );
}

function takeBack(undo: string, execute = true) {
  return undoRows(contextOf(), {}, {undo, execute, firesTriggers: false});
}

async function failure(work: Promise<unknown>): Promise<AppError> {
  return work.then(
    () => expect.fail('it did not fail'),
    (error: unknown) => {
      if (error instanceof AppError) return error;
      throw error;
    },
  );
}

type Image = Readonly<Record<string, Readonly<Record<string, string>>>>;

/** Every row of every table as its text, by table and key; rows without a key by their whole text. */
async function imageOf(): Promise<Image> {
  const tables = await database.query(`
    SELECT n.nspname AS schema, c.relname AS name,
           (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY k.position)
              FROM pg_index i CROSS JOIN unnest(i.indkey::int2[]) WITH ORDINALITY k(attnum, position)
              JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum WHERE i.indrelid = c.oid AND i.indisprimary) AS key
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind = 'r' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'`);
  const image: Record<string, Record<string, string>> = {};
  for (const {schema, name, key} of tables) {
    const rows = await database.query(
      `SELECT ${key === null ? "t::text || '#' || row_number() OVER (PARTITION BY t::text)" : `(ROW(${key ?? ''}))::text`} AS key, t::text AS row
         FROM ONLY ${quoteIdentifier(schema ?? '')}.${quoteIdentifier(name ?? '')} t`,
    );
    image[`${schema ?? ''}.${name ?? ''}`] = Object.fromEntries(
      rows.map((row) => [row['key'] ?? '', row['row'] ?? '']),
    );
  }
  return image;
}

/** What must be there afterwards: the backup's rows of the tables, and all others as they were before. */
function expectedOf(backup: Image, before: Image, tables: readonly string[]): Image {
  return Object.fromEntries(
    Object.entries(before).map(([table, rows]) => [
      table,
      tables.includes(table) ? {...rows, ...backup[table]} : rows,
    ]),
  );
}

/** Numbers that look random, the same for the same seed. */
function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

const shopTables = [
  'public.orders',
  'public.order_items',
  'public.payments',
  'public.refunds',
  'public.email_alerts',
];

/** Deletes some orders with all that belongs to them, changes others, and adds new ones. */
async function disturbShop(seed: number): Promise<void> {
  const random = randomOf(seed);
  const share = (): string => String(Math.floor(random() * 16).toString(16));
  const [a, b, c] = [share(), share(), share()];
  const gone = `SELECT id FROM orders WHERE md5(id::text || '${seed}') ~ '^[${a}${b}]'`;
  await database.run(`
    CREATE TEMPORARY TABLE going AS ${gone};
    DELETE FROM refunds r USING payments p WHERE r."paymentId" = p.id AND p."orderId" IN (SELECT id FROM going);
    DELETE FROM payments WHERE "orderId" IN (SELECT id FROM going);
    DELETE FROM orders WHERE id IN (SELECT id FROM going);
    UPDATE orders SET status = 'CANCELLED', "updatedAt" = now() WHERE md5(id::text) ~ '^[${c}${a}]';
    UPDATE order_items SET quantity = quantity + 1 WHERE md5(id::text) ~ '^${b}';
    INSERT INTO orders SELECT (o).* FROM (
      SELECT jsonb_populate_record(o, jsonb_build_object('id', md5(o.id::text || '${seed}')::uuid::text, 'squareOrderId', NULL, 'idempotency_key', NULL)) AS o
        FROM orders o ORDER BY id LIMIT 20) x`);
}

describe('rows of the sample shop that were deleted and changed', () => {
  it.each<[number, DumpKind]>([
    [1, 'custom'],
    [2, 'sql.gz'],
    [3, 'directory'],
  ])('come back byte for byte, and everything else stays (seed %i, %s)', async (seed, kind) => {
    database = await createTempDatabase();
    await backUp(kind);
    const backup = await imageOf();
    await disturbShop(seed);
    const before = await imageOf();
    const preview = await run({tables: shopTables, execute: false});
    expect(await imageOf()).toEqual(before);
    expect(preview.tables.map(({table, insert}) => [table, insert > 0])).toContainEqual(['public.orders', true]);
    const result = await run({tables: shopTables, plan: preview.plan});
    expect(result.conflicts).toEqual([]);
    expect(result.plan).toBe(preview.plan);
    expect(await imageOf()).toEqual(expectedOf(backup, before, shopTables));
    await takeBack(result.undoPath ?? '');
    expect(await imageOf()).toEqual(before);
  });
});
