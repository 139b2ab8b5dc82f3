/** The preview of a restore over a live database: exactly the rows that would be lost, restored or changed. */
import {rm} from 'node:fs/promises';
import {afterAll, beforeAll, expect, it} from 'vitest';
import {restoreDatabase} from '../../src/lib/services/restore/execute.js';
import type {RestoreRequest} from '../../src/lib/services/restore/options.js';
import {type DumpKind, makeDump} from '../support/make-dump.js';
import {tempFolder} from '../support/run-cli.js';
import {createTempDatabase, type TempDatabase} from '../support/temp-database.js';
import {testContext} from '../support/test-context.js';
import {cases} from '../support/long-form.js';

let folder: string;
let live: TempDatabase;
const kinds: DumpKind[] = ['custom', 'directory', 'sql', 'sql.gz'];

const changes = `
  DELETE FROM items WHERE id <= 7;
  INSERT INTO items SELECT n, 'late', '2026-02-01 12:00:00.123456+00' FROM generate_series(200001, 200005) AS n;
  UPDATE items SET note = note || '!' WHERE id IN (100, 50000);
  DELETE FROM "odd ""keys""" WHERE b = E'tab\\there';
  UPDATE "odd ""keys""" SET payload = 'x' WHERE b = E'back\\\\slash';
  INSERT INTO "odd ""keys""" VALUES ('new', E'line\\nbreak', '');
  DELETE FROM keyless WHERE ctid IN (SELECT ctid FROM keyless WHERE n = 1 LIMIT 2);
  INSERT INTO keyless VALUES (9), (9);
  ALTER TABLE widened ADD COLUMN extra text DEFAULT 'e';
  UPDATE widened SET a = 'changed' WHERE id = 2;
  DROP TABLE dropped;
  CREATE TABLE added (id int); INSERT INTO added VALUES (1), (2), (3);
  INSERT INTO blanks VALUES ('');
  INSERT INTO _prisma_migrations VALUES ('b', '20260201_second');
`;

beforeAll(async () => {
  folder = await tempFolder();
  live = await createTempDatabase('template0');
  await live.run(`
    CREATE TABLE items (id bigint PRIMARY KEY, note text, at timestamptz, shout text GENERATED ALWAYS AS (upper(note)) STORED);
    INSERT INTO items SELECT n, 'note ' || n, '2026-01-01 00:00:00+00'::timestamptz + n * interval '1 s' FROM generate_series(1, 60000) AS n;
    CREATE TABLE "odd ""keys""" (a text, b text, payload text, PRIMARY KEY (b, a));
    INSERT INTO "odd ""keys""" VALUES ('1', E'tab\\there', 'p'), ('2', E'back\\\\slash', 'p'), ('3', '', NULL);
    CREATE TABLE keyless (n int); INSERT INTO keyless VALUES (1), (1), (1), (2), (NULL);
    CREATE TABLE widened (id int PRIMARY KEY, a text); INSERT INTO widened VALUES (1, 'a'), (2, 'b');
    CREATE TABLE dropped (id int); INSERT INTO dropped VALUES (1), (2);
    CREATE TABLE blanks (word text); INSERT INTO blanks VALUES (''), ('');
    CREATE TABLE same (id int PRIMARY KEY); INSERT INTO same SELECT generate_series(1, 100);
    CREATE TABLE _prisma_migrations (id text PRIMARY KEY, migration_name text); INSERT INTO _prisma_migrations VALUES ('a', '20260101_first')`);
  for (const kind of kinds) await makeDump(live.connection, folder, kind, {name: `before.${kind}`});
  await live.run(changes);
});

afterAll(async () => {
  await live.drop();
  await rm(folder, {recursive: true, force: true});
});

function preview(kind: DumpKind, details: boolean) {
  const context = testContext(folder, {settings: {databaseUrl: live.url}});
  return restoreDatabase(context, {backupFile: `before.${kind}`, dropExisting: true, dryRun: true, details});
}

it.each(cases(kinds))('counts the differences, from a %s dump', async (kind) => {
  const {wouldLose, schemaDifferences, migrations} = await preview(kind, false);
  const counts = Object.fromEntries(
    wouldLose.map((table) => [table.table, [table.onlyLive, table.onlyBackup, table.changed]]),
  );
  expect(counts).toEqual({
    'public.items': [5, 7, 2],
    'public.odd "keys"': [1, 1, 1],
    'public.keyless': [2, 2, 0],
    'public.widened': [0, 0, 1],
    'public.dropped': [0, 2, 0],
    'public.added': [3, 0, 0],
    'public.blanks': [1, 0, 0],
    'public._prisma_migrations': [1, 0, 0],
  });
  expect(wouldLose.every((table) => table.keys === undefined)).toBe(true);
  expect(wouldLose.find(({table}) => table === 'public.items')).toMatchObject({
    newestLive: '2026-02-01 12:00:00.123456+00',
    newestBackup: '2026-01-01 16:40:00+00',
  });
  expect(schemaDifferences).toEqual([
    'table public.added: only live',
    'column public.widened.extra: only live',
    'table public.dropped: only in the backup',
  ]);
  expect(migrations).toEqual({onlyLive: ['20260201_second'], onlyBackup: []});
});

it('lists the keys with details, and writes nothing to the server', async () => {
  const {wouldLose} = await preview('custom', true);
  const keysOf = (name: string) => {
    const table = wouldLose.find(({table}) => table === name);
    const sorted = (list: readonly (readonly (string | null)[])[] = []) =>
      list.map((key) => key.join('|')).sort();
    return {
      key: table?.key,
      onlyLive: sorted(table?.keys?.onlyLive),
      onlyBackup: sorted(table?.keys?.onlyBackup),
      changed: sorted(table?.keys?.changed),
    };
  };
  expect(keysOf('public.items')).toEqual({
    key: ['id'],
    onlyLive: ['200001', '200002', '200003', '200004', '200005'],
    onlyBackup: ['1', '2', '3', '4', '5', '6', '7'],
    changed: ['100', '50000'],
  });
  expect(keysOf('public.odd "keys"')).toEqual({
    key: ['b', 'a'],
    onlyLive: ['line\nbreak|new'],
    onlyBackup: ['tab\there|1'],
    changed: ['back\\slash|2'],
  });
  expect(keysOf('public.keyless')).toMatchObject({key: [], onlyLive: ['9', '9'], onlyBackup: ['1', '1']});
});

const lossesOf = async (request: Partial<RestoreRequest>, database = live) => {
  const context = testContext(folder, {settings: {databaseUrl: database.url}});
  const {wouldLose, ...rest} = await restoreDatabase(context, {
    backupFile: 'before.custom',
    dryRun: true,
    ...request,
  });
  const counts = wouldLose.map((table) => [table.table, table.onlyLive, table.onlyBackup, table.changed]);
  return {counts, ...rest};
};

it('counts every row of the tables that a restore of the schema alone creates again', async () => {
  const {counts, schemaDifferences} = await lossesOf({clean: true, schemaOnly: true});
  expect(counts).toEqual([
    ['public._prisma_migrations', 2, 0, 0],
    ['public.added', 3, 0, 0],
    ['public.blanks', 3, 0, 0],
    ['public.items', 59998, 0, 0],
    ['public.keyless', 5, 0, 0],
    ['public.odd "keys"', 3, 0, 0],
    ['public.same', 100, 0, 0],
    ['public.widened', 2, 0, 0],
  ]);
  expect(schemaDifferences).toContain('table public.dropped: only in the backup');
});

it('compares values of any size without keeping them in memory, and lists them by length and hash', async () => {
  const wide = await createTempDatabase('template0');
  try {
    const value = (end: string): string => `repeat('0123456789', 400000) || '${end}'`;
    await wide.run(`CREATE TABLE wide (id int PRIMARY KEY, body text, more text); CREATE TABLE keyless (body text);
      INSERT INTO wide VALUES (1, ${value('a')}, 'm'), (2, ${value('b')}, ${value('c')}), (3, 'short', NULL);
      INSERT INTO keyless SELECT body FROM wide`);
    for (const kind of ['custom', 'sql.gz'] as const)
      await makeDump(wide.connection, folder, kind, {name: `wide.${kind}`});
    await wide.run(`ALTER TABLE wide ADD COLUMN added text; UPDATE wide SET more = ${value('d')} WHERE id = 2;
      UPDATE keyless SET body = ${value('e')} WHERE body LIKE '%a'`);
    for (const backupFile of ['wide.custom', 'wide.sql.gz']) {
      const request = {backupFile, dropExisting: true, dryRun: true, details: true};
      const context = testContext(folder, {settings: {databaseUrl: wide.url}});
      const {wouldLose} = await restoreDatabase(context, request);
      const long = [expect.stringMatching(/^\(4000001 bytes, SHA-256 [0-9a-f]{64}\)$/)];
      expect(wouldLose.map(({table, keys}) => [table, keys])).toEqual([
        ['public.keyless', {onlyLive: [long], onlyBackup: [long], changed: []}],
        ['public.wide', {onlyLive: [], onlyBackup: [], changed: [['2']]}],
      ]);
    }
  } finally {
    await wide.drop();
  }
});

it('counts large objects, all of them if one differs', async () => {
  const large = await createTempDatabase('template0');
  try {
    await large.run(`SELECT lo_from_bytea(9001, 'abc'), lo_from_bytea(9002, 'def')`);
    await makeDump(large.connection, folder, 'custom', {name: 'large.custom'});
    const counts = async () =>
      (await lossesOf({backupFile: 'large.custom', dropExisting: true}, large)).counts;
    expect(await counts()).toEqual([]);
    await large.run(`SELECT lo_put(9002, 0, 'D')`);
    expect(await counts()).toEqual([['pg_catalog.pg_largeobject', 2, 2, 0]]);
    await large.run(`SELECT lo_unlink(9001), lo_unlink(9002)`);
    expect(await counts()).toEqual([['pg_catalog.pg_largeobject', 0, 2, 0]]);
  } finally {
    await large.drop();
  }
});
