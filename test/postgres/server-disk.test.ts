/** Operations that would fill the server's disk are refused before they begin. */
import {execFileSync} from 'node:child_process';
import {readFile, rm, statfs, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {afterAll, beforeAll, expect, inject, it} from 'vitest';
import {formatBackupRecord, readBackupRecord} from '../../src/lib/catalog/backup-record.js';
import {estimateRestoredSize} from '../../src/lib/catalog/restored-size.js';
import type {AppError} from '../../src/lib/base/errors.js';
import {withSession} from '../../src/lib/postgres/client.js';
import {startLocalCluster} from '../../src/lib/postgres/tools/local-cluster.js';
import {withDatabase} from '../../src/lib/postgres/connect/connection.js';
import {restoreDatabase} from '../../src/lib/services/restore/execute.js';
import type {RestoreRequest} from '../../src/lib/services/restore/options.js';
import {verifyBackups} from '../../src/lib/services/verify/verify.js';
import {makeBackup} from '../support/make-backup.js';
import {tempFolder} from '../support/run-cli.js';
import {
  createTempDatabase,
  dropDatabase,
  onServer,
  type TempDatabase,
  urlOf,
} from '../support/temp-database.js';
import {testContext} from '../support/test-context.js';

const petabyte = 2 ** 50;

let source: TempDatabase;
let folder: string;
let backup: Awaited<ReturnType<typeof makeBackup>>;

const contextOf = (url: string) => testContext(folder, {settings: {databaseUrl: url}});

beforeAll(async () => {
  folder = await tempFolder();
  source = await createTempDatabase('template0');
  await source.run('CREATE TABLE state AS SELECT n FROM generate_series(1, 1000) AS n');
  backup = await makeBackup(contextOf(source.url), source.connection, 'custom', '2025-06-01T03:00:00.000Z');
  const record = await readBackupRecord(backup.metadataPath);
  const huge = {...record, source: {...record.source, sizeBytes: petabyte}};
  await writeFile(backup.metadataPath, formatBackupRecord(huge));
});
afterAll(async () => {
  await source.drop();
  await rm(folder, {recursive: true, force: true});
});

const refusal = (work: Promise<unknown>): Promise<AppError> =>
  work.then(
    () => {
      throw new Error('it was not refused');
    },
    (error: unknown) => error as AppError,
  );

/** The source and databases made from it; other tests have their own databases. */
const databases = () =>
  onServer((session) =>
    session.query(
      `SELECT datname FROM pg_database WHERE starts_with(datname, $1) OR datname LIKE 'server_disk%' ORDER BY 1`,
      [source.name],
    ),
  );

it.each<[string, RestoreRequest]>([
  ['--create-db', {targetDb: 'server_disk_new', createDb: true}],
  ['--drop-existing', {dropExisting: true}],
  ['--clean', {clean: true}],
  ['a dry run', {dropExisting: true, dryRun: true}],
])('restore never starts to fill a disk that is too small: %s', async (_what, request) => {
  const before = await databases();
  const restored = restoreDatabase(contextOf(source.url), {backupFile: backup.path, ...request});
  const error = await refusal(restored);
  expect(error).toMatchObject({code: 'DISK_FULL'});
  expect(error.message).toMatch(
    /needs about .* \(.* rows and indexes, .* WAL, .* temporary files, .* a margin\)/,
  );
  expect(error.message).toMatch(/which has .* free\. Nothing was changed\.$/);
  expect(await databases()).toEqual(before);
});

it.each(['same', 'local'] as const)(
  'a restore test never starts to fill a disk that is too small: --scratch %s',
  async (kind) => {
    const context = contextOf(source.url);
    const {results} = await verifyBackups(
      context,
      {},
      {
        backupFile: backup.path,
        level: 'restore',
        scratch: {kind},
      },
    );
    expect(results).toMatchObject([{outcome: 'not-possible', code: 'DISK_FULL'}]);
    expect(results[0]?.findings.join()).toMatch(/which has .* free/);
    expect(results[0]?.hint).toBe(
      kind === 'local'
        ? 'Free space in the temporary folder, or set TMPDIR to another one. Test it on another server (--scratch-url URL).'
        : 'Free space on that server. Test it on another server (--scratch-url URL), or on a temporary one here (--scratch local).',
    );
  },
);

it('warns with the size if the role cannot see the disk', async () => {
  await onServer((session) => session.query(`CREATE ROLE disk_blind LOGIN CREATEDB PASSWORD 'secret'`));
  try {
    const blind = {...source.connection, user: 'disk_blind', password: 'secret'};
    const context = contextOf(urlOf(blind));
    await restoreDatabase(context, {backupFile: backup.path, targetDb: 'server_disk_blind', createDb: true});
    expect(context.warnings.join('\n')).toMatch(
      /needs about .* PB .*whose free space is not visible from here/,
    );
  } finally {
    await dropDatabase('server_disk_blind');
    await onServer((session) => session.query('DROP ROLE disk_blind'));
  }
});

it('counts only chosen tables, and definitions without rows as almost nothing', async () => {
  const record = await readBackupRecord(backup.metadataPath);
  const sized = {...record, tables: record.tables.map((table) => ({...table, sizeBytes: 2 ** 30}))};
  const dump = {sizeBytes: 1000, isCompressed: true};
  const all = {schemaOnly: false, onlyTables: []};
  expect(estimateRestoredSize(sized, dump, all).bytes).toBe(petabyte);
  const chosen = estimateRestoredSize(sized, dump, {...all, onlyTables: [{schema: 'public', name: 'state'}]});
  expect(chosen.bytes).toBeGreaterThan(2 ** 30);
  expect(chosen.bytes).toBeLessThan(2 ** 31);
  expect(estimateRestoredSize(sized, dump, {...all, schemaOnly: true}).bytes).toBeLessThan(2 ** 25);
});

// Needs root, to mount a file system of 140 MB: DESTINO_TEST_SMALL_DISK=1.
const itOnSmallDisk = process.env['DESTINO_TEST_SMALL_DISK'] === undefined ? () => {} : it;
itOnSmallDisk(
  'a server on a small disk goes on: the restore test, which would fill it, is refused',
  async () => {
    const disk = await tempFolder();
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=140m', 'tmpfs', disk]);
    const cluster = await startLocalCluster({binFolder: inject('serverBin'), keepIn: join(disk, 'server')});
    try {
      const at = withDatabase(cluster.connection, 'full');
      await withSession(cluster.connection, (session) => session.query('CREATE DATABASE "full"'));
      await withSession(at, (session) =>
        session.query(
          'CREATE TABLE state AS SELECT n, md5(n::text) AS note FROM generate_series(1, 300000) AS n',
        ),
      );
      const context = contextOf(urlOf(at));
      const made = await makeBackup(context, at, 'custom', '2025-06-02T03:00:00.000Z');
      const {bavail, bsize} = await statfs(disk);
      const {results} = await verifyBackups(
        context,
        {},
        {
          backupFile: made.path,
          level: 'restore',
          scratch: {kind: 'same'},
        },
      );
      expect(results).toMatchObject([{outcome: 'not-possible', code: 'DISK_FULL'}]);
      expect(bavail * bsize).toBeGreaterThan(0);
      await withSession(at, (session) => session.query('CREATE TABLE later (n int)'));
      expect(await readFile(cluster.logFile, 'utf8')).not.toMatch(/PANIC|No space left/);
    } finally {
      await cluster.stop();
      execFileSync('umount', [disk]);
    }
  },
  60_000,
);
