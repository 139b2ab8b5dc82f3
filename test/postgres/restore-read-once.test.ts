/** Restores into a database beside the target: the comparison afterwards verifies the same as another reading, and damage is reported as before. */
import {readdir, readFile, rm, stat, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, it} from 'vitest';
import {sizeOf} from '../../src/lib/base/checksum.js';
import {
  type BackupRecord,
  formatBackupRecord,
  readBackupRecord,
} from '../../src/lib/catalog/backup-record.js';
import {readArchiveHead} from '../../src/lib/dump/read-archive-head.js';
import {backupDatabase} from '../../src/lib/services/backup/local-backup.js';
import {restoreDatabase, type RestoreResult} from '../../src/lib/services/restore/execute.js';
import type {RestoreRequest} from '../../src/lib/services/restore/options.js';
import type {AppError} from '../../src/lib/base/errors.js';
import {checkSource, findRestoreSource, verifySource} from '../../src/lib/services/restore/source.js';
import {cases} from '../support/long-form.js';
import {digestsOf} from '../support/make-backup.js';
import {losingRestore, replaceTools} from '../support/replaced-tools.js';
import {tempFolder} from '../support/run-cli.js';
import {
  createTempDatabase,
  dropDatabase,
  existingDatabase,
  loadFixture,
  onServer,
  type TempDatabase,
} from '../support/temp-database.js';
import {type TestContext, testContext} from '../support/test-context.js';

const formats = ['custom', 'directory'] as const;
const targetDb = 'read_once';
let folder: string;
let log: string;
let pgBin: string;
let small: TempDatabase;
/** Metadata files of backups of a small database. */
const backups = {custom: '', directory: ''};

beforeAll(async () => {
  folder = await tempFolder();
  log = join(folder, 'calls');
  pgBin = await replaceTools(folder, inject('serverBin'), {
    pg_restore: `echo "$*" >> '${log}'; exec "$real" "$@"`,
  });
  small = await createTempDatabase('template0');
  await small.run(`CREATE TABLE bulk AS SELECT n, md5(n::text) AS text FROM generate_series(1, 20000) AS n;
    CREATE TABLE state AS SELECT 'old' AS note; CREATE TABLE empty (id int)`);
  for (const format of formats) backups[format] = await backup(small, format);
});

beforeEach(() => writeFile(log, ''));

afterEach(async () => {
  for (const name of await databases()) await dropDatabase(name);
});

afterAll(async () => {
  await small.drop();
  await rm(folder, {recursive: true, force: true});
});

function context(url = small.url, bin = pgBin): TestContext {
  return testContext(folder, {settings: {databaseUrl: url, pgBin: bin}});
}

/** @returns the path of the metadata file */
async function backup({url}: TempDatabase, format: 'custom' | 'directory'): Promise<string> {
  return (await backupDatabase(context(url), {format})).metadataPath ?? '';
}

/** Number of times that pg_restore wrote rows for the program to read. */
async function readings(): Promise<number> {
  const calls = (await readFile(log, 'utf8')).split('\n');
  return calls.filter((call) => call.includes('--file=-') && !call.includes('--schema-only')).length;
}

async function restore(request: RestoreRequest, within = context()): Promise<RestoreResult> {
  return restoreDatabase(within, {targetDb, createDb: request.dropExisting !== true, ...request});
}

/** The target, databases created beside it, and those set aside for it. */
async function databases(): Promise<string[]> {
  const rows = await onServer((session) =>
    session.query('SELECT datname FROM pg_database WHERE starts_with(datname, $1)', [targetDb]),
  );
  return rows.map(({datname}) => datname ?? '');
}

/** Runs `work` while the metadata are changed. */
async function withRecord<T>(
  metadataPath: string,
  change: (record: BackupRecord) => Partial<BackupRecord>,
  work: () => Promise<T>,
): Promise<T> {
  const before = await readFile(metadataPath, 'utf8');
  const record = await readBackupRecord(metadataPath);
  await writeFile(metadataPath, formatBackupRecord({...record, ...change(record)}));
  try {
    return await work();
  } finally {
    await writeFile(metadataPath, before);
  }
}

it.each(cases(formats))(
  'gets from the head of a %s archive and its metadata what another reading would',
  async (format) => {
    const every = await createTempDatabase('template0');
    try {
      await loadFixture(every, 'every-type.sql');
      const found = await findRestoreSource(context(), {backupFile: await backup(every, format)});
      const read = await verifySource(context(), found, () => {});
      expect(read.tables.length).toBeGreaterThan(40);
      expect(read.tables.map(({name}) => name)).toContain('pg_largeobject');
      expect([read.sequences.length, read.refreshedViews.length].every((count) => count > 0)).toBe(true);
      expect(await checkSource(context(), found, () => {})).toEqual({...read, isReadWhole: false});
    } finally {
      await every.drop();
    }
  },
);

describe.each(cases(formats))('a %s backup that was read completely when it was made', (format) => {
  it('is not read before it is loaded into a new database, nor beside one that it replaces', async () => {
    const made = await restore({backupFile: backups[format]});
    expect(await readings()).toBe(0);
    const replaced = await restore({backupFile: backups[format], dropExisting: true});
    expect(await readings()).toBe(0);
    const {tables} = await readBackupRecord(backups[format]);
    const expected = tables.map(({name, rows, fingerprint}) => ({
      table: `public.${name}`,
      rows,
      fingerprint,
    }));
    expect([made.tables, replaced.tables]).toEqual([expected, expected]);
  });

  it('that has different rows than its metadata is reported as such, and the target is unchanged', async () => {
    await createTempDatabase('template0', targetDb);
    const target = existingDatabase(targetDb);
    await target.run(`CREATE TABLE present AS SELECT 'kept' AS note`);
    const {id} = await readBackupRecord(backups[format]);
    const refused = withRecord(
      backups[format],
      ({tables}) => {
        const other = tables.find(({name}) => name === 'empty')?.fingerprint ?? '';
        return {tables: tables.map((one) => (one.name === 'state' ? {...one, fingerprint: other} : one))};
      },
      () => restore({backupFile: backups[format], dropExisting: true}),
    );
    await expect(refused).rejects.toMatchObject({
      code: 'VERIFY_FAILED',
      message: `The content of the backup ${id} differs from its metadata.`,
      details: ['public.state: different rows than recorded in the metadata'],
    });
    expect(await target.query('SELECT note FROM present')).toEqual([{note: 'kept'}]);
    expect(await databases()).toEqual([targetDb]);
  });

  it('that is damaged but has matching digests fails with the error of its first reader', async () => {
    const {path} = await findRestoreSource(context(), {backupFile: backups[format]});
    const {file, start, end} = await bulkOf(path, format);
    const whole = await readFile(file);
    const told = (change: (record: BackupRecord) => Partial<BackupRecord>): Promise<unknown> =>
      withRecord(backups[format], change, () =>
        restore({backupFile: backups[format]}).catch((error: unknown) => {
          const {code, message} = error as AppError;
          return {code, message};
        }),
      );
    try {
      for (const part of [0.2, 0.5, 0.8]) {
        const at = Math.floor(start + (end - start) * part);
        const damaged = Buffer.from(whole);
        damaged[at] = (damaged[at] ?? 0) ^ 0x10;
        await writeFile(file, part === 0.8 ? damaged.subarray(0, at) : damaged);
        const fitting = {sha256: await digestsOf(path, format === 'directory'), size: await sizeOf(path)};
        const loaded = await told(() => fitting);
        expect(loaded).toMatchObject({
          code: 'VERIFY_FAILED',
          message: expect.stringContaining(' is damaged: ') as string,
        });
        expect(loaded).toEqual(await told(() => ({...fitting, verification: null})));
        expect(await databases()).toEqual([]);
      }
    } finally {
      await writeFile(file, whole);
    }
  });
});

const failed = {
  level: 'archive',
  at: '2030-01-01T00:00:00.000Z',
  ok: false,
  outcome: 'failed',
  duration: 0,
} as const;
const unproven: [string, (record: BackupRecord) => Partial<BackupRecord>][] = [
  ['nobody has read it', () => ({verification: null})],
  ['only its bytes were checked', () => ({verification: {...failed, level: 'checksum', ok: true, outcome: 'passed', findings: []}})],
  ['a check has failed since', () => ({proofs: [{...failed, findings: ['a bit is another']}]})],
  ['a table has no fingerprint', ({tables}) => ({tables: tables.map((one, n) => (n === 1 ? {...one, fingerprint: null} : one))})],
  ['the rows of a table were not counted', ({tables}) => ({tables: tables.map((one, n) => (n === 1 ? {...one, rows: null} : one))})],
  ['a table is not in its metadata', ({tables}) => ({tables: tables.slice(1)})],
]; // prettier-ignore

it.each(cases(unproven, 3))('is read first if %s', async (_why, change) => {
  await withRecord(backups.custom, change, () => restore({backupFile: backups.custom}));
  expect(await readings()).toBeGreaterThan(0);
});

const requests: RestoreRequest[] = [
  {dryRun: true},
  {skipErrors: true},
  {schemaOnly: true},
  {includeTables: ['state']},
];
it.each(cases(requests, 2))('is read first for %o', async (request) => {
  await restore({backupFile: backups.custom, ...request});
  expect(await readings()).toBeGreaterThan(0);
});

it('does not call a backup damaged if its rows were changed during the load', async () => {
  const tools = await tempFolder();
  try {
    const losing = await replaceTools(tools, inject('serverBin'), {
      pg_restore: `echo "$*" >> '${log}'
${losingRestore('DELETE FROM state')}`,
    });
    await expect(restore({backupFile: backups.custom}, context(small.url, losing))).rejects.toMatchObject({
      code: 'RESTORED_DIFFERS',
      details: [expect.stringContaining('public.state') as string],
    });
    // It was checked whether the backup itself is the cause.
    expect(await readings()).toBeGreaterThan(0);
    expect(await databases()).toEqual([]);
  } finally {
    await rm(tools, {recursive: true, force: true});
  }
});

/** Position of the large table's rows. */
async function bulkOf(
  path: string,
  format: 'custom' | 'directory',
): Promise<{file: string; start: number; end: number}> {
  if (format === 'custom') {
    const {entries = [], sizeBytes = 0} = (await readArchiveHead({path, format})) ?? {};
    const start = entries.find(({copy}) => copy?.name === 'bulk')?.offset ?? 0;
    const end = Math.min(sizeBytes, ...entries.flatMap(({offset = 0}) => (offset > start ? [offset] : [])));
    return {file: path, start, end};
  }
  const files = (await readdir(path)).map((name) => join(path, name));
  const sizes = await Promise.all(files.map(async (file) => (await stat(file)).size));
  const end = Math.max(...sizes);
  return {file: files[sizes.indexOf(end)] ?? '', start: 0, end};
}
