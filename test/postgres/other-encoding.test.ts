/** Databases in encodings other than UTF-8, with non-ASCII names. */
import {rm} from 'node:fs/promises';
import {afterAll, beforeAll, expect, it} from 'vitest';
import {backupDatabase} from '../../src/lib/services/backup/local-backup.js';
import {restoreDatabase} from '../../src/lib/services/restore/execute.js';
import {verifyBackups} from '../../src/lib/services/verify/verify.js';
import {tempFolder} from '../support/run-cli.js';
import {createTempDatabase, existingDatabase, onServer, type TempDatabase} from '../support/temp-database.js';
import {testContext} from '../support/test-context.js';
import {cases} from '../support/long-form.js';

let folder: string;
let live: TempDatabase;

beforeAll(async () => {
  folder = await tempFolder();
  await onServer((session) =>
    session.query(
      `CREATE DATABASE "latin one" TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'`,
    ),
  );
  live = existingDatabase('latin one');
  await live.run(`CREATE TABLE "Größe" ("Schlüssel" text PRIMARY KEY, "Maß" text);
    INSERT INTO "Größe" VALUES ('ä', 'Überlänge'), ('b', 'kurz'), ('c', 'breit'); SELECT lo_from_bytea(4711, 'x')`);
});

afterAll(async () => {
  await live.drop();
  await rm(folder, {recursive: true, force: true});
});

const context = () => testContext(folder, {settings: {databaseUrl: live.url}});

it.each(cases(['custom', 'sql'] as const))(
  'passes a restore test of a backup in %s format',
  async (format) => {
    const {id, tables} = await backupDatabase(context(), {format});
    expect(tables).toContainEqual(expect.objectContaining({table: 'public.Größe', rows: 3}));
    const {results} = await verifyBackups(
      context(),
      {},
      {
        backupFile: id ?? '',
        level: 'restore',
        scratch: {kind: 'same'},
      },
    );
    expect(results).toEqual([expect.objectContaining({ok: true, findings: []})]);
  },
);

it.each(cases(['custom', 'sql'] as const))(
  'counts the losses of a restore of a backup in %s format',
  async (format) => {
    const {id} = await backupDatabase(context(), {format});
    await live.run(
      `UPDATE "Größe" SET "Maß" = 'nicht länger' WHERE "Schlüssel" = 'ä'; DELETE FROM "Größe" WHERE "Schlüssel" = 'b'`,
    );
    const {wouldLose} = await restoreDatabase(context(), {
      backupFile: id ?? '',
      dropExisting: true,
      dryRun: true,
      details: true,
    });
    expect(wouldLose).toEqual([
      expect.objectContaining({
        table: 'public.Größe',
        onlyLive: 0,
        onlyBackup: 1,
        changed: 1,
        keys: {onlyLive: [], onlyBackup: [['b']], changed: [['ä']]},
      }),
    ]);
    await live.run(
      `UPDATE "Größe" SET "Maß" = 'Überlänge' WHERE "Schlüssel" = 'ä'; INSERT INTO "Größe" VALUES ('b', 'kurz')`,
    );
  },
);

it.each(cases(['custom', 'sql'] as const))(
  'restores one table of a backup in %s format by its name',
  async (format) => {
    const {id} = await backupDatabase(context(), {format});
    const target = await createTempDatabase('template0');
    await restoreDatabase(context(), {
      backupFile: id ?? '',
      targetDb: target.name,
      includeTables: ['public.Größe'],
    });
    expect(await target.query('SELECT count(*) FROM "Größe"')).toEqual([{count: '3'}]);
    await target.drop();
  },
);
