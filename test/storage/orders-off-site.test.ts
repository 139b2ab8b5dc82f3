/** Order backups encrypted and off this machine: the rows are restored byte for byte, and damaged ones restore none. */
import {PutObjectCommand} from '@aws-sdk/client-s3';
import {readdir, readFile, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {beforeEach, expect, it} from 'vitest';
import type {AppError} from '../../src/lib/base/errors.js';
import {cleanToPlaces} from '../../src/lib/services/orders/clean/clean.js';
import {copyOrders} from '../../src/lib/services/copy/copy-orders.js';
import {listBackups} from '../../src/lib/services/status/list-backups.js';
import {restoreOrdersFrom} from '../../src/lib/services/orders/restore/restore.js';
import {safeCleanup} from '../../src/lib/services/orders/workflow/safe-cleanup.js';
import {makeKey} from '../support/age.js';
import {createBucket, keysIn, storeClient, storeEnvironment} from '../support/bucket.js';
import {cleanRequest} from '../support/clean-request.js';
import {tempFolder} from '../support/run-cli.js';
import {createTempDatabase, type TempDatabase} from '../support/temp-database.js';
import {testContext} from '../support/test-context.js';
import {contentOf} from '../support/write-order-backup.js';

let shop: TempDatabase;
let folder: string;
let bucket: string;
let place: string;
let recipient: string;
let before: Record<string, string[]>;

beforeEach(async () => {
  shop = await createTempDatabase();
  before = await contentOf(shop);
  folder = await tempFolder();
  bucket = await createBucket();
  place = `s3://${bucket}/all`;
  recipient = makeKey(join(folder, 'key.txt'));
  return async () => {
    await shop.drop();
    await rm(folder, {recursive: true});
  };
});

function context(places: string[] = [place]) {
  return testContext(folder, {
    settings: {
      config: {storage: {places}, encryption: {recipients: [recipient]}},
      databaseUrl: shop.url,
    },
    env: storeEnvironment(),
  });
}

const key = {identityFile: 'key.txt'};
const command = (id: string): string[] => ['destino-db', id];
const all = {backupFile: 'latest', execute: true, failOnConflicts: false, onlyOrders: []};
const namesHere = (): Promise<string[]> => readdir(join(folder, 'backups/order-cleanup'));

it('are stored encrypted here and in the bucket, and restore every byte from either', async () => {
  const done = await cleanToPlaces(context(), cleanRequest(), key, command);
  expect(await contentOf(shop)).not.toEqual(before);
  expect(done.copies).toMatchObject([{to: place, encrypted: true, outcome: 'copied'}]);
  expect(done.undo).toMatch(
    /^destino-db orders:restore --backup-file .*\.json\.age --identity KEY\.txt --execute$/,
  );
  expect(await namesHere()).toEqual([expect.stringMatching(/^orders-backup-[-T\d]+\.json\.age$/)]);
  const local = await readFile(done.backupPath ?? '');
  expect(local.toString('latin1', 0, 21)).toBe('age-encryption.org/v1');
  expect(await keysIn(bucket)).toEqual([
    expect.stringMatching(/^all\/order-cleanup\/orders-backup-.*\.json\.age$/),
  ]);
  const [here] = (await listBackups(context(), {})).orderBackups;
  const [there] = (await listBackups(context(), {from: place})).orderBackups;
  expect(there).toMatchObject({id: here?.id, encrypted: true, size: local.length});

  await expect(restoreOrdersFrom(context(), {from: place}, all)).rejects.toMatchObject({code: 'KEY_NEEDED'});
  const restored = await restoreOrdersFrom(context(), {from: place, ...key}, all);
  expect(restored.backupPath).toBe(there?.path);
  expect(await contentOf(shop)).toEqual(before);

  // From the local file, by each of its names.
  await cleanToPlaces(context([]), cleanRequest(), {...key, isLocal: true}, command);
  const newest = (await listBackups(context(), {})).orderBackups[0]?.id ?? '';
  for (const backupFile of ['latest', newest, `${newest}.json.age`])
    expect((await restoreOrdersFrom(context(), key, {...all, backupFile, execute: false})).orders).toEqual(
      restored.orders,
    );
  await restoreOrdersFrom(context(), key, all);
  expect(await contentOf(shop)).toEqual(before);
  expect((await readdir(join(folder, 'backups'))).filter((name) => name.endsWith('.partial'))).toEqual([]);
});

it('damaged anywhere restore no row', async () => {
  const {backupPath, copies} = await cleanToPlaces(context(), cleanRequest(), {}, command);
  const cleaned = await contentOf(shop);
  const path = backupPath ?? '';
  const whole = await readFile(path);
  const flipped = Buffer.from(whole);
  flipped.writeUInt8(flipped.readUInt8(whole.length - 20) ^ 1, whole.length - 20);
  const Key = (copies[0]?.metadataPath ?? '').slice(`s3://${bucket}/`.length);
  for (const broken of [flipped, whole.subarray(0, -1), whole.subarray(0, 70_000)]) {
    await writeFile(path, broken);
    await expect(restoreOrdersFrom(context(), key, all)).rejects.toMatchObject({code: 'DECRYPT_FAILED'});
    await storeClient().send(new PutObjectCommand({Bucket: bucket, Key, Body: broken}));
    const work = restoreOrdersFrom(context(), {from: place, ...key}, all);
    await expect(work).rejects.toMatchObject({code: 'DECRYPT_FAILED'});
  }
  expect(await contentOf(shop)).toEqual(cleaned);
});

it('whose copy fails are intact here and in the other locations, and the error says that the orders are deleted', async () => {
  const gone = 's3://no-such-bucket-anywhere/x';
  const work = cleanToPlaces(context([gone, place]), cleanRequest(), {}, command);
  const error = (await work.catch((thrown: unknown) => thrown)) as AppError;
  expect(error).toMatchObject({code: 'STORAGE_BUCKET_NOT_FOUND', exitCode: 3});
  expect(error.message).toMatch(
    /The 1\d\d orders were deleted before that\. Their order backup is complete: /,
  );
  expect(error.message).toContain(`There is no copy in ${gone}; the copy in ${place} is complete.`);
  expect(error.hint).toContain('copy --orders');
  const [name = ''] = await namesHere();
  const again = await copyOrders(context(), {to: [place, 'nas'], backupFiles: [name]});
  expect(again.copies.map(({outcome}) => outcome)).toEqual(['present', 'copied']);
  await restoreOrdersFrom(context(), {from: 'nas', ...key}, all);
  expect(await contentOf(shop)).toEqual(before);
  const plain = await copyOrders(context(), {from: place, to: ['plain'], isOpening: true, ...key});
  expect(plain.copies).toMatchObject([{encrypted: false}]);
  const preview = await restoreOrdersFrom(context(), {from: 'plain'}, {...all, execute: false});
  expect(preview.conflictCount).toBeGreaterThan(0);
});

it('that the present identity could not open are not made, and nothing is deleted', async () => {
  makeKey(join(folder, 'other.txt'));
  const work = cleanToPlaces(context(), cleanRequest(), {identityFile: 'other.txt'}, command);
  await expect(work).rejects.toMatchObject({code: 'KEY_NEEDED'});
  expect(await contentOf(shop)).toEqual(before);
});

it('of the whole workflow are copied off-site with its full backup, and the commands that undo it name the key', async () => {
  const done = await safeCleanup(context(), {
    clean: cleanRequest(),
    fullBackup: {},
    command: (id) => ['destino-db', id],
    pause: undefined,
  });
  expect(done.undo).toEqual([
    expect.stringMatching(/restore --backup-file \S+\.dump\.age --identity KEY\.txt --drop-existing$/),
    expect.stringMatching(/orders:restore --backup-file \S+\.json\.age --identity KEY\.txt --execute$/),
  ]);
  const there = await listBackups(context(), {from: place});
  expect(there.backups).toMatchObject([{id: done.backup?.id, encrypted: true}]);
  expect(there.orderBackups).toHaveLength(1);
});
