/** diff shows which rows and definitions differ between a backup and the live database, and between two backups. */
import {rm} from 'node:fs/promises';
import {afterAll, beforeAll, expect, it} from 'vitest';
import {AppError} from '../../src/lib/base/errors.js';
import {diffBackups, type DiffResult} from '../../src/lib/services/rows/diff-backups.js';
import {makeBackup} from '../support/make-backup.js';
import {tempFolder} from '../support/run-cli.js';
import {createTempDatabase, type TempDatabase} from '../support/temp-database.js';
import {testContext} from '../support/test-context.js';

let database: TempDatabase;
let folder: string;
let ids: string[];

const context = () => testContext(folder, {settings: {databaseUrl: database.url}});

beforeAll(async () => {
  [database, folder] = await Promise.all([createTempDatabase('template0'), tempFolder()]);
  await database.run(`
    CREATE TABLE same AS SELECT n FROM generate_series(1, 100) n;
    CREATE TABLE "Odd, Name" ("a ""b""" int, "c" text, v text, PRIMARY KEY ("a ""b""", c));
    INSERT INTO "Odd, Name" SELECT n, 'c' || n, 'v' FROM generate_series(1, 50) n;
    CREATE TABLE keyless AS SELECT 'row ' || n % 3 AS line FROM generate_series(1, 9) n;
    CREATE TABLE dropped AS SELECT 1 AS one`);
  const first = await makeBackup(context(), database.connection, 'custom', '2026-11-22T03:10:00Z');
  await database.run(`
    DELETE FROM "Odd, Name" WHERE c = 'c7'; UPDATE "Odd, Name" SET v = 'w' WHERE c IN ('c8', 'c9');
    INSERT INTO "Odd, Name" VALUES (1000, 'new', 'v'); DELETE FROM keyless WHERE ctid = (SELECT min(ctid) FROM keyless);
    DROP TABLE dropped; CREATE TABLE made (id int PRIMARY KEY); INSERT INTO made VALUES (1); ALTER TABLE same ADD m int`);
  const second = await makeBackup(context(), database.connection, 'sql', '2026-11-23T03:10:00Z');
  ids = [first.record.id, second.record.id];
});

afterAll(() => Promise.all([database.drop(), rm(folder, {recursive: true, force: true})]));

const run = (backup: string | undefined, other?: string, ...tables: string[]): Promise<DiffResult> =>
  diffBackups(context(), {}, {backup, other, at: undefined, tables});

const odd = {table: 'public.Odd, Name', key: ['a "b"', 'c'], changed: 2};

it('between a backup and the live database', async () => {
  const {tables, equalTables, left, right, schemaDifferences} = await run(ids[0]);
  expect(tables).toEqual([
    {...odd, onlyLeft: 1, onlyRight: 1},
    {table: 'public.dropped', key: [], onlyLeft: 0, onlyRight: 1, changed: 0},
    {table: 'public.keyless', key: [], onlyLeft: 0, onlyRight: 1, changed: 0},
    {table: 'public.made', key: [], onlyLeft: 1, onlyRight: 0, changed: 0},
  ]);
  expect([equalTables, left.kind, right]).toEqual([
    1,
    'database',
    {kind: 'backup', name: ids[0], takenAt: '2026-11-22T03:10:00.000Z'},
  ]);
  expect(schemaDifferences).toContain('column public.same.m: only live');
  expect((await run(ids[1])).tables).toEqual([]);
});

it('between two backups of different formats, in either order', async () => {
  const there = await run(ids[0], ids[1]);
  expect(there.tables).toEqual([
    {...odd, onlyLeft: 1, onlyRight: 1},
    {table: 'public.dropped', key: [], onlyLeft: 1, onlyRight: 0, changed: 0},
    {table: 'public.keyless', key: [], onlyLeft: 1, onlyRight: 0, changed: 0},
    {table: 'public.made', key: [], onlyLeft: 0, onlyRight: 1, changed: 0},
  ]);
  expect(there.schemaDifferences).toEqual(
    expect.arrayContaining(['table public.dropped: only left', 'table public.made: only right']),
  );
  const back = await run(ids[1], ids[0]);
  expect(back.tables.map(({table, onlyLeft, onlyRight}) => [table, onlyRight, onlyLeft])).toEqual(
    there.tables.map(({table, onlyLeft, onlyRight}) => [table, onlyLeft, onlyRight]),
  );
  expect((await run(ids[0], ids[0])).tables).toEqual([]);
});

it('with the keys of a chosen table', async () => {
  const keys = {
    onlyLeft: [['7', 'c7']],
    onlyRight: [['1000', 'new']],
    changed: expect.arrayContaining([
      ['8', 'c8'],
      ['9', 'c9'],
    ]) as string[][],
  };
  const {tables} = await run(ids[0], ids[1], '"Odd, Name"');
  expect(tables).toEqual([{...odd, onlyLeft: 1, onlyRight: 1, keys}]);
  const live = await run(ids[0], undefined, 'public."Odd, Name"');
  expect(live.tables).toEqual([
    {...odd, onlyLeft: 1, onlyRight: 1, keys: {...keys, onlyLeft: keys.onlyRight, onlyRight: keys.onlyLeft}},
  ]);
});

it('refuses a table that no backup contains', async () => {
  const error = await run(ids[0], undefined, 'public.none').catch((failure: unknown) => failure);
  expect(error instanceof AppError && error.code).toBe('TABLE_NOT_IN_BACKUP');
});
