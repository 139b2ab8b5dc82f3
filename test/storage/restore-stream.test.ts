/** Restores straight from the bucket: verified first, loaded separately, dropped if the loaded content differs from the verified one. */
import {GetObjectCommand, PutObjectCommand} from '@aws-sdk/client-s3';
import {randomBytes} from 'node:crypto';
import {rm} from 'node:fs/promises';
import {join} from 'node:path';
import {afterAll, beforeAll, beforeEach, describe, expect, it} from 'vitest';
import {defined} from '../../src/lib/base/defined.js';
import {backupToPlaces} from '../../src/lib/services/backup/backup.js';
import {restoreFrom} from '../../src/lib/services/restore/restore.js';
import {makeKey} from '../support/age.js';
import {changeDump, createBucket, keysIn, storeClient, storeEnvironment} from '../support/bucket.js';
import {cases} from '../support/long-form.js';
import {tempFolder} from '../support/run-cli.js';
import {createTempDatabase, dropDatabase, existingDatabase, onServer, type TempDatabase, urlOf} from '../support/temp-database.js'; // prettier-ignore
import {testContext} from '../support/test-context.js';

let database: TempDatabase;
let folder: string;
let bucket: string;
let place: string;
let target: string;

beforeAll(async () => {
  database = await createTempDatabase('shop_template');
  await database.run(
    `CREATE TABLE letters AS SELECT n AS id, 'what was written' AS body FROM generate_series(1, 50000) n`,
  );
});
afterAll(() => database.drop());
beforeEach(async () => {
  folder = await tempFolder();
  bucket = await createBucket();
  place = `s3://${bucket}/shop`;
  target = `back_${randomBytes(4).toString('hex')}`;
  return async () => {
    await dropDatabase(target);
    await rm(folder, {recursive: true});
  };
});

function context(checkpoint?: (point: string) => Promise<void>) {
  const made = testContext(folder, {
    settings: {databaseUrl: urlOf(database.connection)},
    env: storeEnvironment(),
  });
  return {...made, checkpoint: checkpoint ?? made.checkpoint};
}

async function databasesNamedLikeTarget(): Promise<string[]> {
  const rows = await onServer((session) =>
    session.query('SELECT datname FROM pg_database WHERE starts_with(datname, $1)', [target]),
  );
  return rows.map((row) => String(row['datname'])).sort();
}

const backUp = (format: 'custom' | 'sql', recipients?: string[], compress?: boolean) =>
  backupToPlaces(context(), defined({format, compress}), defined({to: [place], recipients, isLocal: false}));

describe.each(cases(['custom', 'sql'] as const))('a backup in %s format', (format) => {
  it('is restored without a local copy, unless several connections load it', async () => {
    await backUp(format);
    const streaming = context();
    await restoreFrom(streaming, {from: place}, {isLatest: true, targetDb: target, createDb: true});
    expect(streaming.steps).not.toContainEqual(expect.stringMatching(/^Fetch /));
    const [row] = await existingDatabase(target).query('SELECT count(*) FROM letters');
    expect(row).toEqual({count: '50000'});
    const fetching = context();
    const again = {isLatest: true, targetDb: target, dropExisting: true, parallelJobs: 2};
    await restoreFrom(fetching, {from: place}, again);
    expect(fetching.steps).toContainEqual(expect.stringMatching(/^Fetch /));
  });

  it('that was changed is refused before any database is created', async () => {
    await backUp(format, undefined, false);
    await changeDump(bucket, 'what was written', 'what was wrotten');
    const request = {isLatest: true, targetDb: target, createDb: true};
    await expect(restoreFrom(context(), {from: place}, request)).rejects.toMatchObject({
      code: 'CHECKSUM_MISMATCH',
    });
    expect(await databasesNamedLikeTarget()).toEqual([]);
  });

  it('that is changed between verification and load is dropped, and the database is unchanged', async () => {
    await backUp(format, undefined, false);
    await restoreFrom(context(), {from: place}, {isLatest: true, targetDb: target, createDb: true});
    await existingDatabase(target).run('CREATE TABLE mine AS SELECT 1 AS one');
    const changing = context(async (point) => {
      if (point === 'staging.marked') await changeDump(bucket, 'what was written', 'what was wrotten');
    });
    const request = {isLatest: true, targetDb: target, dropExisting: true};
    const error: unknown = await restoreFrom(changing, {from: place}, request).catch(
      (thrown: unknown) => thrown,
    );
    expect(error).toMatchObject({code: 'CHECKSUM_MISMATCH'});
    expect(String(error)).toContain(`"${target}" is unchanged`);
    expect(await databasesNamedLikeTarget()).toEqual([target]);
    expect(await existingDatabase(target).query('SELECT one FROM mine')).toEqual([{one: '1'}]);
  });

  it('that is encrypted is decrypted during the restore, and refused if it is truncated', async () => {
    const recipient = makeKey(join(folder, 'key.txt'));
    await backUp(format, [recipient]);
    const source = {from: place, identityFile: 'key.txt'};
    const request = {isLatest: true, targetDb: target, createDb: true};
    await restoreFrom(context(), source, request);
    await dropDatabase(target);
    const Key = (await keysIn(bucket)).find((key) => key.endsWith('.age')) ?? '';
    const {Body} = await storeClient().send(new GetObjectCommand({Bucket: bucket, Key}));
    const bytes = (await Body?.transformToByteArray()) ?? new Uint8Array();
    await storeClient().send(new PutObjectCommand({Bucket: bucket, Key, Body: bytes.subarray(0, -30)}));
    await expect(restoreFrom(context(), source, request)).rejects.toMatchObject({code: 'DECRYPT_FAILED'});
    expect(await databasesNamedLikeTarget()).toEqual([]);
  });
});
