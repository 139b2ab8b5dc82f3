import {generateX25519Identity, identityToRecipient} from 'age-encryption';
import {rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {beforeEach, expect, it} from 'vitest';
import {encryptionOf, keysOf, keyWords} from '../../../src/lib/encryption/settings.js';
import type {Config} from '../../../src/lib/settings/config-schema.js';
import {tempFolder} from '../../support/run-cli.js';
import {sampleRecord} from '../../support/sample-backups.js';
import {testContext} from '../../support/test-context.js';

let folder: string;
let recipient: string;

beforeEach(async () => {
  folder = await tempFolder();
  const identity = await generateX25519Identity();
  recipient = await identityToRecipient(identity);
  await writeFile(join(folder, 'key.txt'), `${identity}\n`, {mode: 0o600});
  await writeFile(join(folder, 'words.txt'), 'words\n', {mode: 0o600});
  return () => rm(folder, {recursive: true});
});

const context = (encryption: Config['encryption'] = {}) =>
  testContext(folder, {settings: {config: {encryption}}});

it('uses the flags, else the recipients of the config file, else its passphrase', async () => {
  const to = async (config: Config['encryption'], flags = {}) =>
    (await encryptionOf(context(config), flags)).to;
  const words = {passphraseFile: 'words.txt'};
  expect(await to({})).toBeUndefined();
  expect(await to({recipients: [recipient]})).toEqual({recipients: [recipient]});
  expect(await to(words)).toEqual({passphrase: 'words'});
  expect(await to({recipients: [recipient], ...words})).toEqual({recipients: [recipient]});
  expect(await to({recipients: [recipient]}, words)).toEqual({passphrase: 'words'});
  expect(await to(words, {recipients: [recipient]})).toEqual({recipients: [recipient]});
  await expect(to({}, {...words, recipients: [recipient]})).rejects.toMatchObject({code: 'USAGE'});
});

it('continues without a key file of the config, but never writes unencrypted because a passphrase is missing', async () => {
  const ctx = context({recipients: [recipient], identityFile: 'gone.txt'});
  expect(await encryptionOf(ctx, {})).toMatchObject({to: {recipients: [recipient]}, keys: {identities: []}});
  expect(ctx.warnings).toEqual([
    expect.stringMatching(/Cannot read the key file gone\.txt.*cannot be opened or tested/),
  ]);
  await expect(keysOf(ctx, {identityFile: 'nowhere.txt'})).rejects.toMatchObject({code: 'READ_FAILED'});
  // The key of a flag is used in spite of other settings in the config file.
  const other = context({passphraseFile: 'gone.txt'});
  expect(await keysOf(other, {identityFile: 'key.txt'})).toMatchObject({
    identities: [expect.stringContaining('AGE-SECRET-KEY-1')],
    passphrases: [],
  });
  expect(other.warnings).toHaveLength(1);
  await expect(encryptionOf(context({passphraseFile: 'gone.txt'}), {})).rejects.toMatchObject({
    code: 'READ_FAILED',
  });
});

it('names the flag that opens a backup if the config file has no key', () => {
  const plain = {backupPath: 'x.dump', size: 1, sha256: '0'.repeat(64), roles: null};
  const sealedTo = (recipients: string[]) =>
    sampleRecord('2026-11-22T03:00:00.000Z', {encryption: {format: 'age', recipients, plain}});
  const {settings} = context();
  expect(keyWords(settings, sampleRecord('2026-11-22T03:00:00.000Z'))).toEqual([]);
  expect(keyWords(settings, sealedTo([recipient]))).toEqual(['--identity', 'KEY.txt']);
  expect(keyWords(settings, sealedTo([]))).toEqual(['--passphrase-file', 'PASSPHRASE.txt']);
  expect(keyWords(context({identityFile: 'key.txt'}).settings, sealedTo([recipient]))).toEqual([]);
});
