/** restore:rows from encrypted backups or from a bucket, and encrypted undo files. */
import {GetObjectCommand, PutObjectCommand} from '@aws-sdk/client-s3';
import {readFile, readdir, rm, writeFile} from 'node:fs/promises';
import {basename, join} from 'node:path';
import {beforeEach, describe, expect, it} from 'vitest';
import {backupToPlaces} from '../../src/lib/services/backup/backup.js';
import {diffBackups} from '../../src/lib/services/rows/diff-backups.js';
import type {RestoreRowsRequest} from '../../src/lib/services/rows/request.js';
import {restoreRows, type RestoreRowsResult} from '../../src/lib/services/rows/restore-rows.js';
import {undoRows, type UndoRowsResult} from '../../src/lib/services/rows/undo-rows.js';
import type {BackupSource} from '../../src/lib/storage/fetch-backup.js';
import type {Config} from '../../src/lib/settings/config-schema.js';
import {makeKey} from '../support/age.js';
import {createBucket, keysIn, storeClient, storeEnvironment} from '../support/bucket.js';
import {cases} from '../support/long-form.js';
import {rowsRequest} from '../support/rows-request.js';
import {tempFolder} from '../support/run-cli.js';
import {createTempDatabase, type TempDatabase} from '../support/temp-database.js';
import {testContext} from '../support/test-context.js';
import {contentOf} from '../support/write-order-backup.js';

let shop: TempDatabase;
let folder: string;
let bucket: string;
let place: string;
let recipient: string;
let whole: Record<string, string[]>;

beforeEach(async () => {
  [shop, folder, bucket] = await Promise.all([createTempDatabase(), tempFolder(), createBucket()]);
  whole = await contentOf(shop);
  place = `s3://${bucket}/shop one`;
  recipient = makeKey(join(folder, 'key.txt'));
  return async () => {
    await shop.drop();
    await rm(folder, {recursive: true});
  };
});

const key = {identityFile: 'key.txt'};
const tables = ['public.orders', 'public.order_items', 'public.email_alerts'];

function context(config: Config = {}) {
  return testContext(folder, {settings: {config, databaseUrl: shop.url}, env: storeEnvironment()});
}

function run(
  source: BackupSource,
  config: Config = {},
  changes: Partial<RestoreRowsRequest> = {},
): Promise<RestoreRowsResult> {
  return restoreRows(context(config), source, rowsRequest({tables, ...changes}), (id) => ['destino-db', id]);
}

function takeBack(source: BackupSource, undo = 'latest'): Promise<UndoRowsResult> {
  return undoRows(context(), source, {undo, execute: true, firesTriggers: false});
}

/** Deletes orders with their items and changes others; returns the remaining rows. */
async function damage(): Promise<Record<string, string[]>> {
  await shop.run(`
    CREATE TEMPORARY TABLE going AS SELECT o.id FROM orders o WHERE NOT EXISTS (SELECT FROM payments p WHERE p."orderId" = o.id);
    DELETE FROM orders WHERE id IN (SELECT id FROM going);
    UPDATE orders SET status = 'CANCELLED' WHERE md5(id::text) ~ '^[0-7]'`);
  return contentOf(shop);
}

const kept = (name: string): boolean => !name.startsWith('.');

describe.each(
  cases(
    [
      ['directory', false, true],
      ['sql', true, true],
      ['custom', true, true],
      ['custom', true, false],
      ['custom', false, true],
      ['directory', true, false],
      ['sql', true, false],
    ] as const,
    2,
  ),
)('of a backup in %s format (encrypted: %s, in a bucket: %s)', (format, isEncrypted, isInBucket) => {
  it('rows are restored byte for byte and undone, without a local copy of the backup', async () => {
    await backupToPlaces(
      context(),
      {format},
      {...(isInBucket ? {to: [place]} : {}), ...(isEncrypted ? {recipients: [recipient]} : {})},
    );
    if (isInBucket) await rm(join(folder, 'backups'), {recursive: true});
    const damaged = await damage();
    expect(damaged).not.toEqual(whole);
    const source = {
      ...(isInBucket ? {from: place} : {}),
      ...(isEncrypted ? key : {}),
    };
    const preview = await run(source, {}, {execute: false});
    const result = await run(source, {}, {plan: preview.plan});
    expect(result.conflicts).toEqual([]);
    expect(await contentOf(shop)).toEqual(whole);
    expect((await diffBackups(context(), source, {backup: undefined, other: undefined, at: undefined, tables: []})).tables).toEqual([]); // prettier-ignore
    await takeBack({});
    expect(await contentOf(shop)).toEqual(damaged);
    expect((await readdir(join(folder, 'backups'))).filter(kept).sort()).toEqual(
      isInBucket ? ['row-undo'] : ['database', 'row-undo'],
    );
  });
});

it('without the key nothing of an encrypted backup is read, and a damaged one in the bucket restores no row', async () => {
  await backupToPlaces(context(), {format: 'custom'}, {to: [place], recipients: [recipient]});
  const damaged = await damage();
  await expect(run({from: place})).rejects.toMatchObject({code: 'KEY_NEEDED'});
  const Key = (await keysIn(bucket)).find((name) => name.endsWith('.age')) ?? '';
  const {Body} = await storeClient().send(new GetObjectCommand({Bucket: bucket, Key}));
  const intact = Buffer.from((await Body?.transformToByteArray()) ?? []);
  const flipped = Buffer.from(intact);
  flipped.writeUInt8(flipped.readUInt8(intact.length >> 1) ^ 1, intact.length >> 1);
  for (const broken of [flipped, intact.subarray(0, intact.length >> 1)]) {
    await storeClient().send(new PutObjectCommand({Bucket: bucket, Key, Body: broken}));
    await expect(run({from: place, ...key})).rejects.toMatchObject({
      code: expect.stringMatching(/^(?:DECRYPT_FAILED|CHECKSUM_MISMATCH|BACKUP_INCOMPLETE)$/) as string,
    });
  }
  expect(await contentOf(shop)).toEqual(damaged);
  expect((await readdir(join(folder, 'backups'))).filter(kept)).toEqual(['database']);
});

describe('an undo file', () => {
  const config = (): Config => ({encryption: {recipients: [recipient]}});

  it('is encrypted as configured, and the undo needs only the key', async () => {
    await backupToPlaces(context(), {format: 'custom'}, {});
    const damaged = await damage();
    const {undoPath, undo} = await run({}, config());
    expect(await contentOf(shop)).toEqual(whole);
    const path = undoPath ?? '';
    expect(await readdir(join(folder, 'backups/row-undo'))).toEqual([
      expect.stringMatching(/^row-undo-[-T\d]+\.json\.age$/),
    ]);
    expect((await readFile(path)).toString('latin1', 0, 21)).toBe('age-encryption.org/v1');
    expect(undo).toBe(`destino-db restore:rows --undo ${path} --identity KEY.txt --execute`);
    await expect(takeBack({}, path)).rejects.toMatchObject({code: 'KEY_NEEDED'});
    const content = await readFile(path);
    await writeFile(path, content.subarray(0, -1));
    await expect(takeBack(key, path)).rejects.toMatchObject({code: 'DECRYPT_FAILED'});
    expect(await contentOf(shop)).toEqual(whole);
    await writeFile(path, content);
    // By each of its names.
    for (const name of [path, basename(path), 'latest'])
      expect(
        (await undoRows(context(), key, {undo: name, execute: false, firesTriggers: false})).changedSince,
      ).toEqual([]);
    await takeBack(key);
    expect(await contentOf(shop)).toEqual(damaged);
  });

  it('is not written if only encrypted files are allowed and no key is set', async () => {
    await backupToPlaces(context(), {format: 'custom'}, {});
    const damaged = await damage();
    await expect(run({}, {encryption: {require: true}})).rejects.toMatchObject({code: 'GUARD'});
    expect(await contentOf(shop)).toEqual(damaged);
  });
});
