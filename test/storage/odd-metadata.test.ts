/** Unreadable metadata in a location: it is reported, and no file that may belong to it is removed. */
import {GetObjectCommand, PutObjectCommand} from '@aws-sdk/client-s3';
import type {ChildProcess} from 'node:child_process';
import {rm, truncate, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {afterAll, beforeAll, beforeEach, expect, it} from 'vitest';
import {backupToPlaces} from '../../src/lib/services/backup/backup.js';
import {copyBackups} from '../../src/lib/services/copy/copy-backups.js';
import {listBackups} from '../../src/lib/services/status/list-backups.js';
import {recoverLeftovers} from '../../src/lib/services/recover/recover.js';
import {openPlace} from '../../src/lib/storage/open-place.js';
import {readPlace} from '../../src/lib/storage/place-catalogue.js';
import {createBucket, keysIn, store, storeClient, storeEnvironment} from '../support/bucket.js';
import {administrate} from '../support/gateway.js';
import {runCli, tempFolder} from '../support/run-cli.js';
import {createTempDatabase, type TempDatabase} from '../support/temp-database.js';
import {testContext} from '../support/test-context.js';
import {watchRequests} from '../support/watched-requests.js';

let database: TempDatabase;
let folder: string;
let bucket: string;
let to: string;

beforeAll(async () => {
  database = await createTempDatabase('template0');
});
afterAll(() => database.drop());
beforeEach(async () => {
  folder = await tempFolder();
  bucket = await createBucket();
  to = `s3://${bucket}/shop`;
  return () => rm(folder, {recursive: true});
});

function context(now?: string) {
  const clock = now === undefined ? {} : {now};
  return testContext(folder, {settings: {databaseUrl: database.url}, env: storeEnvironment(), ...clock});
}

/** Replaces the only metadata by garbage. @returns a function that restores it */
async function spoilMetadata(): Promise<() => Promise<void>> {
  const Key = (await keysIn(bucket)).find((key) => key.endsWith('.metadata.json')) ?? '';
  const {Body} = await storeClient().send(new GetObjectCommand({Bucket: bucket, Key}));
  const text = (await Body?.transformToString()) ?? '';
  const put = async (content: string) => {
    await storeClient().send(new PutObjectCommand({Bucket: bucket, Key, Body: content}));
  };
  await put('{"id": "sho');
  return () => put(text);
}

it('that is too long is a problem, not an empty list', async () => {
  const path = join(folder, 'shop-2026-11-22T03-00-00.metadata.json');
  await writeFile(path, '{}');
  await truncate(path, 2 ** 30);
  const {backups, problems} = await readPlace(await openPlace(context().settings, folder));
  expect(backups).toEqual([]);
  expect(problems).toEqual([{path, reason: 'it has 1073741824 bytes'}]);
});

it('of a killed run keeps its files from recover', async () => {
  let child: ChildProcess | undefined;
  const watched = await watchRequests(store.endpoint, ({stage, method, url}) => {
    if (stage !== 'answered' || method !== 'PUT' || !url.includes('metadata.json')) return undefined;
    child?.kill('SIGKILL');
    return 'break';
  });
  const env = {...storeEnvironment(), AWS_ENDPOINT_URL_S3: watched.endpoint, DIRECT_URL: database.url};
  const onStart = (started: ChildProcess) => (child = started);
  const run = await runCli(['backup', '--no-local', '--to', to], {cwd: folder, env, onStart});
  await watched.close();
  expect(run.signal, run.stderr).toBe('SIGKILL');
  const keys = await keysIn(bucket);
  expect(keys).toHaveLength(2);
  const putBack = await spoilMetadata();
  const {recovered, failed} = await recoverLeftovers(context(), {dryRun: false});
  expect(recovered).toEqual([]);
  expect(failed).toMatchObject([{kind: 'upload', code: 'METADATA_INVALID'}]);
  expect(await keysIn(bucket)).toEqual(keys);
  await putBack();
  expect((await recoverLeftovers(context(), {dryRun: false})).failed).toEqual([]);
  expect((await listBackups(context(), {from: to})).backups).toHaveLength(1);
  expect(await keysIn(bucket)).toEqual(keys);
});

it('with the name of a copy prevents the copy, and says what to do', async () => {
  await backupToPlaces(context(), {}, {to: [to]});
  await spoilMetadata();
  const keys = await keysIn(bucket);
  await expect(copyBackups(context(), {to: [to]})).rejects.toMatchObject({
    code: 'METADATA_INVALID',
    hint: expect.stringContaining('move it away') as string,
  });
  expect(await keysIn(bucket)).toEqual(keys);
});

it('with the name of one copy does not prevent the others', async () => {
  for (const at of ['03', '04', '05'])
    await backupToPlaces(context(`2026-11-22T${at}:00:00Z`), {schemaOnly: true}, {});
  await copyBackups(context(), {to: [to], backupFiles: [`${database.name}-2026-11-22T04-00-00`]});
  await spoilMetadata();
  await expect(copyBackups(context(), {to: [to], isAll: true})).rejects.toMatchObject({
    code: 'METADATA_INVALID',
    message: expect.stringContaining('1 of 3 copies failed; the others are complete.') as string,
  });
  const {backups, problems} = await listBackups(context(), {from: to});
  expect(backups.map(({createdAt}) => createdAt.slice(11, 13))).toEqual(['05', '03']);
  expect(problems).toHaveLength(1);
});

it('of the same backup that another run wrote meanwhile counts as success', async () => {
  await backupToPlaces(context(), {}, {});
  let other: Awaited<ReturnType<typeof copyBackups>> | undefined;
  const watched = await watchRequests(store.endpoint, async ({stage, method, url}) => {
    if (stage === 'begun' && method === 'PUT' && url.includes('metadata.json'))
      other ??= await copyBackups(context(), {to: [to]});
    return undefined;
  });
  const env = {...storeEnvironment(), AWS_ENDPOINT_URL_S3: watched.endpoint};
  const slow = testContext(folder, {settings: {databaseUrl: database.url}, env});
  const {copies} = await copyBackups(slow, {to: [to]});
  await watched.close();
  expect(other?.copies).toMatchObject([{outcome: 'copied'}]);
  expect(copies).toMatchObject([{outcome: 'present'}]);
  expect(await keysIn(bucket)).toHaveLength(2);
  expect((await recoverLeftovers(context(), {dryRun: true})).recovered).toEqual([]);
});

it('and everything else that was removed with its bucket is nothing to recover', async () => {
  const watched = await watchRequests(store.endpoint, ({stage, method, url}) => {
    if (stage === 'answered' && method === 'PUT' && url.includes('/data/'))
      administrate(['bucket', 'rm', `--bucket=${bucket}`, '--purge-objects']);
    return undefined;
  });
  const env = {...storeEnvironment(), AWS_ENDPOINT_URL_S3: watched.endpoint, DIRECT_URL: database.url};
  const run = await runCli(['backup', '--no-local', '--to', to], {cwd: folder, env});
  await watched.close();
  expect(run.stderr).toContain('STORAGE_BUCKET_NOT_FOUND');
  const recovering = context();
  const {failed, recovered} = await recoverLeftovers(recovering, {dryRun: false});
  expect([failed, recovered.length]).toEqual([[], 1]);
  expect(recovering.warnings).toEqual([expect.stringContaining('the bucket does not exist') as string]);
  expect((await recoverLeftovers(context(), {dryRun: true})).recovered).toEqual([]);
});
