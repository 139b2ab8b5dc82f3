import {rm} from 'node:fs/promises';
import {expect, it} from 'vitest';
import {AppError} from '../../../../src/lib/base/errors.js';
import {backupToPlaces} from '../../../../src/lib/services/backup/backup.js';
import {toEachPlace} from '../../../../src/lib/services/copy/each-location.js';
import {tempFolder} from '../../../support/run-cli.js';
import {testContext} from '../../../support/test-context.js';

/** Its secret half was thrown away. */
const recipient = 'age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p';

it.each<[string, Parameters<typeof backupToPlaces>[2], RegExp]>([
  ['nothing to encrypt', {recipients: [recipient], isLocalEncrypted: false}, /no place for a copy was named/],
  ['a recipient that is none', {recipients: ['age1unused']}, /"age1unused" is not a public key/],
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
  // Without this the database, which nobody named, would be asked for first.
  await expect(backupToPlaces(context, {}, {to: ['s3://bucket/shop']})).rejects.toMatchObject({
    code: 'STORAGE_WRONG_REGION',
  });
  await rm(folder, {recursive: true, force: true});
});

it('makes a backup here while the store is away', async () => {
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

it('tries every place, and tells which have it and which do not', async () => {
  const tried: string[] = [];
  const work = toEachPlace(['one', 'two', 'three'], 'It is whole here.', (place) => {
    tried.push(place);
    return place === 'two'
      ? Promise.resolve([place])
      : Promise.reject(new AppError('STORAGE_DENIED', `${place} denied it.`, {hint: 'Ask.'}));
  });
  await expect(work).rejects.toMatchObject({
    code: 'STORAGE_DENIED',
    message: 'one denied it. It is whole here. There is no copy in one and three; the one in two is whole.',
    details: ['three: three denied it.'],
    hint: 'Ask.',
  });
  expect(tried).toEqual(['one', 'two', 'three']);
});

it('stops at once when it is interrupted', async () => {
  const tried: string[] = [];
  const work = toEachPlace(['one', 'two'], 'It is whole here.', (place) => {
    tried.push(place);
    return Promise.reject(new AppError('INTERRUPTED', 'Interrupted.'));
  });
  await expect(work).rejects.toMatchObject({code: 'INTERRUPTED', message: 'Interrupted. It is whole here.'});
  expect(tried).toEqual(['one']);
});
