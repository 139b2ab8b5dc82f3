import {cp, readdir, readFile, rename, rm, stat, truncate, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {afterAll, beforeAll, describe, expect, it} from 'vitest';
import {AppError} from '../../src/lib/base/errors.js';
import {restoreDatabase} from '../../src/lib/services/restore/execute.js';
import {type BackupRecord, formatBackupRecord} from '../../src/lib/catalog/backup-record.js';
import {sizeOf} from '../../src/lib/base/checksum.js';
import {verifyBackups, type VerifiedBackup} from '../../src/lib/services/verify/verify.js';
import {writeDamages} from '../support/fault-table.js';
import {digestsOf, makeBackup} from '../support/make-backup.js';
import {dumpKinds, type DumpKind} from '../support/make-dump.js';
import {tempFolder} from '../support/run-cli.js';
import {
  createTempDatabase,
  databaseExists,
  loadFixture,
  type TempDatabase,
  urlOf,
} from '../support/temp-database.js';
import {testContext, type TestContext} from '../support/test-context.js';

// `npm run test:damage` runs the long form.
const isLong = process.env['DESTINO_TEST_DAMAGE'] === 'long';
const [flips, cuts] = isLong ? [200, 50] : [25, 8];

/** Damages that both verify and restore refused, by kind of dump. */
const refused: Record<string, {flips: number; cuts: number}> = {};

let database: TempDatabase;
let folder: string;
let context: TestContext;

beforeAll(async () => {
  folder = await tempFolder();
  database = await createTempDatabase('template0');
  await loadFixture(database, 'every-type.sql');
  // Rows that do not compress well, so that most of the dump is rows.
  await database.run(
    `CREATE TABLE bulk AS SELECT n, md5(n::text) AS a, md5((-n)::text) AS b FROM generate_series(1, 20000) AS n`,
  );
  context = testContext(folder);
});

afterAll(async () => {
  await database.drop();
  await rm(folder, {recursive: true, force: true});
  if (isLong) await writeDamages(refused);
});

interface Subject {
  readonly path: string;
  readonly metadataPath: string;
  readonly record: BackupRecord;
  /** Absolute paths of the dump's files with their sizes, in bytes. */
  readonly files: readonly {path: string; size: number}[];
}

async function makeSubject(kind: DumpKind): Promise<Subject> {
  const made = await makeBackup(context, database.connection, kind, '2025-06-01T03:00:00.000Z');
  const names =
    kind === 'directory' ? (await readdir(made.path)).map((name) => join(made.path, name)) : [made.path];
  const files = await Promise.all(names.map(async (path) => ({path, size: (await stat(path)).size})));
  return {...made, files: files.sort((a, b) => b.size - a.size)};
}

async function verify(subject: Subject): Promise<VerifiedBackup | undefined> {
  const {results} = await verifyBackups(
    context,
    {},
    {
      backupFile: subject.path,
      level: 'archive',
      scratch: {kind: 'same'},
    },
  );
  return results[0];
}

const targetDb = 'damage_restore_target';

/** The exit status of a restore into a new database: 4 if the damage is found. */
async function restoreStatus(subject: Subject): Promise<number> {
  const restoring = {...context, settings: {...context.settings, databaseUrl: urlOf(database.connection)}};
  return restoreDatabase(restoring, {backupFile: subject.path, targetDb, createDb: true}).then(
    () => 0,
    (error: unknown) => (error instanceof AppError ? error.exitCode : -1),
  );
}

/** Damages a file of the backup, or its folder, checks it, and repairs it again. */
async function whenDamaged<T>(path: string, damage: () => Promise<void>, look: () => Promise<T>): Promise<T> {
  const copy = `${folder}/whole`;
  await cp(path, copy, {recursive: true});
  try {
    await damage();
    return await look();
  } finally {
    await rm(path, {recursive: true, force: true});
    await rename(copy, path);
  }
}

/** The `number`-th of `count` positions, distributed over all files together. */
function placeOf(subject: Subject, number: number, count: number): {path: string; offset: number} {
  const total = subject.files.reduce((sum, {size}) => sum + size, 0);
  let rest = Math.floor(((number + 0.5) / count) * total);
  for (const {path, size} of subject.files) {
    if (rest < size) return {path, offset: rest};
    rest -= size;
  }
  throw new Error('beyond the last byte');
}

async function flip({path, offset}: {path: string; offset: number}, bit: number): Promise<void> {
  const bytes = await readFile(path);
  bytes[offset] = (bytes[offset] ?? 0) ^ (1 << bit);
  await writeFile(path, bytes);
}

/** Writes the present sizes and digests of the files into the metadata, so that only the content can show the damage. */
async function withFittingChecksums<T>(subject: Subject, work: () => Promise<T>): Promise<T> {
  const before = await readFile(subject.metadataPath, 'utf8');
  const sha256 = await digestsOf(subject.path, subject.record.format === 'directory');
  try {
    await writeFile(
      subject.metadataPath,
      formatBackupRecord({...subject.record, sha256, size: await sizeOf(subject.path)}),
    );
    return await work();
  } finally {
    await writeFile(subject.metadataPath, before);
  }
}

describe.each(dumpKinds)('a damaged %s backup', (kind) => {
  let subject: Subject;

  beforeAll(async () => {
    subject = await makeSubject(kind);
  });

  afterAll(async () => {
    await rm(subject.path, {recursive: true, force: true});
    await rm(subject.metadataPath);
  });

  it(`is refused after one bit is flipped, at each of ${flips} positions`, async () => {
    for (let number = 0; number < flips; number++) {
      const place = placeOf(subject, number, flips);
      const result = await whenDamaged(
        place.path,
        () => flip(place, number % 8),
        async () => ({ok: (await verify(subject))?.ok, restore: await restoreStatus(subject)}),
      );
      expect({place, ...result}).toEqual({place, ok: false, restore: 4});
    }
    refused[kind] = {cuts: 0, ...refused[kind], flips};
    expect(await databaseExists(targetDb)).toBe(false);
    expect(await verify(subject)).toMatchObject({ok: true});
  });

  it(`is refused after it is truncated, at each of ${cuts} lengths`, async () => {
    for (let number = 0; number < cuts; number++) {
      const {path, offset} = placeOf(subject, number, cuts);
      const result = await whenDamaged(
        path,
        () => truncate(path, offset),
        async () => ({ok: (await verify(subject))?.ok, restore: await restoreStatus(subject)}),
      );
      expect({path, offset, ...result}).toEqual({path, offset, ok: false, restore: 4});
    }
    refused[kind] = {flips: 0, ...refused[kind], cuts};
    expect(await databaseExists(targetDb)).toBe(false);
  });

  it('is refused after a truncation by its content alone, even with matching checksums', async () => {
    for (let number = 0; number < cuts; number++) {
      const {path, offset} = placeOf(subject, number, cuts);
      const result = await whenDamaged(
        path,
        () => truncate(path, offset),
        () => withFittingChecksums(subject, () => verify(subject)),
      );
      expect({path, offset, ok: result?.ok}).toEqual({path, offset, ok: false});
    }
  });

  it('is accepted after a flipped bit with matching checksums only if its rows still match the metadata', async () => {
    const accepted: {path: string; offset: number}[] = [];
    for (let number = 0; number < cuts; number++) {
      const place = placeOf(subject, number, cuts);
      const result = await whenDamaged(
        place.path,
        () => flip(place, number % 8),
        () => withFittingChecksums(subject, () => verify(subject)),
      );
      if (result?.ok !== false) accepted.push(place);
    }
    // Most of the dump is rows; accepted damage is in definitions, which only a checksum or a restore test can find.
    expect(accepted.length).toBeLessThan(cuts / 4);
  });
});

describe('a directory backup', () => {
  let subject: Subject;

  beforeAll(async () => {
    subject = await makeSubject('directory');
  });

  it('is refused when a file is missing, even with matching checksums', async () => {
    for (const {path} of isLong ? subject.files : subject.files.slice(0, 4)) {
      const results = await whenDamaged(
        path,
        () => rm(path),
        async () => [
          await verify(subject),
          await withFittingChecksums(subject, () => verify(subject)).catch(() => undefined),
        ],
      );
      expect(results.map((result) => result?.ok ?? false)).toEqual([false, false]);
    }
  });

  it('is refused when there is an extra file, or two are swapped, even with matching checksums', async () => {
    const [first, second] = subject.files.filter(({path}) => /\d+\.dat\.gz$/.test(path));
    if (!first || !second) throw new Error('the dump has too few files');
    const damages = [
      () => writeFile(join(subject.path, '9999.dat.gz'), ''),
      () => cp(first.path, first.path.replace('.gz', '')),
      async () => {
        await rename(first.path, `${first.path}.other`);
        await rename(second.path, first.path);
        await rename(`${first.path}.other`, second.path);
      },
    ];
    for (const damage of damages) {
      const results = await whenDamaged(subject.path, damage, async () => [
        await verify(subject),
        await withFittingChecksums(subject, () => verify(subject)),
      ]);
      expect(results.map((result) => result?.ok)).toEqual([false, false]);
    }
  });
});
