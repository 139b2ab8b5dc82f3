/** orders:restore is exact for every type, key and reference of PostgreSQL. */
import {rm} from 'node:fs/promises';
import {join} from 'node:path';
import {afterAll, beforeAll, expect, it} from 'vitest';
import {restoreOrders} from '../../src/lib/services/orders/restore/execute.js';
import {loadEveryType} from '../support/every-type.js';
import {tempFolder} from '../support/run-cli.js';
import {createTempDatabase, type TempDatabase} from '../support/temp-database.js';
import {testContext} from '../support/test-context.js';
import {
  contentOf,
  deleteTaken,
  type OrderBackupContent,
  quoted,
  writeOrderBackup,
} from '../support/write-order-backup.js';

let database: TempDatabase;
let folder: string;

beforeAll(async () => {
  folder = await tempFolder();
  database = await createTempDatabase('template0');
  await loadEveryType(database);
  // Cases that the fixture lacks: line breaks inside json, and columns named like parts of a query.
  await database.run(`
    INSERT INTO kinds.documents VALUES (6, E'{\\n  "a":\\t1.10\\r\\n}', '{"__proto__": {"x": 1}}', NULL);
    CREATE TYPE kinds.pair AS (a int, b text);
    CREATE TABLE kinds.named (x kinds.pair, t int, s text, line int, reason text, selected boolean, now text, id int PRIMARY KEY);
    INSERT INTO kinds.named VALUES ('(1,"a b")', 2, 's', 3, 'r', true, 'now', 4), (NULL, NULL, NULL, NULL, NULL, NULL, NULL, 5);
  `);
});

afterAll(async () => {
  await Promise.all([database.drop(), rm(folder, {recursive: true, force: true})]);
});

const whole = (table: string) => ({table, where: 'true'});

async function tableNames(): Promise<string[]> {
  const rows = await database.query(
    `SELECT n.nspname || '.' || c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE n.nspname = 'kinds' AND c.relkind IN ('r', 'p') AND NOT c.relispartition
        AND c.relname NOT IN ('zero_columns', 'without_partitions', 'parent', 'child', 'ruled', 'empty',
                              'composite', 'cascades', 'nulls', 'defaults', 'restricts', 'visits', 'eggs')
      ORDER BY c.relname = 'chickens', 1`,
  );
  return rows.map(({name}) => name ?? '');
}

async function roundTrip(content: OrderBackupContent, name: string) {
  const path = join(folder, `orders-backup-${name}.json`);
  const before = await contentOf(database);
  const triggers = await triggerStates();
  await writeOrderBackup(database, path, content);
  await deleteTaken(database, content);
  for (const {table, where} of content.tables) {
    expect(await database.query(`SELECT 1 FROM ${quoted(table)} t WHERE ${where} LIMIT 1`), table).toEqual(
      [],
    );
  }
  const context = testContext(folder, {settings: {databaseUrl: database.url}});
  const result = await restoreOrders(context, {
    backupFile: path,
    execute: true,
    failOnConflicts: true,
    onlyOrders: [],
  });
  expect(await contentOf(database)).toEqual(before);
  expect(await triggerStates()).toEqual(triggers);
  return result;
}

async function triggerStates() {
  return database.query(`SELECT tgrelid::regclass AS table, tgname, tgenabled FROM pg_trigger ORDER BY 1, 2`);
}

it('restores every value of every type, with generated columns, identity, partitions and triggers', async () => {
  const tables = await tableNames();
  expect(tables).toContain('kinds.ext_hstore');
  const content = {
    roots: ['kinds.numbers'],
    tables: [...tables.map(whole), whole('kinds.eggs'), whole('kinds.visits')],
  };
  const result = await roundTrip(content, 'types');
  expect(result.tables['kinds.events']?.restored).toBe(60);
  expect(result.tables['kinds.no_key']?.restored).toBe(4);
});

it('restores links that the deletion removed from remaining rows, by composite keys, NULL and default', async () => {
  const gone = `t.region = 'us'`;
  const result = await roundTrip(
    {
      roots: ['kinds.composite'],
      tables: [
        {table: 'kinds.composite', where: gone},
        {table: 'kinds.cascades', where: gone},
      ],
      relinked: [
        {table: 'kinds.nulls', where: gone, columns: ['number', 'region']},
        {table: 'kinds.defaults', where: gone, columns: ['number', 'region']},
      ],
    },
    'links',
  );
  expect(result.tables['kinds.nulls']).toEqual({restored: 0, relinked: 1, skipped: 0});
  expect(result.tables['kinds.defaults']).toEqual({restored: 0, relinked: 1, skipped: 0});
});

it('restores rows of one table that refer to one another, and relinks the remaining one', async () => {
  const result = await roundTrip(
    {
      roots: ['kinds.employees'],
      tables: [{table: 'kinds.employees', where: 't.id IN (1, 3)'}],
      relinked: [{table: 'kinds.employees', where: 't.id = 2', columns: ['boss']}],
    },
    'employees',
  );
  expect(result.tables['kinds.employees']).toEqual({restored: 2, relinked: 1, skipped: 0});
});

it('restores two tables that refer to each other by keys that are not deferrable', async () => {
  await database.run(`
    CREATE TABLE kinds.husbands (id int PRIMARY KEY, wife int NOT NULL);
    CREATE TABLE kinds.wives (id int PRIMARY KEY, husband int NOT NULL REFERENCES kinds.husbands);
    WITH h AS (INSERT INTO kinds.husbands VALUES (1, 2)) INSERT INTO kinds.wives VALUES (2, 1);
    ALTER TABLE kinds.husbands ADD FOREIGN KEY (wife) REFERENCES kinds.wives ON DELETE CASCADE;
  `);
  await roundTrip(
    {roots: ['kinds.husbands'], tables: [whole('kinds.husbands'), whole('kinds.wives')]},
    'couples',
  );
});

it('restores rows and links that are too long for the memory', async () => {
  await database.run(`
    CREATE TABLE kinds.stories (id int PRIMARY KEY, words text, raw bytea, doc jsonb, short text);
    CREATE TABLE kinds.readers (id int, part int, story int REFERENCES kinds.stories ON DELETE SET NULL, remarks text, PRIMARY KEY (part, id));
    INSERT INTO kinds.stories SELECT n, repeat(E'"é\\\\ \n}},', 150000), decode(repeat('00ff5c', 300000), 'hex'),
      jsonb_build_object('a', repeat(E'"\\\\', 200000)), 'end' FROM generate_series(1, 2) n;
    INSERT INTO kinds.readers VALUES (1, 2, 1, repeat(E'x\t"', 700000))`);
  const readers = {table: 'kinds.readers', where: 'true', columns: ['story', 'remarks']};
  const content = {roots: ['kinds.stories'], tables: [whole('kinds.stories')], relinked: [readers]};
  const result = await roundTrip(content, 'stories');
  expect(result.tables['kinds.stories']?.restored).toBe(2);
  expect(result.tables['kinds.readers']?.relinked).toBe(1);
});

it('advances a sequence that is behind the restored ids, and no other', async () => {
  const path = join(folder, 'orders-backup-sequences.json');
  const content = {roots: ['kinds.serials'], tables: [whole('kinds.serials'), whole('kinds.identities')]};
  await writeOrderBackup(database, path, content);
  await deleteTaken(database, content);
  await database.run(
    `ALTER SEQUENCE kinds.serials_id_seq RESTART WITH 1; SELECT setval('kinds.serials_big_seq', 1000)`,
  );
  const context = testContext(folder, {settings: {databaseUrl: database.url}});
  const result = await restoreOrders(context, {
    backupFile: path,
    execute: true,
    failOnConflicts: true,
    onlyOrders: [],
  });
  expect(result.sequences).toEqual(['kinds.serials_id_seq']);
  await database.run(`INSERT INTO kinds.serials (note) VALUES ('next')`);
  expect(await database.query(`SELECT id, big FROM kinds.serials WHERE note = 'next'`)).toEqual([
    {id: '3', big: '1001'},
  ]);
});
