/** Backups to a real bucket and back: equal, encrypted or not, complete or absent, kept apart, pruned by rule. */
import {
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import {execFileSync} from 'node:child_process';
import {createHash, randomBytes} from 'node:crypto';
import {mkdir, readdir, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {afterAll, beforeAll, beforeEach, describe, expect, inject, it} from 'vitest';
import {type BackupRecord, formatBackupRecord} from '../../src/lib/catalog/backup-record.js';
import {AppError} from '../../src/lib/base/errors.js';
import {type Connection, withDatabase} from '../../src/lib/postgres/connect/connection.js';
import {withAppSession} from '../support/app-session.js';
import type {BackupRequest} from '../../src/lib/services/backup/options.js';
import {backupToPlaces} from '../../src/lib/services/backup/backup.js';
import {copyBackups} from '../../src/lib/services/copy/copy-backups.js';
import {listBackups} from '../../src/lib/services/status/list-backups.js';
import {prune} from '../../src/lib/services/prune/prune.js';
import {restoreFrom} from '../../src/lib/services/restore/restore.js';
import {verifyBackups} from '../../src/lib/services/verify/verify.js';
import type {Config} from '../../src/lib/settings/config-schema.js';
import {makeKey} from '../support/age.js';
import {createBucket, keysIn, store, storeClient, storeEnvironment, uploadsIn} from '../support/bucket.js';
import {losingReader, replaceTools} from '../support/replaced-tools.js';
import {tempFolder} from '../support/run-cli.js';
import {sampleRecord} from '../support/sample-backups.js';
import {createTempDatabase, type TempDatabase, urlOf} from '../support/temp-database.js';
import {testContext} from '../support/test-context.js';
import {watchRequests} from '../support/watched-requests.js';
import {cases, isLongForm} from '../support/long-form.js';

let database: TempDatabase;
let folder: string;
let bucket: string;
let place: string;
let recipient: string;

beforeAll(async () => {
  database = await createTempDatabase('shop_template');
  // Only by the rule for pg_dump, which does not pin it.
  await database.run(
    `CREATE TABLE bytes AS SELECT '\\x00ff5c'::bytea AS b; ALTER DATABASE ${database.name} SET bytea_output = 'escape'`,
  );
});
afterAll(() => database.drop());
beforeEach(async () => {
  folder = await tempFolder();
  bucket = await createBucket();
  place = `s3://${bucket}/shop one`;
  recipient = makeKey(join(folder, 'key.txt'));
  return () => rm(folder, {recursive: true});
});

function context(config: Config = {}, now?: string) {
  return testContext(folder, {
    settings: {config, databaseUrl: urlOf(database.connection)},
    env: storeEnvironment(),
    ...(now === undefined ? {} : {now}),
  });
}

async function dropDatabase(name: string): Promise<void> {
  const server: Connection = withDatabase(database.connection, 'postgres');
  await withAppSession(server, (session) => session.query(`DROP DATABASE IF EXISTS "${name}"`));
}

const isRestoring = {level: 'checksum', scratch: {kind: 'same'}} as const;

describe.each(cases(['custom', 'directory', 'sql'] as const))('a backup in %s format', (format) => {
  it.each(cases([true, false]))(
    'is copied to the bucket and restored into a new database, equal (encrypted: %s)',
    async (isEncrypted) => {
      const target = `back_${randomBytes(4).toString('hex')}`;
      const made = await backupToPlaces(
        context(),
        {format, withRoles: true},
        {to: [place], ...(isEncrypted ? {recipients: [recipient]} : {})},
      );
      expect(made.copies).toMatchObject([{encrypted: isEncrypted, outcome: 'copied'}]);
      await rm(join(folder, 'backups'), {recursive: true});
      const source = {from: place, ...(isEncrypted ? {identityFile: 'key.txt'} : {})};
      try {
        const restored = await restoreFrom(context(), source, {
          isLatest: true,
          targetDb: target,
          createDb: true,
        });
        expect(restored.errors).toEqual([]);
        expect(restored.tables.filter(({rows}) => rows > 0).length).toBeGreaterThan(5);
        const rows = (tables: readonly {table: string; rows: number | null; fingerprint: string | null}[]) =>
          tables.map(({table, rows: count, fingerprint}) => [table, count, fingerprint]).sort();
        expect(rows(restored.tables)).toEqual(rows(made.tables));
      } finally {
        await dropDatabase(target);
      }
      expect(await readdir(join(folder, 'backups'))).not.toContainEqual(expect.stringContaining('fetched'));
    },
  );
});

describe.each(cases(['custom', 'sql'] as const))('a backup streamed in %s format', (format) => {
  it('is never stored on a local disk, and restores equal', async () => {
    const target = `streamed_${randomBytes(4).toString('hex')}`;
    const made = await backupToPlaces(
      context(),
      {format},
      {to: [place], recipients: [recipient], isLocal: false},
    );
    expect(made.path).toMatch(/^s3:\/\/.*\.age$/);
    // It was read during the upload as a backup on a disk is read back.
    const here = await backupToPlaces(context(), {format}, {});
    expect(made.verification).toEqual({level: 'archive', ok: true, outcome: 'passed'});
    expect(made.tables).toEqual(here.tables);
    await rm(join(folder, 'backups/database'), {recursive: true});
    expect((await readdir(join(folder, 'backups'))).filter((name) => !name.startsWith('.'))).toEqual([]);
    const source = {from: place, identityFile: 'key.txt'};
    const {results} = await verifyBackups(context(), source, {level: 'archive', scratch: {kind: 'same'}});
    expect(results).toMatchObject([{id: made.id, ok: true, findings: []}]);
    try {
      const restored = await restoreFrom(context(), source, {
        isLatest: true,
        targetDb: target,
        createDb: true,
      });
      expect(restored.tables.filter(({rows}) => rows > 0).length).toBeGreaterThan(5);
    } finally {
      await dropDatabase(target);
    }
  });
});

it('streamed is compared with the previous one in the bucket, and reports missing rows', async () => {
  const flags = {to: [place], isLocal: false};
  const first = await backupToPlaces(context({}, '2026-11-22T03:00:00Z'), {}, flags);
  expect(first.shrink).toEqual([]);
  // The metadata of the first is changed to contain more rows than exist.
  const [Key = ''] = (await keysIn(bucket)).filter((name) => name.endsWith('.metadata.json'));
  const {Body} = await storeClient().send(new GetObjectCommand({Bucket: bucket, Key}));
  const text = (await Body?.transformToString()) ?? '';
  const more = text.replace(/("name": ?"orders",\s*"rows": ?)\d+/, '$15000000');
  expect(more).not.toBe(text);
  await storeClient().send(new PutObjectCommand({Bucket: bucket, Key, Body: more}));
  const second = await backupToPlaces(context({}, '2026-11-22T04:00:00Z'), {}, flags);
  expect(second.shrink).toMatchObject([{table: 'public.orders', rowsBefore: 5_000_000}]);
  const accepted = await backupToPlaces(context({}, '2026-11-22T05:00:00Z'), {acceptShrink: true}, flags);
  expect(accepted.shrink).toEqual([]);
});

describe('a streamed backup leaves nothing in the bucket', () => {
  async function streamWith(scripts: Parameters<typeof replaceTools>[2], request: BackupRequest = {}) {
    const pgBin = await replaceTools(folder, inject('serverBin'), scripts);
    const settings = {databaseUrl: urlOf(database.connection), pgBin};
    const failing = testContext(folder, {settings, env: storeEnvironment()});
    const failure: unknown = await backupToPlaces(failing, request, {to: [place], isLocal: false}).catch(
      (error: unknown) => error,
    );
    expect(await keysIn(bucket)).toEqual([]);
    expect(await uploadsIn(bucket)).toEqual([]);
    return failure;
  }
  const cutOff = '"$real" "$@" | head -c 30000';

  it('when a requested table does not exist', async () => {
    expect(await streamWith({}, {excludeTables: ['no_such_table_at_all']})).toBeInstanceOf(AppError);
  });

  const breaks = [
    ['in the middle of an archive', {}, cutOff],
    ['in the middle of SQL', {format: 'sql'}, cutOff],
    ['long after it began', {format: 'sql', compress: false}, `yes -- '-- line' | head -c 10000000`],
  ] as const;
  it.each(cases(breaks, 2))('when pg_dump fails %s', async (_when, request, dump) => {
    const script = `${dump}; echo 'pg_dump: error: broke off' >&2; exit 1`;
    const failure = await streamWith({pg_dump: script}, request);
    expect(failure).toMatchObject({code: 'PG_DUMP_FAILED'});
    expect((failure as AppError).message).toContain('broke off');
  });

  it.each([
    ['custom', 'PG_DUMP_FAILED'],
    ['sql', 'VERIFY_FAILED'],
  ] as const)('when pg_dump stops without an error (%s)', async (format, code) => {
    const request = {format, compressMethod: 'gzip'} as const;
    expect(await streamWith({pg_dump: cutOff}, request)).toMatchObject({code});
  });

  it('when the archive that pg_dump compressed itself cannot be read', async () => {
    const request = {compressLevel: 1};
    expect(await streamWith({pg_dump: cutOff}, request)).toMatchObject({
      code: 'VERIFY_FAILED',
    });
  });

  it('when pg_restore reads different rows than pg_dump wrote', async () => {
    const failure = await streamWith({pg_restore: losingReader}, {compressMethod: 'gzip'});
    expect(failure).toMatchObject({code: 'VERIFY_FAILED'});
    expect((failure as AppError).message).toContain('differs from the output of pg_dump');
  });

  it('when pg_restore ends before it has read all of it', async () => {
    const early = `head -c 100 >/dev/null; echo 'pg_restore: error: out of sorts' >&2; exit 1`;
    const failure = await streamWith({pg_restore: early});
    expect(failure).toMatchObject({code: 'VERIFY_FAILED'});
    expect((failure as AppError).message).toContain('out of sorts');
  });
});

it.each([
  ['that a store gives back otherwise than it got is none', 1, 'CHECKSUM_MISMATCH'],
  ['whose first chunk the key at hand does not open is none', 2, 'DECRYPT_FAILED'],
] as const)('%s', async (_what, spoilt, code) => {
  for (const isLocal of [true, false]) {
    let answers = 0;
    const watched = await watchRequests(store.endpoint, ({method, url, stage}) => {
      const isDump = method === 'GET' && stage === 'answered' && url.includes('.dump.age');
      return isDump && ++answers === spoilt ? 'spoil' : undefined;
    });
    try {
      const settings = {databaseUrl: urlOf(database.connection)};
      const env = {...storeEnvironment(), AWS_ENDPOINT_URL_S3: watched.endpoint};
      const flags = {to: [place], recipients: [recipient], identityFile: 'key.txt', isLocal};
      await expect(backupToPlaces(testContext(folder, {settings, env}), {}, flags)).rejects.toMatchObject({
        code,
        exitCode: 4,
      });
      expect(await keysIn(bucket)).toEqual([]);
    } finally {
      await watched.close();
    }
  }
});

it('is restored by the age tool and pg_restore alone, and a dump encrypted by age by this program', async () => {
  const flags = {to: [place], recipients: [recipient], isLocalEncrypted: false};
  const made = await backupToPlaces(context(), {}, flags);
  const key = (await keysIn(bucket)).find((name) => name.endsWith('.dump.age')) ?? '';
  const {Body} = await storeClient().send(new GetObjectCommand({Bucket: bucket, Key: key}));
  const sealed = Buffer.from((await Body?.transformToByteArray()) ?? []);
  await writeFile(join(folder, 'x.dump.age'), sealed);
  const script = 'set -o pipefail; age -d -i key.txt x.dump.age | pg_restore -f -';
  const sql = execFileSync('bash', ['-c', script], {cwd: folder, maxBuffer: 2 ** 28, encoding: 'utf8'});
  expect(sql).toContain('CREATE TABLE public.orders');

  execFileSync('age', ['-r', recipient, '-o', join(folder, 'theirs.dump.age'), made.path ?? '']);
  const target = `theirs_${randomBytes(4).toString('hex')}`;
  try {
    const request = {backupFile: 'theirs.dump.age', targetDb: target, createDb: true};
    const restored = await restoreFrom(context(), {identityFile: 'key.txt'}, request);
    expect(restored.tables.length).toBe(made.tables.length);
    // Truncated: nothing of it may reach a database.
    await writeFile(join(folder, 'cut.dump.age'), sealed.subarray(0, sealed.length - 40));
    const cut = {backupFile: 'cut.dump.age', targetDb: `${target}_cut`, createDb: true};
    await expect(restoreFrom(context(), {identityFile: 'key.txt'}, cut)).rejects.toMatchObject({
      code: 'DECRYPT_FAILED',
    });
  } finally {
    await dropDatabase(target);
  }
});

it('copies to every location, even after one failed, and says which have it', async () => {
  const places = [`s3://no-such-bucket-${randomBytes(4).toString('hex')}/x`, place, 'nas'];
  const error = (await backupToPlaces(context(), {}, {to: places, recipients: [recipient]}).catch(
    (thrown: unknown) => thrown,
  )) as AppError;
  expect(error).toMatchObject({code: 'STORAGE_BUCKET_NOT_FOUND', exitCode: 3});
  expect(error.message).toContain(`itself is complete in ${join(folder, 'backups/database')}.`);
  expect(error.message).toContain(
    `There is no copy in ${places[0] ?? ''}; the copy in ${place} and nas is complete.`,
  );
  const {backups} = await listBackups(context(), {});
  for (const from of [place, join(folder, 'nas')])
    expect((await listBackups(context(), {from})).backups).toMatchObject([
      {id: backups[0]?.id, encrypted: true},
    ]);
  // The same ciphertext in every location, because it is encrypted once.
  const [here, there] = await Promise.all(
    ['backups/database', 'nas'].map((below) => readdir(join(folder, below))),
  );
  expect(there).toEqual(here?.filter((name) => !name.startsWith('.')));
  const later = await copyBackups(context(), {to: [place, 'nas']});
  expect(later.copies.map(({outcome}) => outcome)).toEqual(['present', 'present']);
});

it("does not count another machine's backup of the same name in a folder as its copy", async () => {
  await writeBackup('2026-11-22T03:00:00.000Z', Buffer.from('one'), 'one.example', 'one');
  await writeBackup('2026-11-22T03:00:00.000Z', Buffer.from('two'), 'two.example', 'two');
  await copyBackups(context(), {from: 'one', to: ['nas']});
  await expect(copyBackups(context(), {from: 'two', to: ['nas']})).rejects.toMatchObject({
    code: 'STORAGE_CONFLICT',
  });
});

/** A backup that only copies read: its bytes are random. */
async function writeBackup(
  at: string,
  bytes: Buffer,
  host = 'db.example',
  below = 'backups/database',
): Promise<string> {
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  const record = sampleRecord(at, {size: bytes.length, sha256, label: null});
  const named = {...record, source: {...record.source, systemIdentifier: null, host}};
  await mkdir(join(folder, below), {recursive: true});
  await writeFile(join(folder, below, record.backupPath), bytes);
  await writeFile(join(folder, below, `${record.id}.metadata.json`), formatBackupRecord(named));
  return record.id;
}

it('keeps two machines apart in one bucket, though they made backups of one name in one second', async () => {
  const id = await writeBackup('2026-11-22T03:00:00.000Z', Buffer.from('one'), 'one.example', 'one');
  await writeBackup('2026-11-22T03:00:00.000Z', Buffer.from('two'), 'two.example', 'two');
  for (const from of ['one', 'two', 'one']) await copyBackups(context(), {from, to: [place]});
  const {backups} = await listBackups(context(), {from: place});
  expect(backups.map((backup) => backup.id)).toEqual([id, id]);
  await expect(
    verifyBackups(context(), {from: place}, {...isRestoring, backupFile: id}),
  ).rejects.toMatchObject({
    code: 'USAGE',
  });
  const {results} = await verifyBackups(context(), {from: place}, {...isRestoring, isAll: true});
  expect(results.map(({ok}) => ok)).toEqual([true, true]);
  const proven = await listBackups(context(), {from: place});
  expect(proven.backups.map(({verification}) => verification?.level)).toEqual(['checksum', 'checksum']);
});

it('finds changes in the bucket, records them, and restores nothing of it', async () => {
  const id = await writeBackup('2026-11-22T03:00:00.000Z', Buffer.from('what was written'));
  await copyBackups(context(), {to: [place]});
  const key = (await keysIn(bucket)).find((name) => name.endsWith('.dump')) ?? '';
  await storeClient().send(new PutObjectCommand({Bucket: bucket, Key: key, Body: 'what was wrotten'}));
  const latest = {from: place};
  await expect(
    restoreFrom(context(), latest, {backupFile: id, targetDb: 'never', createDb: true}),
  ).rejects.toMatchObject({code: 'CHECKSUM_MISMATCH'});
  const {results} = await verifyBackups(context(), latest, {...isRestoring, backupFile: id});
  expect(results).toMatchObject([{ok: false, outcome: 'failed'}]);
  const {backups} = await listBackups(context(), latest);
  expect(backups[0]?.verification?.ok).toBe(false);
});

it('is copied from the bucket into a folder unchanged, or decrypted on request', async () => {
  const id = await writeBackup('2026-11-22T03:00:00.000Z', randomBytes(200_000));
  await copyBackups(context(), {to: [place], recipients: [recipient], identityFile: 'key.txt'});
  await copyBackups(context(), {from: place, to: ['sealed']});
  expect((await readdir(join(folder, 'sealed'))).sort()).toEqual([`${id}.dump.age`, `${id}.metadata.json`]);
  const {results} = await verifyBackups(context(), {from: 'sealed'}, {...isRestoring, backupFile: id});
  expect(results).toMatchObject([{id, ok: true}]);
  const plain = {from: place, to: ['back'], isOpening: true};
  await expect(copyBackups(context(), plain)).rejects.toMatchObject({code: 'KEY_NEEDED'});
  expect(await readdir(join(folder, 'back')).catch(() => [])).toEqual([]);
  await copyBackups(context(), {...plain, identityFile: 'key.txt'});
  expect((await readdir(join(folder, 'back'))).sort()).toEqual([`${id}.dump`, `${id}.metadata.json`]);
  execFileSync('diff', ['-r', join(folder, 'back'), join(folder, 'backups/database')]);
});

const itInLongForm = isLongForm ? it : () => {};
itInLongForm('lists more than a thousand backups of a bucket, newest first', async () => {
  const client = storeClient();
  const start = Date.parse('2026-01-01T00:00:00.000Z');
  const pending = Array.from({length: 1005}, (_, index) => new Date(start + index * 3_600_000).toISOString());
  const [newest] = pending.slice(-1);
  const put = async (): Promise<void> => {
    for (let at = pending.pop(); at !== undefined; at = pending.pop()) {
      const record = sampleRecord(at);
      const Key = `shop one/${record.id}.metadata.json`;
      await client.send(new PutObjectCommand({Bucket: bucket, Key, Body: formatBackupRecord(record)}));
    }
  };
  await Promise.all(Array.from({length: 16}, put));
  const {backups, problems} = await listBackups(context(), {from: place});
  expect(problems).toEqual([]);
  expect(backups).toHaveLength(1005);
  expect(backups[0]?.createdAt).toBe(newest);
});

it('asks only for changes when it lists many backups again', async () => {
  const client = storeClient();
  const records = Array.from({length: 40}, (_, day) =>
    sampleRecord(new Date(Date.UTC(2026, 0, 1 + day)).toISOString()),
  );
  const put = (record: BackupRecord) => {
    const Key = `shop one/${record.id}.metadata.json`;
    return client.send(new PutObjectCommand({Bucket: bucket, Key, Body: formatBackupRecord(record)}));
  };
  await Promise.all(records.map(put));
  let asked: string[] = [];
  const watched = await watchRequests(store.endpoint, ({url, stage}) => {
    if (stage === 'begun' && !url.includes('list-type')) asked.push(url.replace(/.*one\/|\?.*/g, ''));
    return undefined;
  });
  const env = {...storeEnvironment(), AWS_ENDPOINT_URL_S3: watched.endpoint};
  const list = async () => {
    asked = [];
    const {backups} = await listBackups(testContext(folder, {env}), {from: place});
    return {labels: backups.map(({label}) => label), asked};
  };
  expect((await list()).asked).toHaveLength(40);
  expect(await list()).toEqual({labels: Array.from({length: 40}, () => null), asked: []});
  const [first] = records;
  await put({...(first as BackupRecord), label: 'proven'});
  const changed = await list();
  expect(changed.asked).toEqual([`${first?.id}.metadata.json`]);
  expect(changed.labels.at(-1)).toBe('proven');
  expect(await list()).toEqual({labels: changed.labels, asked: []});
  await watched.close();
});

it('prunes by the policy, and says how long locked objects are kept', async () => {
  const locking = await createBucket({isLocking: true});
  const config: Config = {storage: {lockMode: 'COMPLIANCE', lockDays: 3}};
  for (const day of ['01', '02', '03', '04'])
    await writeBackup(`2026-11-${day}T03:00:00.000Z`, Buffer.from(day));
  await copyBackups(context(), {to: [place], isAll: true});
  await copyBackups(context(config), {to: [`s3://${locking}`], isAll: true});
  const policy = {keepLast: 1, keepMin: 1};
  // Without its metadata it is not a backup: a kill in between leaves no unreadable backup.
  const deleted: string[] = [];
  const watched = await watchRequests(store.endpoint, ({method, url, stage}) => {
    if (method === 'DELETE' && stage === 'begun')
      deleted.push(url.includes('metadata') ? 'metadata' : 'dump');
    return undefined;
  });
  const env = {...storeEnvironment(), AWS_ENDPOINT_URL_S3: watched.endpoint};
  const request = {from: place, policy, dryRun: false, setAside: false};
  const pruned = await prune(testContext(folder, {env}), request);
  await watched.close();
  expect(deleted).toEqual(['metadata', 'dump', 'metadata', 'dump', 'metadata', 'dump']);
  expect(pruned.removed.map(({id}) => id.slice(0, 15))).toEqual([
    'shop-2026-11-03',
    'shop-2026-11-02',
    'shop-2026-11-01',
  ]);
  expect(await keysIn(bucket)).toHaveLength(2);
  const locked = await prune(context(config), {
    from: `s3://${locking}`,
    policy,
    dryRun: false,
    setAside: false,
  });
  expect(locked.removed).toEqual([]);
  expect(locked.kept.filter(({reason}) => reason.startsWith('locked until'))).toHaveLength(3);
  expect(await keysIn(locking)).toHaveLength(8);
});

it('does not prune a backup that became the newest one while the question was open', async () => {
  for (const day of ['01', '02']) await writeBackup(`2026-11-${day}T03:00:00.000Z`, Buffer.from(day));
  await copyBackups(context(), {to: [place], isAll: true});
  const isNewest = (key: string): boolean => /shop-2026-11-02.*metadata/.test(key);
  const confirm = async () => {
    const Key = (await keysIn(bucket)).find(isNewest) ?? '';
    await storeClient().send(new DeleteObjectCommand({Bucket: bucket, Key}));
  };
  const policy = {keepLast: 1, keepMin: 1};
  const {removed} = await prune(
    {...context(), confirm},
    {from: place, policy, dryRun: false, setAside: false},
  );
  expect(removed).toEqual([]);
  expect((await listBackups(context(), {from: place})).backups).toHaveLength(1);
});

it('finds and removes files without metadata and multipart uploads that are a day old, but not locked ones', async () => {
  await writeBackup('2026-11-22T03:00:00.000Z', Buffer.from('kept'));
  await copyBackups(context(), {to: [place]});
  const stray = {Bucket: bucket, Key: 'shop one/data/shop-2026-11-20T03-00-00.0123456789ab/x.dump'};
  await storeClient().send(new PutObjectCommand({...stray, Body: 'half'}));
  const parts = {Bucket: bucket, Key: 'shop one/data/shop-2026-11-21T03-00-00.0123456789ab/x.dump'};
  await storeClient().send(new CreateMultipartUploadCommand(parts));
  // An order backup that another attempt uploaded completely: only the parts of the first attempt are removed.
  const orders = {
    Bucket: bucket,
    Key: 'shop one/order-cleanup/orders-backup-2026-11-21T03-00-00.0123456789ab.json',
  };
  await storeClient().send(new CreateMultipartUploadCommand(orders));
  await storeClient().send(new PutObjectCommand({...orders, Body: 'whole'}));
  const policy = {keepLast: 5};
  const early = await prune(context(), {from: place, policy, dryRun: false, setAside: false});
  expect(early.partials).toEqual([]);
  const later = new Date(Date.now() + 25 * 3_600_000).toISOString();
  const late = await prune(context({}, later), {from: place, policy, dryRun: false, setAside: false});
  expect(late.partials).toHaveLength(3);
  expect(late.partials).toContain(`s3://${orders.Bucket}/${orders.Key}`);
  expect(await uploadsIn(bucket)).toEqual([]);
  await expect(storeClient().send(new HeadObjectCommand(stray))).rejects.toMatchObject({name: 'NotFound'});
  expect(await keysIn(bucket)).toHaveLength(3);
  expect(await keysIn(bucket)).toContain(orders.Key);
});

it('keeps the locked rest of an interrupted copy, and says until when', async () => {
  const locking = await createBucket({isLocking: true});
  const ObjectLockRetainUntilDate = new Date(Date.now() + 3 * 86_400_000);
  const lock = {ObjectLockMode: 'COMPLIANCE', ObjectLockRetainUntilDate, ChecksumAlgorithm: 'CRC32'} as const;
  const Key = 'data/shop-2026-11-20T03-00-00.0123456789ab/x.dump';
  await storeClient().send(new PutObjectCommand({Bucket: locking, Key, Body: 'half', ...lock}));
  const later = context({}, new Date(Date.now() + 25 * 3_600_000).toISOString());
  const policy = {keepLast: 5};
  const pruned = await prune(later, {from: `s3://${locking}`, policy, dryRun: false, setAside: false});
  expect(pruned.partials).toEqual([]);
  const until = ObjectLockRetainUntilDate.toISOString().slice(0, 16);
  expect(later.warnings.join()).toContain(`locked until ${until}`);
  expect(await keysIn(locking)).toEqual([Key]);
});
