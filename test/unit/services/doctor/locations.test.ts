import {generateX25519Identity, identityToRecipient} from 'age-encryption';
import {mkdir, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {beforeEach, expect, it} from 'vitest';
import {checkPlaces} from '../../../../src/lib/services/doctor/locations.js';
import type {Config} from '../../../../src/lib/settings/config-schema.js';
import {tempFolder} from '../../../support/run-cli.js';
import {testContext} from '../../../support/test-context.js';

let folder: string;
let recipients: string[];

beforeEach(async () => {
  folder = await tempFolder();
  recipients = [];
  for (const name of ['one', 'two']) {
    const identity = await generateX25519Identity();
    recipients.push(await identityToRecipient(identity));
    await writeFile(join(folder, `${name}.txt`), `${identity}\n`, {mode: name === 'one' ? 0o600 : 0o644});
  }
  return () => rm(folder, {recursive: true});
});

async function check(config: Config): Promise<{lines: string[]}> {
  const checks = await checkPlaces(testContext(folder, {settings: {config}}));
  return {lines: checks.map(({name, ok, message}) => `${ok ? 'ok' : 'NOT OK'} ${name}: ${message}`)};
}

it('returns nothing if nothing is configured', async () => {
  expect((await check({})).lines).toEqual([]);
});

it('warns of a single key, and explains the consequence of a missing key', async () => {
  const {lines} = await check({encryption: {recipients: recipients.slice(0, 1)}});
  expect(lines).toEqual([
    'NOT OK recipients: Backups are encrypted to one key only: without it they are lost.',
    'ok identity: this machine has no key for the backups: verify (beyond checksums) and restore need --identity FILE',
  ]);
  const {lines: copies} = await check({encryption: {recipients, local: false}});
  expect(copies[0]).toBe('ok recipients: 2 keys can decrypt the backups');
  expect(copies[1]).toContain('this machine has no key for the copies');
});

it('finds an identity that cannot decrypt the backups', async () => {
  const fitting = await check({encryption: {recipients, identityFile: 'two.txt'}});
  expect(fitting.lines[1]).toBe('ok identity: the keys that open backups can be read');
  const other = await check({encryption: {recipients: recipients.slice(1), identityFile: 'one.txt'}});
  expect(other.lines[1]).toMatch(/^NOT OK identity: The given identity opens nothing/);
  const gone = await check({encryption: {recipients, identityFile: 'gone.txt'}});
  expect(gone.lines[1]).toMatch(/^NOT OK identity: Cannot read the key file gone\.txt: it does not exist\./);
});

it('checks folders among the locations', async () => {
  await mkdir(join(folder, 'nas'));
  const {lines} = await check({storage: {places: ['nas']}});
  expect(lines).toEqual([`ok place: ${join(folder, 'nas')} answers and can be written: 0 backups`]);
});
