/** orders:restore commits only rows that are equal to the order backup, even if triggers change them. */
import {rm} from 'node:fs/promises';
import {join} from 'node:path';
import {afterAll, afterEach, beforeAll, beforeEach, describe, expect, it} from 'vitest';
import {AppError} from '../../src/lib/base/errors.js';
import {restoreOrders} from '../../src/lib/services/orders/restore/execute.js';
import {cases} from '../support/long-form.js';
import {tempFolder} from '../support/run-cli.js';
import {createTempDatabase, type TempDatabase} from '../support/temp-database.js';
import {testContext} from '../support/test-context.js';
import {
  contentOf,
  deleteTaken,
  type OrderBackupContent,
  writeOrderBackup,
} from '../support/write-order-backup.js';

let base: TempDatabase;
let database: TempDatabase;
let folder: string;
let role: string;
let full: Awaited<ReturnType<typeof contentOf>>;

beforeAll(async () => {
  folder = await tempFolder();
  base = await createTempDatabase('template0');
  role = `r_${base.name}`;
  // Large enough that a few rows are looked up by key, and most rows are read with the whole table.
  await base.run(`
    CREATE TABLE orders (id int PRIMARY KEY, email text NOT NULL, total numeric(10, 2) NOT NULL, at timestamptz, x text);
    CREATE TABLE items (id bigint PRIMARY KEY, order_id int NOT NULL REFERENCES orders, "a ""b\\" text, twice numeric GENERATED ALWAYS AS (id * 2) STORED);
    CREATE TABLE remarks (order_id int REFERENCES orders, remark text);
    INSERT INTO orders SELECT n, 'test' || n || '@example.com', n, '2026-01-01 12:00:00.5+00'::timestamptz + n * interval '1 s', repeat('x', 200) FROM generate_series(1, 1000) n;
    INSERT INTO items SELECT n, 1 + n % 1000, E'tab\\t, line\\n, quote " and \\\\N ' || chr(n) || repeat('.', 100) FROM generate_series(1, 2000) n;
    INSERT INTO remarks SELECT 1 + n % 1000, 'remark ' || n % 7 FROM generate_series(1, 1500) n;
    CREATE ROLE ${role} LOGIN PASSWORD 'x';
    GRANT ALL ON ALL TABLES IN SCHEMA public TO ${role};
    ANALYZE;
  `);
  full = await contentOf(base);
});

afterAll(async () => {
  await base.run(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
  await Promise.all([base.drop(), rm(folder, {recursive: true, force: true})]);
});

beforeEach(async () => {
  database = await createTempDatabase(base.name);
});

afterEach(() => database.drop());

/** Backs up and deletes the orders up to `last` with all dependent rows. */
async function take(last: number, edit?: OrderBackupContent['edit']): Promise<string> {
  const path = join(folder, 'orders-backup.json');
  const content: OrderBackupContent = {
    roots: ['public.orders'],
    tables: [
      {table: 'public.orders', where: `t.id <= ${last}`},
      {table: 'public.items', where: `t.order_id <= ${last}`},
      {table: 'public.remarks', where: `t.order_id <= ${last}`},
    ],
    ...(edit ? {edit} : {}),
  };
  await writeOrderBackup(database, path, content);
  await deleteTaken(database, content);
  return path;
}

async function putBack(backupFile: string, onlyOrders: string[] = []) {
  const databaseUrl = database.url.replace(/\/\/[^@]+@/, `//${role}:x@`);
  const context = testContext(folder, {settings: {databaseUrl}});
  return restoreOrders(context, {backupFile, execute: true, failOnConflicts: false, onlyOrders});
}

/** Runs `work` while the trigger exists; it belongs to the owner of the tables, not to the restoring role. */
async function withTrigger<T>(trigger: string, body: string, work: () => Promise<T>): Promise<T> {
  const table = /ON (\w+)/.exec(trigger)?.[1] ?? '';
  await database.run(`
    CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN ${body} END $$;
    CREATE ${trigger} FOR EACH ROW EXECUTE FUNCTION meddle();`);
  try {
    return await work();
  } finally {
    await database.run(`DROP TRIGGER meddle ON ${table}; DROP FUNCTION meddle()`);
  }
}

/** Checks the refusal: nothing of the restore remains, and a restore succeeds afterwards. */
async function refusal(path: string, work: () => Promise<unknown>): Promise<AppError> {
  const before = await contentOf(database);
  const error: unknown = await work().then(
    () => expect.fail('it was not refused'),
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(AppError);
  expect(error).toMatchObject({code: 'ORDERS_RESTORE_FAILED', exitCode: 1});
  expect(await contentOf(database)).toEqual(before);
  await putBack(path);
  expect(await contentOf(database)).toEqual(full);
  return error as AppError;
}

const few = 3;
const many = 700;

describe.each([few, many])('a restore of %i orders by a role that does not own the tables', (last) => {
  it('restores every byte', async () => {
    const result = await putBack(await take(last));
    expect(result.tables['public.orders']).toEqual({restored: last, relinked: 0, skipped: 0});
    expect(await contentOf(database)).toEqual(full);
  });

  it('rolls back when a trigger changes a row that no key identifies', async () => {
    const path = await take(last);
    const error = await refusal(path, () =>
      withTrigger(
        'TRIGGER meddle BEFORE INSERT ON remarks',
        `IF NEW.order_id = 2 THEN NEW.remark = 'other'; END IF; RETURN NEW;`,
        () => putBack(path),
      ),
    );
    expect(error.message).toMatch(/^Rows of public\.remarks came back different/);
  });

  it('allows a trigger to write rows other than the restored ones', async () => {
    const path = await take(last);
    await withTrigger(
      'TRIGGER meddle AFTER INSERT ON items',
      `UPDATE orders SET total = 0 WHERE id = 999; RETURN NULL;`,
      () => putBack(path),
    );
    const [row] = await database.query('SELECT total FROM orders WHERE id = 999');
    expect(row).toEqual({total: '0.00'});
    await database.run('UPDATE orders SET total = 999 WHERE id = 999');
    expect(await contentOf(database)).toEqual(full);
  });
});

describe('a restore', () => {
  it.each<[number, string, string, string, string]>([
    [
      many,
      'changes a row as it comes',
      'TRIGGER meddle BEFORE INSERT ON orders',
      `IF NEW.id = 2 THEN NEW.x = 'y'; END IF; RETURN NEW;`,
      'read {"id":2,',
    ],
    [
      few,
      'changes a row once it is there',
      'TRIGGER meddle AFTER INSERT ON items',
      `UPDATE orders SET x = 'y' WHERE id = 2 AND NEW.order_id = 2; RETURN NULL;`,
      'read {"id":2,',
    ],
    [
      many,
      'changes a row at the very end',
      'CONSTRAINT TRIGGER meddle AFTER INSERT ON orders DEFERRABLE INITIALLY DEFERRED',
      `IF NEW.id = 2 THEN UPDATE orders SET total = total + 0.01 WHERE id = 2; END IF; RETURN NULL;`,
      'read {"id":2,',
    ],
    [
      many,
      'changes a row in a block of its own',
      'TRIGGER meddle AFTER INSERT ON orders',
      `BEGIN UPDATE orders SET x = NULL WHERE id = 2 AND NEW.id = 2; EXCEPTION WHEN division_by_zero THEN NULL; END; RETURN NULL;`,
      'read {"id":2,',
    ],
    [
      few,
      'keeps a row out',
      'TRIGGER meddle BEFORE INSERT ON items',
      `IF NEW.order_id = 2 THEN RETURN NULL; END IF; RETURN NEW;`,
      'be missing',
    ],
    [
      many,
      'takes a row away again',
      'TRIGGER meddle AFTER INSERT ON items',
      `DELETE FROM items WHERE id = NEW.id AND NEW.order_id = 2; RETURN NULL;`,
      'be missing',
    ],
  ])(
    'of %i orders is rolled back when a trigger %s, and names it',
    async (last, _what, trigger, body, named) => {
      const path = await take(last);
      const error = await refusal(path, () => withTrigger(trigger, body, () => putBack(path)));
      expect(error.message).toMatch(/^(1|2) of \d+ rows of public\.(orders|items) came back different/);
      expect(error.details.join('\n')).toContain(named);
    },
  );
});

it('is rolled back when a trigger prevents a link from being restored', async () => {
  await database.run(`
    CREATE TABLE alerts (id int PRIMARY KEY, order_id int REFERENCES orders ON DELETE SET NULL);
    INSERT INTO alerts SELECT n, n FROM generate_series(1, 5) n; GRANT ALL ON alerts TO ${role}`);
  const before = await contentOf(database);
  const path = join(folder, 'linked.json');
  const content: OrderBackupContent = {
    roots: ['public.orders'],
    tables: ['items', 'remarks'].reduceRight(
      (tables, name) => [...tables, {table: `public.${name}`, where: 't.order_id <= 3'}],
      [{table: 'public.orders', where: 't.id <= 3'}],
    ),
    relinked: [{table: 'public.alerts', where: 't.order_id <= 3', columns: ['order_id']}],
  };
  await writeOrderBackup(database, path, content);
  await deleteTaken(database, content);
  const error = await withTrigger(
    'TRIGGER meddle BEFORE UPDATE ON alerts',
    'IF NEW.id = 2 THEN RETURN NULL; END IF; RETURN NEW;',
    () => putBack(path).catch((thrown: unknown) => thrown),
  );
  expect(error).toMatchObject({code: 'ORDERS_RESTORE_FAILED'});
  expect((await database.query('SELECT 1 FROM orders WHERE id <= 3')).length).toBe(0);
  const {tables} = await putBack(path);
  expect(tables['public.alerts']).toEqual({restored: 0, relinked: 3, skipped: 0});
  expect(await contentOf(database)).toEqual(before);
});

describe('a file with correct checksums and wrong content', () => {
  const change = (from: string, to: string) => (table: string, rows: string[]) =>
    table === 'public.orders' ? rows.map((row) => row.replace(from, to)) : rows;

  it.each(cases([many, few]))('is refused when the table changes a value (%i orders)', async (last) => {
    const path = await take(last, change('"total":2.00', '"total":2.004'));
    await expect(putBack(path)).rejects.toMatchObject({
      code: 'ORDERS_RESTORE_FAILED',
      message: expect.stringMatching(/^1 of \d+ rows of public\.orders came back different/) as string,
      details: [expect.stringMatching(/^line 4 would read \{"id":2,.*"total":2\.00,/) as string],
    });
    // With another order already there, only a part of the file's rows is restored and compared.
    await database.run(`INSERT INTO orders VALUES (1, 'somebody@else.org', 1)`);
    await expect(putBack(path)).rejects.toMatchObject({code: 'ORDERS_RESTORE_FAILED'});
    await expect(putBack(path, ['2'])).rejects.toMatchObject({code: 'ORDERS_RESTORE_FAILED'});
    expect((await putBack(path, ['3'])).tables['public.orders']?.restored).toBe(1);
  });

  it('is refused when a row occurs twice', async () => {
    const path = await take(few, (table, rows) =>
      table === 'public.items' ? [...rows, rows[0] ?? ''] : rows,
    );
    const before = await contentOf(database);
    await expect(putBack(path)).rejects.toMatchObject({code: 'ORDERS_RESTORE_FAILED'});
    expect(await contentOf(database)).toEqual(before);
  });

  it.each<[string, string, string]>([
    [
      'columns in another order',
      '{"id":2,"email":"test2@example.com"',
      '{"email":"test2@example.com","id":2',
    ],
    ['a column missing', ',"x":', ',"y":'],
    ['a value that is no JSON', '"total":2.00', '"total":\\N'],
    ['a string that does not end', '@example.com","total"', '@example.com\\","total"'],
  ])('is refused with %s, before anything is written', async (_what, from, to) => {
    const path = await take(few, change(from, to));
    await expect(putBack(path)).rejects.toMatchObject({
      code: 'ORDER_BACKUP_INVALID',
      message: expect.stringContaining('line ') as string,
    });
  });
});
