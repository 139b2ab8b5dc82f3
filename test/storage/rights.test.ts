/** The policies of docs/s3-and-encryption.md, given to another user unchanged: enough for what the page says, and for nothing more. */
import {PutBucketPolicyCommand, PutObjectCommand} from '@aws-sdk/client-s3';
import type {ChildProcess} from 'node:child_process';
import {randomBytes} from 'node:crypto';
import {readFile, rm} from 'node:fs/promises';
import {afterAll, beforeAll, describe, expect, inject, it} from 'vitest';
import {AppError} from '../../src/lib/base/errors.js';
import {backupToPlaces} from '../../src/lib/services/backup/backup.js';
import {copyBackups} from '../../src/lib/services/copy/copy-backups.js';
import {listBackups} from '../../src/lib/services/status/list-backups.js';
import {prune} from '../../src/lib/services/prune/prune.js';
import {recoverLeftovers} from '../../src/lib/services/recover/recover.js';
import {restoreFrom} from '../../src/lib/services/restore/restore.js';
import {verifyBackups} from '../../src/lib/services/verify/verify.js';
import type {Config} from '../../src/lib/settings/config-schema.js';
import {createBucket, keysIn, store, storeClient, storeEnvironment, uploadsIn} from '../support/bucket.js';
import {blocksOf} from '../support/doc-page.js';
import {administrate} from '../support/gateway.js';
import {cases} from '../support/long-form.js';
import {replaceTools} from '../support/replaced-tools.js';
import {runCli, tempFolder} from '../support/run-cli.js';
import {createTempDatabase, dropDatabase, type TempDatabase} from '../support/temp-database.js';
import {testContext} from '../support/test-context.js';
import {watchRequests} from '../support/watched-requests.js';

interface Statement {
  readonly Effect: string;
  readonly Action: string | readonly string[];
  readonly Resource: string;
  readonly Condition?: unknown;
}

const page = await readFile(new URL('../../docs/s3-and-encryption.md', import.meta.url), 'utf8');
/** A user of the store without any objects. */
const user = `limited-${randomBytes(4).toString('hex')}`;

let database: TempDatabase;
let folder: string;

beforeAll(async () => {
  administrate(['user', 'create', `--uid=${user}`, `--display-name=${user}`, `--access-key=${user}-key`, `--secret-key=${user}-secret`]); // prettier-ignore
  database = await createTempDatabase();
  folder = await tempFolder();
});
afterAll(async () => {
  await database.drop();
  await rm(folder, {recursive: true});
});

/** A new bucket in which the user has the rights of these policies, only below "shop". */
async function bucketWith(policies: readonly string[], isLocking = false): Promise<string> {
  const Bucket = await createBucket({isLocking});
  await storeClient().send(new PutBucketPolicyCommand({Bucket, Policy: policyOf(Bucket, policies)}));
  return Bucket;
}

/** The statements of the page, with the bucket's name and the principal, which a bucket policy needs. */
function policyOf(bucket: string, policies: readonly string[]): string {
  const Statement = policies.flatMap((name) => {
    const block = blocksOf(page).find(({lang, file}) => lang === 'json' && file === name);
    const {Statement: statements} = JSON.parse(block?.text ?? '') as {Statement: readonly Statement[]};
    return statements.map((statement) => ({
      ...statement,
      Resource: statement.Resource.replace(/^arn:aws:s3:::bucket/, `arn:aws:s3:::${bucket}`),
      Principal: {AWS: [`arn:aws:iam:::user/${user}`]},
    }));
  });
  return JSON.stringify({Version: '2012-10-17', Statement});
}

function context(config: Config = {}, as = user) {
  return testContext(folder, {
    settings: {databaseUrl: database.url, config},
    env: storeEnvironment(as),
  });
}

const scratch = {kind: 'same'} as const;
const keepLast = {policy: {keepLast: 1, keepMin: 1}, dryRun: false, setAside: false};

/** Two backups, one streamed, one by the owner of the bucket, because the store always lets users read their own objects. */
async function makeTwo(to: string): Promise<void> {
  await backupToPlaces(context({}, 'tester'), {}, {to: [to]});
  await backupToPlaces(context(), {}, {to: [to], isLocal: false});
}

/** The rest of a run that is killed when everything except the metadata is written: its files, which nothing can abort any more. */
async function leaveUnfinished(to: string): Promise<void> {
  let child: ChildProcess | undefined;
  const watched = await watchRequests(store.endpoint, ({stage, method, url}) => {
    if (stage !== 'begun' || method !== 'PUT' || !url.includes('metadata.json')) return undefined;
    child?.kill('SIGKILL');
    return 'break';
  });
  const env = {
    ...storeEnvironment(user),
    AWS_ENDPOINT_URL_S3: watched.endpoint,
    DIRECT_URL: database.url,
  };
  const onStart = (started: ChildProcess) => (child = started);
  const run = await runCli(['backup', '--no-local', '--to', to], {cwd: folder, env, onStart});
  await watched.close();
  expect(run.signal, run.stderr).toBe('SIGKILL');
}

describe('with the rights to make backups', () => {
  it('backups are made, streamed, copied, listed, proven and restored', async () => {
    const bucket = await bucketWith(['backups']);
    const to = `s3://${bucket}/shop`;
    await makeTwo(to);
    const {backups} = await listBackups(context(), {from: to});
    expect(backups).toHaveLength(2);
    const {results} = await verifyBackups(context(), {from: to}, {level: 'archive', scratch, isAll: true});
    expect(results.map(({ok}) => ok)).toEqual([true, true]);
    const targetDb = `limited_${randomBytes(4).toString('hex')}`;
    try {
      const restored = await restoreFrom(context(), {from: to}, {isLatest: true, targetDb, createDb: true});
      expect(restored.errors).toEqual([]);
    } finally {
      await dropDatabase(targetDb);
    }
    await backupToPlaces(context(), {}, {to: [to]});
    const {copies} = await copyBackups(context(), {from: to, to: [`${to}/second`], isAll: true});
    expect(copies.map(({outcome}) => outcome)).toEqual(['copied', 'copied', 'copied']);
  });

  it('an upload that fails in the middle leaves nothing', async () => {
    const bucket = await bucketWith(['backups']);
    const stop = new AbortController();
    const watched = await watchRequests(store.endpoint, ({url}) => {
      if (url.includes('partNumber=2')) stop.abort(new AppError('INTERRUPTED', 'Interrupted.'));
      return undefined;
    });
    const limited = testContext(folder, {
      settings: {
        databaseUrl: database.url,
        pgBin: await replaceTools(folder, inject('serverBin'), {pg_dump: `exec yes`}),
      },
      env: {...storeEnvironment(user), AWS_ENDPOINT_URL_S3: watched.endpoint},
      signal: stop.signal,
    });
    const flags = {to: [`s3://${bucket}/shop`], isLocal: false};
    const streamed = backupToPlaces(limited, {format: 'sql', compress: false, verify: false}, flags);
    await expect(streamed).rejects.toMatchObject({code: 'INTERRUPTED'});
    await watched.close();
    expect(limited.warnings).toEqual([]);
    expect(await uploadsIn(bucket)).toEqual([]);
    expect(await keysIn(bucket)).toEqual([]);
  });

  const buckets = [
    ['a bucket with versions', true],
    ['a bucket', false],
  ] as const;
  it.each(cases(buckets))(
    'prune and recover are denied in %s, name the missing right, and remove nothing',
    async (_what, hasVersions) => {
      const bucket = await bucketWith(['backups'], hasVersions);
      const to = `s3://${bucket}/shop`;
      await makeTwo(to);
      await leaveUnfinished(to);
      const keys = await keysIn(bucket);
      expect(keys).toHaveLength(5);
      const denied = {
        code: 'STORAGE_DENIED',
        hint: expect.stringContaining('s3:DeleteObjectVersion') as string,
      };
      await expect(prune(context(), {from: to, ...keepLast})).rejects.toMatchObject(denied);
      const {recovered, failed} = await recoverLeftovers(context(), {dryRun: false});
      expect(recovered).toEqual([]);
      expect(failed).toMatchObject([
        {
          kind: 'upload',
          code: denied.code,
          reason: expect.stringContaining('s3:DeleteObjectVersion') as string,
        },
      ]);
      expect(await keysIn(bucket)).toEqual(keys);
      // It is left for a user with that right.
      expect((await recoverLeftovers(context(), {dryRun: true})).recovered).toHaveLength(1);
      await storeClient().send(
        new PutBucketPolicyCommand({Bucket: bucket, Policy: policyOf(bucket, ['backups', 'pruning'])}),
      );
      expect((await recoverLeftovers(context(), {dryRun: false})).failed).toEqual([]);
      expect((await prune(context(), {from: to, ...keepLast})).removed).toHaveLength(1);
      expect(await keysIn(bucket)).toHaveLength(2);
      expect((await listBackups(context(), {from: to})).backups).toHaveLength(1);
    },
  );

  it('but that to write, backups are proven and restored nevertheless', async () => {
    const bucket = await bucketWith(['backups']);
    const to = `s3://${bucket}/shop`;
    const made = await backupToPlaces(context(), {schemaOnly: true}, {to: [to]});
    const backupFile = made.id ?? '';
    const Policy = policyOf(bucket, ['backups']).replace('"s3:PutObject",', '');
    await storeClient().send(new PutBucketPolicyCommand({Bucket: bucket, Policy}));
    for (const level of ['checksum', 'archive'] as const) {
      const reader = context();
      const {results} = await verifyBackups(reader, {from: to}, {level, scratch, backupFile});
      expect(results).toMatchObject([{level, ok: true}]);
      expect(reader.warnings).toEqual([expect.stringContaining('could not be recorded') as string]);
    }
    const again = backupToPlaces(context(), {schemaOnly: true}, {to: [to], isLocal: false});
    await expect(again).rejects.toMatchObject({code: 'STORAGE_DENIED'});
  });

  it('nothing is read or written outside the prefix', async () => {
    const bucket = await bucketWith(['backups', 'pruning']);
    await storeClient().send(
      new PutObjectCommand({Bucket: bucket, Key: 'other/x.metadata.json', Body: '{}'}),
    );
    for (const from of [`s3://${bucket}/other`, `s3://${bucket}`])
      await expect(listBackups(context(), {from})).rejects.toMatchObject({code: 'STORAGE_DENIED'});
    const beside = backupToPlaces(context(), {}, {to: [`s3://${bucket}/shop2`], isLocal: false});
    await expect(beside).rejects.toMatchObject({code: 'STORAGE_DENIED'});
    expect(await keysIn(bucket)).toEqual(['other/x.metadata.json']);
  });
});

describe('with object lock', () => {
  const config: Config = {storage: {lockMode: 'GOVERNANCE', lockDays: 1}};

  it('backups are locked with the rights for it, and prune says until when', async () => {
    const bucket = await bucketWith(['backups', 'pruning', 'object-lock'], true);
    const to = `s3://${bucket}/shop`;
    await backupToPlaces(context(config), {}, {to: [to]});
    await backupToPlaces(context(config), {}, {to: [to], isLocal: false});
    const {results} = await verifyBackups(
      context(config),
      {from: to},
      {level: 'checksum', scratch, isAll: true},
    );
    expect(results.map(({ok}) => ok)).toEqual([true, true]);
    const {removed, kept} = await prune(context(config), {from: to, ...keepLast});
    expect(removed).toEqual([]);
    expect(kept.map(({reason}) => reason).filter((reason) => reason.startsWith('locked until'))).toHaveLength(
      1,
    );
  });

  it('nothing is written without them', async () => {
    const bucket = await bucketWith(['backups', 'pruning'], true);
    const made = backupToPlaces(context(config), {}, {to: [`s3://${bucket}/shop`], isLocal: false});
    await expect(made).rejects.toMatchObject({code: 'STORAGE_DENIED'});
    expect(await keysIn(bucket)).toEqual([]);
  });
});
