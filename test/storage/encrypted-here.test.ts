/** Encrypted backups in the backups folder: every command accepts them, with the key if it needs one, and damage is found. */
import {execFileSync} from 'node:child_process';
import {randomBytes} from 'node:crypto';
import {readdir, readFile, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {afterAll, beforeAll, beforeEach, describe, expect, it} from 'vitest';
import {defined} from '../../src/lib/base/defined.js';
import {showBackup} from '../../src/lib/cli/show/show-backup.js';
import {createStyle} from '../../src/lib/cli/show/style.js';
import type {RestoreRequest} from '../../src/lib/services/restore/options.js';
import {backupDatabase} from '../../src/lib/services/backup/local-backup.js';
import {backupToPlaces} from '../../src/lib/services/backup/backup.js';
import {checkStatus} from '../../src/lib/services/status/check-status.js';
import type {BackupResult} from '../../src/lib/services/backup/result.js';
import {listBackups} from '../../src/lib/services/status/list-backups.js';
import {prune} from '../../src/lib/services/prune/prune.js';
import {restoreFrom} from '../../src/lib/services/restore/restore.js';
import {verifyBackups} from '../../src/lib/services/verify/verify.js';
import type {Config} from '../../src/lib/settings/config-schema.js';
import {makeKey} from '../support/age.js';
import {tempFolder} from '../support/run-cli.js';
import {
  createTempDatabase,
  databaseExists,
  dropDatabase,
  type TempDatabase,
  urlOf,
} from '../support/temp-database.js';
import {testContext} from '../support/test-context.js';
import {cases} from '../support/long-form.js';

let database: TempDatabase;
let folder: string;
let recipient: string;
let target: string;

beforeAll(async () => {
  database = await createTempDatabase('shop_template');
});
afterAll(() => database.drop());
beforeEach(async () => {
  folder = await tempFolder();
  recipient = makeKey(join(folder, 'key.txt'));
  target = `open_${randomBytes(4).toString('hex')}`;
  return async () => {
    await dropDatabase(target);
    await rm(folder, {recursive: true});
  };
});

function context(config: Config = {}) {
  return testContext(folder, {settings: {config, databaseUrl: urlOf(database.connection)}});
}

const key = {identityFile: 'key.txt'};
const scratch = {kind: 'same'} as const;
const namesHere = async (): Promise<string[]> =>
  (await readdir(join(folder, 'backups/database'), {recursive: true})).filter(
    (name) => !name.startsWith('.'),
  );

describe.each(cases(['directory', 'custom', 'sql'] as const))('a backup in %s format', (format) => {
  it('is stored only encrypted, and is listed, verified, restored and pruned', async () => {
    const config = {encryption: {recipients: [recipient]}};
    const made = await backupDatabase(context(config), {
      format,
      withRoles: true,
      ...(format === 'directory' ? {parallelJobs: 2} : {}),
    });
    expect(made.encrypted).toBe(true);
    expect(lastLine(made)).toMatch(/ --level restore --identity KEY\.txt$/);
    const isFolder = format === 'directory';
    for (const name of await namesHere())
      expect(name).toMatch(isFolder ? /\.age$|\.dir$|\.metadata\.json$/ : /\.age$|\.metadata\.json$/);
    for (const name of (await namesHere()).filter((one) => one.endsWith('.age')))
      expect((await readFile(join(folder, 'backups/database', name))).toString('latin1', 0, 21)).toBe(
        'age-encryption.org/v1',
      );
    expect((await listBackups(context(), {})).backups).toMatchObject([
      {id: made.id, encrypted: true, verification: {level: 'archive', ok: true}},
    ]);
    expect((await checkStatus(context())).ok).toBe(true);

    const latest = {level: 'checksum', scratch} as const;
    expect((await verifyBackups(context(), {}, latest)).results).toMatchObject([{ok: true}]);
    expect((await verifyBackups(context(), {}, {...latest, level: 'archive'})).results[0]).toMatchObject({
      outcome: 'not-possible',
      code: 'KEY_NEEDED',
    });
    const proven = await verifyBackups(context(), key, {...latest, level: 'restore'});
    expect(proven.results).toMatchObject([{ok: true, findings: []}]);
    expect((await listBackups(context(), {})).backups).toMatchObject([
      {verification: {level: 'restore', ok: true}},
    ]);

    const request = {isLatest: true, targetDb: target, createDb: true};
    await expect(restoreFrom(context(), {}, request)).rejects.toMatchObject({code: 'KEY_NEEDED'});
    expect(await databaseExists(target)).toBe(false);
    const restored = await restoreFrom(context(), key, request);
    const rows = (tables: readonly {table: string; rows: number | null; fingerprint: string | null}[]) =>
      tables.map(({table, rows: count, fingerprint}) => [table, count, fingerprint]).sort();
    expect(rows(restored.tables)).toEqual(rows(made.tables));
    expect(restored.backupPath).toBe(made.path);
    expect((await readdir(join(folder, 'backups'))).sort()).toEqual(
      expect.not.arrayContaining([expect.stringContaining('fetched')]),
    );

    await backupDatabase(context(config), {format: 'custom', label: 'newer'});
    const policy = {keepLast: 1, keepMin: 1};
    // The one that a restore test has proven is kept by rule unless a newer one is.
    await verifyBackups(context(), key, {...latest, level: 'restore'});
    const pruned = await prune(context(), {policy, dryRun: false, setAside: false});
    expect(pruned.removed).toMatchObject([{id: made.id}]);
    expect((await namesHere()).filter((name) => name.startsWith(made.id ?? '-'))).toEqual([]);
  });
});

it('is opened by the age tool and pg_restore alone', async () => {
  const made = await backupToPlaces(context(), {}, {to: [], recipients: [recipient]});
  const script = 'set -o pipefail; age -d -i key.txt "$1" | pg_restore -f -';
  const args = ['-c', script, 'sh', made.path ?? ''];
  const sql = execFileSync('bash', args, {cwd: folder, maxBuffer: 2 ** 28, encoding: 'utf8'});
  expect(sql).toContain('CREATE TABLE public.orders');
  const byPath = {backupFile: made.path ?? '', targetDb: target, createDb: true};
  expect((await restoreFrom(context(), key, byPath)).tables.length).toBe(made.tables.length);
});

it('is found to be damaged in every case, and no database is created from it', async () => {
  const made = await backupToPlaces(context(), {}, {to: [], recipients: [recipient]});
  const path = made.path ?? '';
  const whole = await readFile(path);
  const flipped = Buffer.from(whole);
  flipped.writeUInt8(flipped.readUInt8(whole.length - 30) ^ 1, whole.length - 30);
  // Everybody with the public key can make a file that opens; its bytes do not match the metadata.
  const otherwise = execFileSync('age', ['-r', recipient], {input: 'PGDMP of somebody else'});
  const request = {isLatest: true, targetDb: target, createDb: true};
  for (const [broken, code] of [
    [whole.subarray(0, -1), 'DECRYPT_FAILED'],
    [flipped, 'DECRYPT_FAILED'],
    [Buffer.concat([whole, Buffer.from('x')]), 'DECRYPT_FAILED'],
    [otherwise, 'CHECKSUM_MISMATCH'],
  ] as const) {
    await writeFile(path, broken);
    await expect(restoreFrom(context(), key, request)).rejects.toMatchObject({code});
    expect(await databaseExists(target)).toBe(false);
  }
  // Without metadata there is no checksum, so only the authentication of the chunks shows the damage.
  const bare = join(folder, 'bare.dump.age');
  await writeFile(bare, flipped);
  const bareRequest = defined<RestoreRequest>({...request, isLatest: undefined, backupFile: bare});
  await expect(restoreFrom(context(), key, bareRequest)).rejects.toMatchObject({code: 'DECRYPT_FAILED'});
  const missing = {...bareRequest, backupFile: 'not there.dump.age'};
  await expect(restoreFrom(context(), key, missing)).rejects.toMatchObject({code: 'BACKUP_NOT_FOUND'});
  expect(await databaseExists(target)).toBe(false);
  expect((await verifyBackups(context(), key, {level: 'archive', scratch})).results).toMatchObject([
    {ok: false},
  ]);
});

it('is encrypted with a passphrase, by flag or by the config file', async () => {
  await writeFile(join(folder, 'words.txt'), 'four quite ordinary words\n', {mode: 0o600});
  const words = {passphraseFile: 'words.txt'};
  const made = await backupDatabase(context({encryption: words}), {});
  expect(made).toMatchObject({encrypted: true, path: expect.stringMatching(/\.dump\.age$/) as string});
  expect((await verifyBackups(context(), key, {level: 'archive', scratch})).results[0]).toMatchObject({
    outcome: 'not-possible',
    code: 'KEY_NEEDED',
  });
  const proven = await verifyBackups(context(), words, {level: 'archive', scratch});
  expect(proven.results).toMatchObject([{ok: true}]);
  // The config file contains the passphrase; another run needs it from a flag.
  expect(lastLine(made)).toMatch(/ --level restore$/);
  const told = await backupToPlaces(context(), {}, words);
  expect(lastLine(told)).toMatch(/ --level restore --passphrase-file PASSPHRASE\.txt$/);
});

/** The next step that a new backup suggests. */
function lastLine(made: BackupResult): string {
  const style = createStyle(false, {}, false, 80);
  return showBackup('destino-db backup', ['destino-db', 'verify'])({...made, copies: []}, style).at(-1) ?? '';
}

it('is refused if the present identity could not open it', async () => {
  const other = makeKey(join(folder, 'other.txt'));
  const work = backupToPlaces(context(), {}, {to: [], recipients: [other], ...key});
  await expect(work).rejects.toMatchObject({code: 'KEY_NEEDED'});
  expect(await readdir(join(folder, 'backups')).catch(() => [])).toEqual([]);
  const both = await backupToPlaces(context(), {}, {to: [], recipients: [other, recipient], ...key});
  expect(both.encrypted).toBe(true);
});

it('stays plain with --no-encrypt-local, regardless of the config file', async () => {
  const config = {encryption: {recipients: [recipient]}};
  const made = await backupToPlaces(context(config), {}, {to: ['copies'], isLocalEncrypted: false});
  expect(made.encrypted).toBe(false);
  expect(made.copies).toMatchObject([{encrypted: true}]);
  expect(await namesHere()).toEqual(expect.not.arrayContaining([expect.stringContaining('.age')]));
});
