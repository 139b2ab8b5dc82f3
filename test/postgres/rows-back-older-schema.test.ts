/** restore:rows from a backup whose schema is older than that of the live tables. */
import {rm} from 'node:fs/promises';
import {afterEach, beforeEach, expect, it} from 'vitest';
import type {RestoreRowsRequest} from '../../src/lib/services/rows/request.js';
import {restoreRows, type RestoreRowsResult} from '../../src/lib/services/rows/restore-rows.js';
import {undoRows} from '../../src/lib/services/rows/undo-rows.js';
import {makeBackup} from '../support/make-backup.js';
import {rowsRequest} from '../support/rows-request.js';
import {tempFolder} from '../support/run-cli.js';
import {createTempDatabase, type TempDatabase} from '../support/temp-database.js';
import {testContext} from '../support/test-context.js';

let database: TempDatabase;
let folder: string;

beforeEach(async () => {
  [database, folder] = await Promise.all([createTempDatabase('template0'), tempFolder()]);
  await database.run(`
    CREATE TYPE stage AS ENUM ('open', 'paid', 'sent');
    CREATE TABLE deal (id int PRIMARY KEY, name varchar(20) NOT NULL, price numeric(8, 2), stage stage, note text);
    INSERT INTO deal SELECT n, 'deal ' || n, n * 1.50, CASE WHEN n % 10 = 0 THEN 'sent' ELSE 'open' END::stage, CASE WHEN n % 2 = 0 THEN 'note ' || n END
      FROM generate_series(1, 40) n`);
  await makeBackup(context(), database.connection, 'custom', '2026-11-22T03:10:00Z');
  await database.run(`DELETE FROM deal WHERE id <= 4; UPDATE deal SET price = 0, note = 'lost' WHERE id BETWEEN 11 AND 14`);
}); // prettier-ignore

afterEach(() => Promise.all([database.drop(), rm(folder, {recursive: true, force: true})]));

function context() {
  return testContext(folder, {settings: {databaseUrl: database.url}});
}

function run(changes: Partial<RestoreRowsRequest> = {}): Promise<RestoreRowsResult> {
  return restoreRows(context(), {}, rowsRequest({tables: ['deal'], ...changes}), (id) => ['destino-db', id]);
}

const takeBack = () => undoRows(context(), {}, {undo: 'latest', execute: true, firesTriggers: false});
const preview = () => undoRows(context(), {}, {undo: 'latest', execute: false, firesTriggers: false});
const rows = () => database.query('SELECT t::text AS row FROM deal t ORDER BY id');
const rowsOf = async (condition: string): Promise<(string | null | undefined)[]> =>
  (await database.query(`SELECT t::text AS row FROM deal t WHERE ${condition} ORDER BY id`)).map(
    ({row}) => row,
  );

it('a new column gets its default in inserted rows, is unchanged in updated ones, and is reported', async () => {
  await database.run(`ALTER TABLE deal ADD hits int NOT NULL DEFAULT 7, ADD seen date; UPDATE deal SET hits = 1, seen = '2026-11-28' WHERE id = 11`);
  const before = await rows();
  const result = await run();
  expect(result.tables[0]).toMatchObject({insert: 4, update: 4, conflicts: 0, newColumns: ['hits', 'seen']});
  expect(result.notes).toContainEqual(expect.stringContaining('The backup lacks hits, seen of public.deal'));
  expect(await rowsOf('id IN (1, 2, 11, 12)')).toEqual([
    '(1,"deal 1",1.50,open,,7,)',
    '(2,"deal 2",3.00,open,"note 2",7,)',
    '(11,"deal 11",16.50,open,,1,2026-11-28)',
    '(12,"deal 12",18.00,open,"note 12",7,)',
  ]);
  await database.run(`UPDATE deal SET hits = hits + 1 WHERE id = 12`);
  await database.run(`BEGIN; UPDATE deal SET hits = 8 WHERE id = 1; ROLLBACK`);
  expect((await preview()).changedSince).toEqual([]);
  await takeBack();
  await database.run(`UPDATE deal SET hits = hits - 1 WHERE id = 12`);
  expect(await rows()).toEqual(before);
  await run();
  await database.run(`UPDATE deal SET hits = 8 WHERE id = 1`);
  await expect(takeBack()).rejects.toMatchObject({code: 'ROWS_CHANGED', details: ['public.deal 1: it has changed since']});
}); // prettier-ignore

it('a new column that needs a value prevents inserts of missing rows, and changed ones are restored', async () => {
  await database.run(`ALTER TABLE deal ADD owner text; UPDATE deal SET owner = 'ana'; ALTER TABLE deal ALTER owner SET NOT NULL`);
  const result = await run();
  expect(result.reasons).toEqual([{table: 'public.deal', reason: expect.stringContaining('column new: "owner"') as string, rows: 4}]);
  expect(result.tables[0]).toMatchObject({insert: 0, update: 4, conflicts: 4});
  expect(await rowsOf('id IN (1, 12)')).toEqual(['(12,"deal 12",18.00,open,"note 12",ana)']);
}); // prettier-ignore

it('a dropped column prevents inserts of missing rows with a value in it, and no others', async () => {
  await database.run('ALTER TABLE deal DROP note');
  const before = await rows();
  const result = await run();
  expect(result.tables[0]).toMatchObject({insert: 2, update: 4, conflicts: 2, goneColumns: ['note']});
  expect(result.conflicts).toEqual([2, 4].map((id) => ({table: 'public.deal', key: String(id), reason: expect.stringContaining('column gone') as string})));
  expect(await rowsOf('id IN (1, 2, 3, 12)')).toEqual(['(1,"deal 1",1.50,open)', '(3,"deal 3",4.50,open)', '(12,"deal 12",18.00,open)']);
  await takeBack();
  expect(await rows()).toEqual(before);
}); // prettier-ignore

it('types that were extended restore the same values, and the key may have one of them', async () => {
  await database.run('ALTER TABLE deal ALTER id TYPE bigint, ALTER name TYPE text, ALTER price TYPE numeric(12, 2)');
  const before = await rows();
  const result = await run({keys: ['1', '2', '11']});
  expect(result.tables[0]).toMatchObject({insert: 2, update: 1, conflicts: 0});
  expect(await rowsOf('id IN (1, 2, 3, 11)')).toEqual(['(1,"deal 1",1.50,open,)', '(2,"deal 2",3.00,open,"note 2")', '(11,"deal 11",16.50,open,)']);
  await takeBack();
  expect(await rows()).toEqual(before);
}); // prettier-ignore

it('a label that no restored row uses may be missing from an enum, and others may be new', async () => {
  const enumOf = (labels: string) => `
    CREATE TYPE stage2 AS ENUM (${labels}); ALTER TABLE deal ALTER stage TYPE stage2 USING stage::text::stage2;
    DROP TYPE stage; ALTER TYPE stage2 RENAME TO stage`;
  await database.run(enumOf(`'new', 'open', 'sent'`));
  const before = await rows();
  expect((await run()).tables[0]).toMatchObject({insert: 4, update: 4});
  await takeBack();
  expect(await rows()).toEqual(before);
  await database.run(`UPDATE deal SET stage = 'open'; ${enumOf(`'new', 'open'`)}`);
  await expect(run()).rejects.toMatchObject({
    code: 'ENUM_LABEL_GONE',
    message: expect.stringContaining('public.deal.stage') as string,
  });
});
