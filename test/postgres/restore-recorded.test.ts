/** Restores backups with metadata: the facts that the metadata verifies and provides, and a restore over a database in use. */
import {open, readFile, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {afterAll, afterEach, beforeAll, expect, inject, it} from 'vitest';
import {readCatalogue} from '../../src/lib/catalog/catalogue.js';
import type {AppError} from '../../src/lib/base/errors.js';
import {backupDatabase} from '../../src/lib/services/backup/local-backup.js';
import {restoreDatabase} from '../../src/lib/services/restore/execute.js';
import {replaceTools} from '../support/replaced-tools.js';
import {tempFolder} from '../support/run-cli.js';
import {
  createTempDatabase,
  databaseExists,
  dropDatabase,
  existingDatabase,
  onServer,
  type TempDatabase,
} from '../support/temp-database.js';
import {testContext} from '../support/test-context.js';

let folder: string;
let source: TempDatabase;
let backup: {id: string; path: string; metadataPath: string};
const made: string[] = [];

function context(url = source.url) {
  return testContext(folder, {settings: {databaseUrl: url}});
}

async function makeBackup(): Promise<typeof backup> {
  const {id, path, metadataPath} = await backupDatabase(context(), {});
  return {id: id ?? '', path: path ?? '', metadataPath: metadataPath ?? ''};
}

beforeAll(async () => {
  folder = await tempFolder();
  await onServer((session) =>
    session.query(
      `CREATE DATABASE "recorded source" TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'`,
    ),
  );
  source = existingDatabase('recorded source');
  await onServer(async (session) => {
    await session.query(`CREATE ROLE recorded_app`);
    await session.query(`ALTER DATABASE "recorded source" SET work_mem = '5MB'`);
    await session.query(`GRANT CREATE ON DATABASE "recorded source" TO recorded_app`);
  });
  await source.run(`CREATE TABLE state (id int PRIMARY KEY, note text); INSERT INTO state VALUES (1, 'café');
    CREATE TABLE child (id int PRIMARY KEY REFERENCES state)`);
  backup = await makeBackup();
});

afterEach(async () => {
  for (const name of made.splice(0)) await dropDatabase(name);
});

afterAll(async () => {
  await source.drop();
  await onServer((session) => session.query('DROP ROLE recorded_app'));
  await rm(folder, {recursive: true, force: true});
});

it('creates the new database like its source: encoding, locale, settings and rights', async () => {
  made.push('recorded_copy');
  const restored = await restoreDatabase(context(), {
    isLatest: true,
    targetDb: 'recorded_copy',
    createDb: true,
  });
  expect(restored).toMatchObject({backup: backup.id, errors: []});
  const describe = (name: string) =>
    onServer((session) =>
      session.query(
        `SELECT encoding, datcollate, datctype, (SELECT array_agg(x::text ORDER BY x::text) FROM unnest(datacl) AS x), (SELECT setconfig FROM pg_db_role_setting WHERE setdatabase = d.oid)
           FROM pg_database d WHERE datname = $1`,
        [name],
      ),
    );
  expect(await describe('recorded_copy')).toEqual(await describe('recorded source'));
  expect(await existingDatabase('recorded_copy').query('SELECT * FROM state')).toEqual([
    {id: '1', note: 'café'},
  ]);
});

it('is chosen by time: the newest backup taken at or before a moment', async () => {
  const record = JSON.parse(await readFile(backup.metadataPath, 'utf8')) as {timestamp: string};
  const before = new Date(new Date(record.timestamp).getTime() - 1);
  const request = {targetDb: 'recorded_copy', createDb: true, dryRun: true};
  await expect(restoreDatabase(context(), {...request, at: before})).rejects.toMatchObject({
    code: 'BACKUP_NOT_FOUND',
  });
  expect(await restoreDatabase(context(), {...request, at: new Date(record.timestamp)})).toMatchObject({
    backup: backup.id,
  });
});

it('refuses a backup with one flipped bit anywhere, before the target is touched', async () => {
  const bytes = await readFile(backup.path);
  const file = await open(backup.path, 'r+');
  try {
    for (let step = 0; step < 8; step++) {
      const at = Math.floor(((bytes.length - 1) * step) / 7);
      await file.write(Buffer.from([(bytes[at] ?? 0) ^ 1]), 0, 1, at);
      const refused = restoreDatabase(context(), {
        backupFile: backup.id,
        targetDb: 'recorded_copy',
        createDb: true,
      });
      await expect(refused).rejects.toMatchObject({exitCode: 4});
      await file.write(Buffer.from([bytes[at] ?? 0]), 0, 1, at);
    }
  } finally {
    await file.close();
  }
  expect(await databaseExists('recorded_copy')).toBe(false);
});

it('restores over a database in use after a safety backup, in one transaction', async () => {
  const target = await createTempDatabase('template0');
  made.push(target.name);
  await target.run(`CREATE TABLE state (id int PRIMARY KEY, note text); INSERT INTO state VALUES (1, 'changed'), (2, 'new');
    CREATE TABLE unrelated (id int); INSERT INTO unrelated VALUES (7)`);
  const run = testContext(folder, {settings: {databaseUrl: target.url}});
  await expect(restoreDatabase(run, {backupFile: backup.id})).rejects.toMatchObject({
    code: 'TARGET_NOT_EMPTY',
  });
  const seen = await restoreDatabase(run, {backupFile: backup.id, clean: true, dryRun: true});
  expect(seen.warnings).toContainEqual(expect.stringContaining("The backup's text is in LATIN1"));
  // The backup is in LATIN1, the target in UTF8: the converted text is the same.
  const result = await restoreDatabase(run, {backupFile: backup.id, clean: true});
  expect(result).toMatchObject({way: 'clean', setAside: null});
  expect(await target.query('SELECT * FROM state')).toEqual([{id: '1', note: 'café'}]);
  expect(await target.query('SELECT * FROM unrelated')).toEqual([{id: '7'}]);
  const {backups} = await readCatalogue(join(folder, 'backups', 'database'));
  const safety = backups.find(({id}) => id === result.safetyBackup);
  expect(safety?.record).toMatchObject({
    label: 'safety',
    databaseName: target.name,
    verification: {ok: true},
  });
  expect(safety?.record?.tables.find(({name}) => name === 'state')).toMatchObject({rows: 2});

  // A table that is not in the backup depends on one that would be dropped, so nothing may happen.
  await target.run(`CREATE TABLE hanging (id int REFERENCES state); UPDATE state SET note = 'kept'`);
  await expect(restoreDatabase(run, {backupFile: backup.id, clean: true})).rejects.toMatchObject({
    code: 'RESTORE_FAILED',
    message: expect.stringContaining('is unchanged') as string,
  });
  expect(await target.query('SELECT * FROM state')).toEqual([{id: '1', note: 'kept'}]);
});

it('is refused if the config file excludes replaced tables from the safety backup, in a dry run too', async () => {
  const target = await createTempDatabase('template0');
  made.push(target.name);
  await target.run(`CREATE TABLE state (id int PRIMARY KEY, note text); INSERT INTO state VALUES (1, 'kept');
    CREATE TABLE unrelated (id int)`);
  const run = (excludeTables: string[]) =>
    testContext(folder, {settings: {databaseUrl: target.url, config: {backup: {excludeTables}}}});
  const request = {backupFile: backup.id, clean: true};
  for (const dryRun of [true, false])
    await expect(restoreDatabase(run(['state']), {...request, dryRun})).rejects.toMatchObject({
      code: 'GUARD',
      message:
        'The restore replaces public.state, but the safety backup would not contain it. Nothing was changed.',
    });
  expect(await target.query('SELECT * FROM state')).toEqual([{id: '1', note: 'kept'}]);
  await expect(restoreDatabase(run(['unrelated']), request)).resolves.toMatchObject({way: 'clean'});
});

it('reports a database with different rows than the backup, and where its previous content is', async () => {
  const target = await createTempDatabase('template0');
  made.push(target.name);
  await target.run(
    `CREATE TABLE state (id int PRIMARY KEY, note text); INSERT INTO state VALUES (5, 'before')`,
  );
  const reader = `"$real" "$@" | sed '/^COPY public.state /{n;d}'`;
  const scripts = {pg_restore: `case "$*" in *--use-list*) ${reader};; *) exec "$real" "$@";; esac`};
  const pgBin = await replaceTools(folder, inject('serverBin'), scripts);
  const losing = testContext(folder, {settings: {databaseUrl: target.url, pgBin}});
  const failure = await restoreDatabase(losing, {backupFile: backup.id, clean: true}).catch(
    (error: unknown) => error,
  );
  expect(failure).toMatchObject({
    code: 'RESTORED_DIFFERS',
    exitCode: 4,
    details: [expect.stringContaining('public.state') as string],
  });
  const {backups} = await readCatalogue(join(folder, 'backups', 'database'));
  const safety = backups.find(({database}) => database === target.name);
  expect((failure as AppError).message).toContain(`is in the safety backup ${safety?.id ?? 'none'}`);
  expect(safety?.record?.tables).toMatchObject([{name: 'state', rows: 1}]);
});

it('removes no older backup when it makes the safety backup, with any policy', async () => {
  const target = await createTempDatabase('template0');
  made.push(target.name);
  await target.run('CREATE TABLE state (id int)');
  const run = testContext(folder, {
    settings: {databaseUrl: target.url, config: {retention: {keepLast: 1, keepMin: 1}}},
  });
  const request = {backupFile: backup.id, clean: true};
  const first = await restoreDatabase(run, request);
  const second = await restoreDatabase(run, request);
  const ids = (await readCatalogue(join(folder, 'backups', 'database'))).backups.map(({id}) => id);
  expect(ids).toEqual(expect.arrayContaining([first.safetyBackup, second.safetyBackup, backup.id]));
});

it('refuses a metadata file with different rows than the dump', async () => {
  const text = await readFile(backup.metadataPath, 'utf8');
  await writeFile(backup.metadataPath, text.replace(/"rows": 1\b/, '"rows": 2'));
  try {
    await expect(
      restoreDatabase(context(), {backupFile: backup.id, targetDb: 'recorded_copy', createDb: true}),
    ).rejects.toMatchObject({code: 'VERIFY_FAILED'});
  } finally {
    await writeFile(backup.metadataPath, text);
  }
});
