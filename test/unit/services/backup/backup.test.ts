import {rm} from 'node:fs/promises';
import {expect, it} from 'vitest';
import {AppError} from '../../../../src/lib/base/errors.js';
import {backupToPlaces} from '../../../../src/lib/services/backup/backup.js';
import {toEachPlace} from '../../../../src/lib/services/copy/each-location.js';
import {tempFolder} from '../../../support/run-cli.js';
import {testContext} from '../../../support/test-context.js';

/** Its private key no longer exists. */
const recipient = 'age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p';

it.each<[string, Parameters<typeof backupToPlaces>[2], RegExp]>([
  [
    'nothing to encrypt',
    {recipients: [recipient], isLocalEncrypted: false},
    /there is no location for a copy/,
  ],
  ['an invalid recipient', {recipients: ['age1unused']}, /"age1unused" is not a public key/],
  ['no bucket to stream to', {isLocal: false}, /--no-local needs a bucket/],
])('refuses before anything is done: %s', async (_what, flags, message) => {
  const folder = await tempFolder();
  try {
    await expect(backupToPlaces(testContext(folder), {}, flags)).rejects.toMatchObject({
      code: 'USAGE',
      message: expect.stringMatching(message) as string,
    });
  } finally {
    await rm(folder, {recursive: true, force: true});
  }
});

it('refuses a bucket without a region before the dump', async () => {
  const folder = await tempFolder();
  const context = testContext(folder, {env: {AWS_ACCESS_KEY_ID: 'k', AWS_SECRET_ACCESS_KEY: 's'}});
  // Otherwise the run would fail first because no database is given.
  await expect(backupToPlaces(context, {}, {to: ['s3://bucket/shop']})).rejects.toMatchObject({
    code: 'STORAGE_WRONG_REGION',
  });
  await rm(folder, {recursive: true, force: true});
});

it('makes a local backup while the store is unreachable', async () => {
  const folder = await tempFolder();
  const env = {
    AWS_ACCESS_KEY_ID: 'k',
    AWS_SECRET_ACCESS_KEY: 's',
    AWS_ENDPOINT_URL_S3: 'http://127.0.0.1:1',
  };
  await expect(
    backupToPlaces(testContext(folder, {env}), {}, {to: ['s3://bucket/shop']}),
  ).rejects.toMatchObject({code: 'NO_DATABASE_URL'});
  await rm(folder, {recursive: true, force: true});
});

it('tries every location and names those with and without a copy', async () => {
  const tried: string[] = [];
  const work = toEachPlace(['one', 'two', 'three'], 'It is complete here.', (place) => {
    tried.push(place);
    return place === 'two'
      ? Promise.resolve([place])
      : Promise.reject(new AppError('STORAGE_DENIED', `${place} denied it.`, {hint: 'Ask.'}));
  });
  await expect(work).rejects.toMatchObject({
    code: 'STORAGE_DENIED',
    message:
      'one denied it. It is complete here. There is no copy in one and three; the copy in two is complete.',
    details: ['three: three denied it.'],
    hint: 'Ask.',
  });
  expect(tried).toEqual(['one', 'two', 'three']);
});

it('stops immediately when it is interrupted', async () => {
  const tried: string[] = [];
  const work = toEachPlace(['one', 'two'], 'It is complete here.', (place) => {
    tried.push(place);
    return Promise.reject(new AppError('INTERRUPTED', 'Interrupted.'));
  });
  await expect(work).rejects.toMatchObject({
    code: 'INTERRUPTED',
    message: 'Interrupted. It is complete here.',
  });
  expect(tried).toEqual(['one']);
});
