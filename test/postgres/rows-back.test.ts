/** restore:rows restores deleted and changed rows of the sample shop, byte for byte, and keeps all newer rows. */
import {cp, rm} from 'node:fs/promises';
import {afterAll, afterEach, beforeAll, beforeEach, describe, expect, it} from 'vitest';
import {AppError} from '../../src/lib/base/errors.js';
import type {RestoreRowsRequest} from '../../src/lib/services/rows/request.js';
import {restoreRows, type RestoreRowsResult} from '../../src/lib/services/rows/restore-rows.js';
import {backupDatabase} from '../../src/lib/services/backup/local-backup.js';
import {undoRows} from '../../src/lib/services/rows/undo-rows.js';
import {quoteIdentifier} from '../../src/lib/postgres/quote.js';
import {withAppSession} from '../support/app-session.js';
import {loadEveryType} from '../support/every-type.js';
import {cases} from '../support/long-form.js';
import {makeBackup} from '../support/make-backup.js';
import type {DumpKind} from '../support/make-dump.js';
import {until} from '../support/observe.js';
import {rowsRequest} from '../support/rows-request.js';
import {tempFolder} from '../support/run-cli.js';
import {
  createTempDatabase,
  dropDatabase,
  onServer,
  type TempDatabase,
  urlOf,
} from '../support/temp-database.js';
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

function run(changes: Partial<RestoreRowsRequest>, context = contextOf()): Promise<RestoreRowsResult> {
  return restoreRows(context, {}, rowsRequest(changes), (id) => ['destino-db', id]);
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
  return withAppSession(database.connection, async (session) => {
    const tables = await session.query(`
    SELECT n.nspname AS schema, c.relname AS name,
           (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY k.position)
              FROM pg_index i CROSS JOIN unnest(i.indkey::int2[]) WITH ORDINALITY k(attnum, position)
              JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum WHERE i.indrelid = c.oid AND i.indisprimary) AS key
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind = 'r' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'`);
    const image: Record<string, Record<string, string>> = {};
    for (const {schema, name, key} of tables) {
      const rows = await session.query(
        `SELECT ${key === null ? "t::text || '#' || row_number() OVER (PARTITION BY t::text)" : `(ROW(${key ?? ''}))::text`} AS key, t::text AS row
         FROM ONLY ${quoteIdentifier(schema ?? '')}.${quoteIdentifier(name ?? '')} t`,
      );
      image[`${schema ?? ''}.${name ?? ''}`] = Object.fromEntries(
        rows.map((row) => [row['key'] ?? '', row['row'] ?? '']),
      );
    }
    return image;
  });
}

/** The expected state: the backup's rows of the tables, and all others unchanged. */
function expectedOf(backup: Image, before: Image, tables: readonly string[]): Image {
  return Object.fromEntries(
    Object.entries(before).map(([table, rows]) => [
      table,
      tables.includes(table) ? {...rows, ...backup[table]} : rows,
    ]),
  );
}

/** Pseudo-random numbers, the same for the same seed. */
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

/** Deletes some orders with all dependent rows, changes others, and adds new ones. */
async function disturbShop(seed: number): Promise<void> {
  const random = randomOf(seed);
  const share = (): string => Math.floor(random() * 16).toString(16);
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
  const kinds: [number, DumpKind][] = [
    [1, 'custom'],
    [2, 'sql.gz'],
    [3, 'directory'],
  ];
  it.each(cases(kinds))(
    'are restored byte for byte, and everything else is unchanged (seed %i, %s)',
    async (seed, kind) => {
      database = await createTempDatabase();
      await backUp(kind);
      const backup = await imageOf();
      await disturbShop(seed);
      const before = await imageOf();
      const preview = await run({tables: shopTables, execute: false});
      expect(await imageOf()).toEqual(before);
      expect(preview.tables.map(({table, insert}) => [table, insert > 0])).toContainEqual([
        'public.orders',
        true,
      ]);
      const result = await run({tables: shopTables, plan: preview.plan});
      expect(result.conflicts).toEqual([]);
      expect(result.plan).toBe(preview.plan);
      expect(await imageOf()).toEqual(expectedOf(backup, before, shopTables));
      await takeBack(result.undoPath ?? '');
      expect(await imageOf()).toEqual(before);
    },
  );
});

const schema = `
  CREATE SCHEMA farm;
  CREATE TYPE farm.mood AS ENUM ('calm', 'wild');
  CREATE DOMAIN farm.weight AS numeric CHECK (VALUE > 0);
  CREATE TABLE farm.barn (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL UNIQUE, best int);
  CREATE TABLE farm.cow (barn int NOT NULL REFERENCES farm.barn ON DELETE CASCADE, tag text, name text, kg farm.weight, mood farm.mood,
    pounds numeric GENERATED ALWAYS AS (kg * 2.2) STORED, mother_barn int, mother text, PRIMARY KEY (barn, tag), CHECK (name <> ''),
    FOREIGN KEY (mother_barn, mother) REFERENCES farm.cow ON DELETE SET NULL);
  ALTER TABLE farm.barn ADD FOREIGN KEY (id, best_tag) REFERENCES farm.cow (barn, tag) DEFERRABLE;
  CREATE TABLE farm.visit (id bigint PRIMARY KEY, barn int REFERENCES farm.barn ON DELETE SET NULL, note jsonb, at timestamptz DEFAULT now());
  CREATE TABLE farm.milk (day date, barn int, liters numeric(8, 2), PRIMARY KEY (day, barn)) PARTITION BY RANGE (day);
  CREATE TABLE farm.milk_2025 PARTITION OF farm.milk FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
  CREATE TABLE farm.milk_2026 PARTITION OF farm.milk FOR VALUES FROM ('2026-01-01') TO ('2027-01-01') PARTITION BY LIST (barn);
  CREATE TABLE farm.milk_2026_1 PARTITION OF farm.milk_2026 FOR VALUES IN (1, 2, 3);
  CREATE TABLE farm.milk_2026_2 PARTITION OF farm.milk_2026 DEFAULT;
  CREATE TABLE farm.log (line text, number float8);
  CREATE TABLE farm.animal (id int PRIMARY KEY);
  CREATE TABLE farm.goat (horns int) INHERITS (farm.animal);
  CREATE VIEW farm.names AS SELECT name FROM farm.cow;
  INSERT INTO farm.barn (name) SELECT 'barn ' || n FROM generate_series(1, 20) n;
  INSERT INTO farm.cow (barn, tag, name, kg, mood) SELECT b, 'c' || n, 'Cow ' || b || E'\\t\\\\' || n, 400 + n * 1.50, 'calm' FROM generate_series(1, 20) b, generate_series(1, 10) n;
  UPDATE farm.cow SET mother_barn = barn, mother = 'c1' WHERE tag IN ('c2', 'c3');
  UPDATE farm.barn SET best_tag = 'c1';
  INSERT INTO farm.visit SELECT n, n % 20 + 1, jsonb_build_object('n', n, 'null', NULL) FROM generate_series(1, 200) n;
  INSERT INTO farm.milk SELECT day, barn, 12.50 FROM generate_series('2025-12-01'::date, '2026-02-01', '1 day') day, generate_series(1, 6) barn;
  INSERT INTO farm.log SELECT 'line ' || n % 50, n % 50 + 0.1 FROM generate_series(1, 100) n;`.replace(
  'best int);',
  'best_tag text);',
);

/** A table of which one partition alone has a foreign key, and its columns in another order. */
const ownKeys = `
  CREATE SCHEMA own;
  CREATE TABLE own.can (id int, tank int, PRIMARY KEY (id)) PARTITION BY RANGE (id);
  CREATE TABLE own.can_a PARTITION OF own.can FOR VALUES FROM (0) TO (100);
  CREATE TABLE own.can_b (dropped int, tank int, id int NOT NULL);
  ALTER TABLE own.can_b DROP COLUMN dropped;
  ALTER TABLE own.can ATTACH PARTITION own.can_b FOR VALUES FROM (100) TO (200);
  CREATE TABLE own.tank (id int PRIMARY KEY);
  ALTER TABLE own.can_b ADD CONSTRAINT can_b_tank FOREIGN KEY (tank) REFERENCES own.tank;
  INSERT INTO own.tank VALUES (1), (2);
  INSERT INTO own.can VALUES (1, 9), (2, NULL), (100, 1), (101, 2), (102, NULL)`;

const farmName = 'rows_back_farm';
const farmTemplate = 'rows_back_template';
let farmBackup: string;

beforeAll(async () => {
  farmBackup = folder = await tempFolder();
  database = await createTempDatabase('template0', farmName);
  await database.run(schema);
  await backUp();
  await onServer((session) => session.query(`ALTER DATABASE ${farmName} RENAME TO ${farmTemplate}`));
});
afterAll(() => Promise.all([dropDatabase(farmTemplate), rm(farmBackup, {recursive: true, force: true})]));

/** A copy of the farm under its own name, and of its backup. */
async function farm(): Promise<void> {
  database = await createTempDatabase(farmTemplate, farmName);
  await cp(farmBackup, folder, {recursive: true, preserveTimestamps: true});
}

describe('in a schema with cycles, composite keys and partitions', () => {
  it('rows are restored with parents, children and links', async () => {
    await farm();
    const backup = await imageOf();
    await database.run(`
      DELETE FROM farm.barn WHERE id IN (3, 4);
      DELETE FROM farm.cow WHERE barn = 7 AND tag = 'c5';
      UPDATE farm.cow SET name = 'changed', kg = 1 WHERE barn = 8;
      DELETE FROM farm.milk WHERE barn IN (2, 5);
      UPDATE farm.milk SET liters = 0 WHERE barn = 6;
      INSERT INTO farm.barn (name) VALUES ('new');
      INSERT INTO farm.milk VALUES ('2026-03-01', 1, 1)`);
    const before = await imageOf();
    const blind = await run({tables: ['farm.cow'], changed: false, execute: false});
    expect(blind.reasons).toEqual([
      {table: 'farm.cow', reason: expect.stringContaining('parent gone: farm.barn') as string, rows: 20},
    ]);
    const parents = await run({tables: ['farm.cow'], changed: false, withParents: true, execute: false});
    expect(parents.tables.map(({table, role, insert}) => [table, role, insert])).toEqual([
      ['farm.cow', 'chosen', 21],
      ['farm.barn', 'parent', 2],
    ]);
    const chosen = ['farm.barn', 'farm.cow', 'farm.milk', 'farm.visit'];
    const result = await run({tables: ['farm.barn', 'farm.milk', 'farm.cow'], withChildren: true});
    expect(result.conflicts).toEqual([]);
    expect(result.tables.find(({table}) => table === 'farm.visit')).toMatchObject({
      role: 'child',
      update: 20,
    });
    expect(await imageOf()).toEqual(
      expectedOf(backup, before, [...chosen, 'farm.milk_2025', 'farm.milk_2026_1', 'farm.milk_2026_2']),
    );
    await takeBack('latest');
    expect(await imageOf()).toEqual(before);
  });

  it('rows of a partition with a foreign key of its own come after their parents', async () => {
    database = await createTempDatabase('template0');
    await database.run(ownKeys);
    await backUp();
    const backup = await imageOf();
    await database.run('DELETE FROM own.can; DELETE FROM own.tank');
    const before = await imageOf();
    await run({tables: ['own.can', 'own.tank']});
    expect(await imageOf()).toEqual(backup);
    await takeBack('latest');
    expect(await imageOf()).toEqual(before);
  });

  it("of a partition's own foreign key, conflicts are predicted, and parents and children come along", async () => {
    database = await createTempDatabase('template0');
    await database.run(ownKeys);
    await database.run(
      'ALTER TABLE own.can_b DROP CONSTRAINT can_b_tank, ADD CONSTRAINT can_b_tank FOREIGN KEY (tank) REFERENCES own.tank ON DELETE CASCADE',
    );
    await backUp();
    const backup = await imageOf();
    await database.run('DELETE FROM own.can WHERE id = 1; DELETE FROM own.tank');
    const before = await imageOf();
    const alone = await run({tables: ['own.can'], execute: false});
    expect(alone.tables[0]).toMatchObject({insert: 1, conflicts: 2});
    expect(alone.reasons).toEqual([
      {table: 'own.can', reason: 'parent gone: own.tank no longer has the row (can_b_tank)', rows: 2},
    ]);
    for (const related of [
      {tables: ['own.can'], withParents: true},
      {tables: ['own.tank', 'own.can'], keys: [], withChildren: true},
    ]) {
      const result = await run(related);
      expect(result.conflicts).toEqual([]);
      expect(await imageOf()).toEqual(backup);
      await takeBack('latest');
      expect(await imageOf()).toEqual(before);
    }
    const children = await run({tables: ['own.tank'], withChildren: true});
    expect(children.tables.map(({table, insert}) => [table, insert])).toEqual([
      ['own.tank', 2],
      ['own.can', 2],
    ]);
    await database.run('INSERT INTO own.can VALUES (150, 1)');
    expect((await failure(takeBack('latest'))).details.join()).toContain('rows of own.can refer to it');
  });

  it('keys, a condition and columns narrow the restored rows', async () => {
    await farm();
    await database.run(
      `UPDATE farm.cow SET name = 'changed', mood = 'wild'; DELETE FROM farm.visit WHERE id < 100`,
    );
    const one = await run({tables: ['farm.cow'], missing: false, keys: ['8,c5'], columns: ['name']});
    expect(one.tables[0]).toMatchObject({update: 1, compared: {rows: 1, missing: 0, changed: 1, equal: 0}});
    expect(one.tables[0]?.samples[0]?.values).toEqual([{column: 'name', old: 'changed', new: 'Cow 8\t\\5'}]);
    expect(
      await database.query(`SELECT name, mood FROM farm.cow WHERE mood = 'wild' AND name <> 'changed'`),
    ).toEqual([{name: 'Cow 8\t\\5', mood: 'wild'}]);
    const some = await run({tables: ['farm.visit'], where: `note ->> 'n' = '7' -- seven\n OR id = 8`});
    expect(some.tables[0]).toMatchObject({insert: 2, compared: {rows: 2}});
    expect(await database.query('SELECT id FROM farm.visit WHERE id < 100 ORDER BY id')).toEqual([
      {id: '7'},
      {id: '8'},
    ]);
  });

  it('rows that the database has just so are not staged, and with keys only these, whatever text the server prints for them', async () => {
    await farm();
    await database.run(`
      CREATE TABLE farm.odd (a text, b timestamptz, c numeric(8, 2), long text, PRIMARY KEY (a, b, c));
      INSERT INTO farm.odd SELECT E'it''s \\\\ a\ttab\n' || n, '2026-01-01 10:00+00', 1.50, repeat('long ', 40000) FROM generate_series(1, 20) n`);
    await backUp();
    const backup = await imageOf();
    await database.run(`DELETE FROM farm.odd; UPDATE farm.cow SET name = 'changed' WHERE barn = 8`);
    const before = await imageOf();
    const sizes: number[] = [];
    const context = contextOf();
    const watching = {
      ...context,
      checkpoint: async (point: string) => {
        if (point !== 'rows.staged') return;
        const [row] = await database.query(
          `SELECT pg_relation_size(oid) AS size FROM pg_class WHERE relname = 'destino_base_0'`,
        );
        sizes.push(Number(row?.['size']));
      },
    };
    const all = await run({tables: ['farm.cow'], execute: false}, watching);
    const where = await run({tables: ['farm.cow'], where: 'true', execute: false}, watching);
    expect(where.tables).toEqual(all.tables);
    expect(all.tables[0]?.compared?.equal).toBeGreaterThan(100);
    const keys = ['8,c5', '8,c6', '9,c1'];
    const cows = await run({tables: ['farm.cow'], keys, execute: false}, watching);
    expect(cows.tables[0]).toMatchObject({update: 2, compared: {rows: 3, equal: 1}});
    expect(sizes[1]).toBeGreaterThan(8192);
    expect([sizes[0], sizes[2]]).toEqual([8192, 8192]);
    const key = "it's \\ a\ttab\n7,2026-01-01 10:00:00+00,1.50";
    const odd = await run({tables: ['farm.odd'], keys: [key]});
    expect(odd.tables[0]).toMatchObject({insert: 1, compared: {rows: 1}});
    const found = Object.entries(backup['farm.odd'] ?? {}).filter(([id]) => id.includes('\n7"'));
    expect(found.length).toBe(1);
    expect(await imageOf()).toEqual({...before, 'farm.odd': Object.fromEntries(found)});
    // These rows come in pieces, and the one that is there already stands among them.
    const others = await run({tables: ['farm.odd']});
    expect(others.tables[0]).toMatchObject({insert: 19, update: 0, compared: {rows: 20, equal: 1}});
    expect(await imageOf()).toEqual({...before, 'farm.odd': backup['farm.odd']});
    await database.run('ALTER TABLE farm.odd ALTER long TYPE char(200005)');
    expect((await failure(run({tables: ['farm.odd'], keys: [key]}))).code).toBe('COLUMN_TYPE_CHANGED');
  });

  it('the space that they need on the server is estimated for tables that were never vacuumed', async () => {
    await farm();
    await backupDatabase(contextOf(), {});
    const all = await run({tables: ['farm.cow'], execute: false});
    expect(all.stagedBytes).toBeGreaterThan(100_000);
    const one = await run({tables: ['farm.cow'], keys: ['8,c5'], execute: false});
    expect(one.stagedBytes).toBeGreaterThan(0);
    expect(one.stagedBytes).toBeLessThan(all.stagedBytes / 100);
  });

  it('without a key missing rows are identified by their whole content', async () => {
    await farm();
    const backup = await imageOf();
    await database.run(`DELETE FROM farm.log WHERE ctid IN (SELECT min(ctid) FROM farm.log WHERE line <> 'line 7' GROUP BY line);
      DELETE FROM farm.log WHERE line = 'line 7'; INSERT INTO farm.log VALUES ('new', 1)`);
    const before = await imageOf();
    expect((await failure(run({tables: ['farm.log']}))).code).toBe('NO_KEY');
    const result = await run({tables: ['farm.log'], changed: false});
    expect(result.tables[0]).toMatchObject({insert: 51, compared: {equal: 49}});
    expect(await imageOf()).toEqual(expectedOf(backup, before, ['farm.log']));
    await takeBack(result.undoPath ?? '');
    expect(await imageOf()).toEqual(before);
  });

  it('conflicts are named and skipped, and nothing of them is written', async () => {
    await farm();
    await database.run(`
      DELETE FROM farm.barn WHERE id IN (3, 4, 5);
      INSERT INTO farm.barn (name) VALUES ('barn 3');
      ALTER TABLE farm.barn ADD CONSTRAINT no_four CHECK (name <> 'barn 4');
      DELETE FROM farm.milk WHERE day = '2025-12-24'; DROP TABLE farm.milk_2025`);
    const context = contextOf();
    const result = await run({tables: ['farm.barn', 'farm.milk'], changed: false}, context);
    expect(result.reasons.map(({table, reason, rows}) => [table, reason.split(':')[0], rows])).toEqual([
      ['farm.barn', 'check refuses it', 1],
      ['farm.barn', 'parent gone', 1],
      ['farm.barn', 'same unique value', 1],
      ['farm.milk', 'no partition takes it', 186],
    ]);
    expect(result.undoPath).toBeNull();
    expect((await failure(run({tables: ['farm.barn'], failOnConflicts: true}))).code).toBe('CONFLICTS');
  });
});

describe('a unique value that another row of the same run has', () => {
  it('is freed before it is needed, in the order of the waiting rows, and undone in reverse', async () => {
    await farm();
    const backup = await imageOf();
    await database.run(`
      UPDATE farm.barn SET name = 'other' WHERE id = 1; UPDATE farm.barn SET name = 'barn 1' WHERE id = 2;
      UPDATE farm.barn SET name = 'barn 2' WHERE id = 3;
      DELETE FROM farm.barn WHERE id = 8; UPDATE farm.barn SET name = 'barn 8' WHERE id = 9`);
    const before = await imageOf();
    const result = await run({tables: ['farm.barn'], withChildren: true});
    expect(result.conflicts).toEqual([]);
    expect(result.tables[0]).toMatchObject({insert: 1, update: 4});
    expect(await imageOf()).toEqual(expectedOf(backup, before, ['farm.barn', 'farm.cow', 'farm.visit']));
    await takeBack('latest');
    expect(await imageOf()).toEqual(before);
  });

  it('skips rows that swapped their values, and those that wait for a skipped row', async () => {
    await farm();
    await database.run(`
      UPDATE farm.barn SET name = 'x' WHERE id = 5; UPDATE farm.barn SET name = 'barn 5' WHERE id = 6;
      UPDATE farm.barn SET name = 'barn 6' WHERE id = 5;
      UPDATE farm.barn SET name = 'y' WHERE id = 10; UPDATE farm.barn SET name = 'barn 10' WHERE id = 11;
      UPDATE farm.barn SET name = 'barn 11' WHERE id = 12;
      ALTER TABLE farm.barn ADD CONSTRAINT no_twelve CHECK (name <> 'barn 12')`);
    const before = await imageOf();
    const result = await run({tables: ['farm.barn'], missing: false});
    expect(result.conflicts.map(({key, reason}) => [key, reason.split(':')[0]])).toEqual([
      ['5', 'same unique value'],
      ['6', 'same unique value'],
      ['10', 'same unique value'],
      ['11', 'same unique value'],
      ['12', 'check refuses it'],
    ]);
    expect(await imageOf()).toEqual(before);
  });
});

it('of two restores within one second, the later one is undone first', async () => {
  database = await createTempDatabase('template0');
  await database.run('CREATE TABLE box (id int PRIMARY KEY); INSERT INTO box VALUES (1), (2)');
  await backUp();
  await database.run('DELETE FROM box');
  const context = contextOf({now: '2026-11-28T12:00:00Z'});
  for (const key of ['1', '2']) await run({tables: ['box'], keys: [key]}, context);
  const left = () => database.query('SELECT id FROM box ORDER BY id');
  await takeBack('latest');
  expect(await left()).toEqual([{id: '1'}]);
  expect((await failure(takeBack('latest'))).code).toBe('ROWS_CHANGED');
});

it('a parent is restored with inserted rows, and not with skipped ones', async () => {
  await farm();
  await database.run(`
    CREATE TABLE farm.left_side (id int PRIMARY KEY, up int REFERENCES farm.left_side); CREATE TABLE farm.right_side (id int PRIMARY KEY, code text UNIQUE);
    CREATE TABLE farm.both (id int PRIMARY KEY, l int REFERENCES farm.left_side, r int REFERENCES farm.right_side);
    INSERT INTO farm.left_side VALUES (10, NULL), (1, 10), (20, NULL), (2, 20); INSERT INTO farm.right_side VALUES (1, 'one'), (2, 'two');
    INSERT INTO farm.both VALUES (1, 1, 1), (2, 2, 2)`);
  await backUp();
  await database.run(
    `DELETE FROM farm.both; DELETE FROM farm.left_side; DELETE FROM farm.right_side; INSERT INTO farm.right_side VALUES (3, 'two')`,
  );
  const result = await run({tables: ['farm.both'], changed: false, withParents: true});
  expect(result.tables.map(({table, insert, conflicts}) => [table, insert, conflicts])).toEqual([
    ['farm.both', 1, 1],
    ['farm.left_side', 2, 0],
    ['farm.right_side', 1, 1],
  ]);
  expect(await database.query('SELECT id FROM farm.left_side ORDER BY id')).toEqual([{id: '1'}, {id: '10'}]);
});

describe('bad input is refused before any change', () => {
  it.each<[string, Partial<RestoreRowsRequest>, string]>([
    ['', {tables: ['farm.nothing']}, 'TABLE_NOT_FOUND'],
    ['CREATE TABLE farm.late (id int PRIMARY KEY)', {tables: ['farm.late']}, 'TABLE_NOT_IN_BACKUP'],
    ['', {tables: ['farm.names']}, 'NOT_A_TABLE'],
    ['', {tables: ['farm.animal']}, 'TABLE_INHERITED'],
    ['DROP TABLE farm.milk_2025', {tables: ['farm.milk_2025']}, 'PARTITION_GONE'],
    ['', {tables: ['farm.cow'], keys: ['8,c5', '99,c1']}, 'KEY_NOT_FOUND'],
    ['', {tables: ['farm.cow'], where: 'nme = 1'}, 'WHERE_INVALID'],
    ['', {tables: ['farm.cow'], where: `true); DROP TABLE farm.log; SELECT (true`}, 'WHERE_INVALID'],
    ['', {tables: ['farm.cow'], where: 'random() < 2'}, 'WHERE_VOLATILE'],
    ['', {tables: ['farm.cow'], where: 'pg_sleep(0) IS NULL'}, 'WHERE_VOLATILE'],
    ['', {tables: ['farm.cow'], where: 'EXISTS (SELECT FROM pg_ls_dir($$.$$))'}, 'WHERE_VOLATILE'],
    ['', {tables: ['farm.cow'], columns: ['pounds']}, 'GENERATED_COLUMN'],
    ['', {tables: ['farm.cow'], columns: ['none']}, 'COLUMN_NOT_FOUND'],
    ['ALTER TABLE farm.log ADD id serial PRIMARY KEY', {tables: ['farm.log']}, 'NO_KEY'],
    [
      'ALTER DOMAIN farm.weight DROP CONSTRAINT weight_check; ALTER DOMAIN farm.weight ADD CHECK (VALUE < 402) NOT VALID',
      {tables: ['farm.cow']},
      'DOMAIN_VIOLATED',
    ],
    [`ALTER TYPE farm.mood RENAME VALUE 'calm' TO 'quiet'`, {tables: ['farm.cow']}, 'ENUM_LABEL_GONE'],
    [
      'ALTER TABLE farm.milk ALTER liters TYPE numeric(10, 4)',
      {tables: ['farm.milk']},
      'COLUMN_TYPE_CHANGED',
    ],
    ['', {tables: ['farm.cow'], plan: '0123456789abcdef'}, 'PLAN_CHANGED'],
  ])('%s %j: %s', async (sql, request, code) => {
    await farm();
    await database.run(`DELETE FROM farm.cow WHERE tag = 'c5'; ${sql}`);
    const before = await imageOf();
    expect((await failure(run(request))).code).toBe(code);
    expect(await imageOf()).toEqual(before);
  });
});

describe('as a role that may write and owns nothing', () => {
  const role = 'rows_back_writer';

  it("a partition's own foreign key is checked although triggers are silent", async () => {
    database = await createTempDatabase('template0');
    await database.run(ownKeys);
    await backUp();
    const backup = await imageOf();
    await database.run(`
      CREATE FUNCTION own.touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
      CREATE TRIGGER touch BEFORE INSERT ON own.can FOR EACH ROW EXECUTE FUNCTION own.touch();
      CREATE ROLE ${role} LOGIN PASSWORD 'w'; GRANT USAGE ON SCHEMA own TO ${role};
      GRANT ALL ON ALL TABLES IN SCHEMA own TO ${role}; GRANT SET ON PARAMETER session_replication_role TO ${role};
      DELETE FROM own.can`);
    try {
      const before = await imageOf();
      const databaseUrl = urlOf({...database.connection, user: role, password: 'w'});
      const context = contextOf({settings: {databaseUrl}});
      const meanwhile = {
        ...context,
        // The plan has found the parents.
        checkpoint: async (point: string) => {
          if (point === 'rows.undo-named') await database.run('DELETE FROM own.tank');
        },
      };
      const error = await failure(run({tables: ['own.can']}, meanwhile));
      expect(error.code).toBe('ROWS_RESTORE_FAILED');
      expect(error.message).toContain('can_b_tank');
      expect(await imageOf()).toEqual({...before, 'own.tank': {}});
      await run({tables: ['own.can', 'own.tank']}, contextOf({settings: {databaseUrl}}));
      expect(await imageOf()).toEqual(backup);
    } finally {
      await database.run(
        `DROP OWNED BY ${role}; REVOKE SET ON PARAMETER session_replication_role FROM ${role}; DROP ROLE ${role}`,
      );
    }
  });

  it('a trigger of the owner does not fire if the role may switch it off, otherwise its changes are detected', async () => {
    await farm();
    const backup = await imageOf();
    await database.run(`
      CREATE FUNCTION farm.touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.note = '"touched"'; RETURN NEW; END $$;
      DELETE FROM farm.visit WHERE id < 10; UPDATE farm.visit SET note = '1' WHERE id = 20;
      CREATE TRIGGER touch BEFORE INSERT OR UPDATE ON farm.visit FOR EACH ROW EXECUTE FUNCTION farm.touch();
      CREATE ROLE ${role} LOGIN PASSWORD 'w'; GRANT USAGE ON SCHEMA farm TO ${role};
      GRANT ALL ON ALL TABLES IN SCHEMA farm TO ${role}`);
    try {
      const before = await imageOf();
      const databaseUrl = urlOf({...database.connection, user: role, password: 'w'});
      const context = contextOf({settings: {databaseUrl}});
      const error = await failure(run({tables: ['farm.visit']}, context));
      expect(error.code).toBe('ROWS_RESTORE_FAILED');
      expect(context.warnings.join()).toContain('farm.visit: touch');
      expect(await imageOf()).toEqual(before);
      await database.run(`GRANT SET ON PARAMETER session_replication_role TO ${role}`);
      const result = await run({tables: ['farm.visit']}, contextOf({settings: {databaseUrl}}));
      expect(result.triggers).toEqual({off: ['farm.visit: touch'], fire: []});
      expect(await imageOf()).toEqual(expectedOf(backup, before, ['farm.visit']));
      await undoRows(
        contextOf({settings: {databaseUrl}}),
        {},
        {undo: 'latest', execute: true, firesTriggers: false},
      );
      expect(await imageOf()).toEqual(before);
    } finally {
      await database.run(
        `DROP OWNED BY ${role}; REVOKE SET ON PARAMETER session_replication_role FROM ${role}; DROP ROLE ${role}`,
      );
    }
  });
});

describe('an undo', () => {
  it('names the rows that have changed since, and those that others refer to', async () => {
    await farm();
    await database.run(`DELETE FROM farm.barn WHERE id = 3; UPDATE farm.cow SET name = 'x' WHERE barn = 8`);
    const result = await run({tables: ['farm.barn', 'farm.cow']});
    await database.run(
      `UPDATE farm.cow SET name = 'later' WHERE barn = 8 AND tag = 'c2'; INSERT INTO farm.visit VALUES (1000, 3)`,
    );
    const before = await imageOf();
    const refused = await failure(takeBack(result.undoPath ?? ''));
    expect(refused.code).toBe('ROWS_CHANGED');
    expect(refused.details).toEqual([
      expect.stringContaining('farm.barn 3: rows of farm.visit refer to it') as string,
      'farm.cow barn=8, tag=c2: it has changed since',
    ]);
    expect(await imageOf()).toEqual(before);
  });

  it('names the table of the backup that is most similar to a mistyped one', async () => {
    await farm();
    const error = await failure(run({tables: ['farm.cwo']}));
    expect(error.message).toContain('Did you mean "farm.cow"?');
  });
});

describe('while others write', () => {
  const wrong = `ALTER TABLE farm.visit ADD hits int NOT NULL DEFAULT 0; UPDATE farm.visit SET note = '"wrong"'`;
  const hit = 'UPDATE farm.visit SET hits = hits + 1 WHERE id = 7';

  const isSomebodyWaiting = async (): Promise<boolean> =>
    (
      await database.query(
        `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
      )
    ).length > 0;

  it('none of their updates is lost, at any time', async () => {
    await farm();
    await database.run(wrong);
    let last: Promise<void> | undefined;
    const context = contextOf();
    const result = await run(
      {tables: ['farm.visit'], columns: ['note']},
      {
        ...context,
        checkpoint: async (point) => {
          if (['rows.staged', 'rows.locked'].includes(point)) await database.run(hit);
          if (point !== 'rows.undo-named') return;
          // The rows are locked now, so these wait.
          let isOver = false;
          last = database
            .run(`${hit}; UPDATE farm.visit SET note = '"newest"' WHERE id = 8`)
            .finally(() => (isOver = true));
          await until(
            'the other session waits or is done',
            async () => isOver || (await isSomebodyWaiting()),
          );
        },
      },
    );
    await last;
    expect(result.tables[0]).toMatchObject({update: 200});
    expect(await database.query(`SELECT hits, note ->> 'n' AS n FROM farm.visit WHERE id = 7`)).toEqual([
      {hits: '3', n: '7'},
    ]);
    expect(await database.query('SELECT note FROM farm.visit WHERE id = 8')).toEqual([{note: '"newest"'}]);
  });

  it('a row that changes after the plan stops everything', async () => {
    await farm();
    await database.run(wrong);
    let before: Image = {};
    const error = await failure(
      run(
        {tables: ['farm.visit']},
        {
          ...contextOf(),
          checkpoint: async (point) => {
            if (point !== 'rows.locked') return;
            await database.run(`UPDATE farm.visit SET note = '"newer"' WHERE id = 7`);
            before = await imageOf();
          },
        },
      ),
    );
    expect(error.code).toBe('PLAN_CHANGED');
    expect(await imageOf()).toEqual(before);
    expect((await failure(takeBack('latest'))).code).toBe('BACKUP_NOT_FOUND');
  });
});

it('rows of every type are restored byte for byte', async () => {
  database = await createTempDatabase('template0');
  await loadEveryType(database);
  await backUp();
  const backup = await imageOf();
  const found = await database.query(`
    SELECT format('%I.%I', n.nspname, c.relname) AS name, n.nspname || '.' || c.relname AS label
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = 'kinds' AND c.relkind = 'r' AND NOT c.relispartition AND NOT c.relhassubclass AND NOT c.relhasrules
       AND EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'p')
       AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.confrelid = c.oid AND k.conrelid <> c.oid) ORDER BY 1`);
  for (const {name} of found) await database.run(`DELETE FROM ONLY ${name ?? ''}`);
  const before = await imageOf();
  const result = await run({tables: found.map(({name}) => name ?? '')});
  expect(result.conflicts).toEqual([]);
  expect(found.length).toBeGreaterThan(8);
  expect(await imageOf()).toEqual(
    expectedOf(
      backup,
      before,
      found.map(({label}) => label ?? ''),
    ),
  );
  await takeBack(result.undoPath ?? '');
  expect(await imageOf()).toEqual(before);
});
