/** `backup --skip-unchanged`: backups of an unchanged database are backups like any other, and their bytes are stored once. */
import {readdir, readFile, rm, stat, truncate} from 'node:fs/promises';
import {join} from 'node:path';
import {afterAll, beforeAll, beforeEach, describe, expect, it} from 'vitest';
import {readBackup, readCatalogue} from '../../src/lib/catalog/catalogue.js';
import {removeBackup} from '../../src/lib/catalog/remove-backup.js';
import {passBy} from '../../src/lib/run/fault-points.js';
import {backupDatabase} from '../../src/lib/services/backup/local-backup.js';
import type {BackupRequest} from '../../src/lib/services/backup/options.js';
import type {BackupResult} from '../../src/lib/services/backup/result.js';
import {verifyBackups} from '../../src/lib/services/verify/verify.js';
import type {Config} from '../../src/lib/settings/config-schema.js';
import {cases} from '../support/long-form.js';
import {tempFolder} from '../support/run-cli.js';
import {createTempDatabase, type TempDatabase, urlOf} from '../support/temp-database.js';
import {testContext} from '../support/test-context.js';

let shop: TempDatabase;
let folder: string;
let minute = 0;

beforeAll(async () => {
  shop = await createTempDatabase();
  await shop.run(
    `CREATE MATERIALIZED VIEW totals AS SELECT count(*) AS n FROM orders; CREATE SEQUENCE tickets; SELECT lo_from_bytea(424242, '\\x01')`,
  );
});
afterAll(() => shop.drop());
beforeEach(async () => {
  folder = await tempFolder();
  return () => rm(folder, {recursive: true, force: true});
});

const context = (config: Config = {}) =>
  testContext(folder, {
    settings: {databaseUrl: urlOf(shop.connection), config},
    now: new Date(Date.UTC(2026, 10, 22, 0, 15 * minute++)).toISOString(),
  });
const backup = (request: BackupRequest = {}, config: Config = {}): Promise<BackupResult> =>
  backupDatabase(context(config), {skipUnchanged: true, ...request});
const inodeOf = async (path: string | null): Promise<number> => (await stat(path ?? '')).ino;

describe.each(cases(['custom', 'sql', 'directory'] as const))(
  'an unchanged database in %s format',
  (format) => {
    it('is a backup with its own time that shares the stored bytes', async () => {
      const first = await backup({format});
      const second = await backup({format});
      const third = await backup({format});
      expect([first.equalTo, second.equalTo, third.equalTo]).toEqual([null, first.id, first.id]);
      const fileOf = ({path}: BackupResult) => (format === 'directory' ? join(path ?? '', 'toc.dat') : path);
      expect(await inodeOf(fileOf(third))).toBe(await inodeOf(fileOf(first)));
      const {backups, problems} = await readCatalogue(join(folder, 'backups/database'));
      expect(problems).toEqual([]);
      expect(backups.map(({id}) => id)).toEqual([third.id, second.id, first.id]);
      expect(new Set(backups.map(({createdAt}) => createdAt.getTime())).size).toBe(3);
      expect(
        (await readdir(join(folder, 'backups/database'))).filter((name) => name.endsWith('.partial')),
      ).toEqual([]);

      // The bytes stay until the last backup that shares them is removed.
      await removeBackup(await readBackup(first.metadataPath ?? ''), passBy);
      await removeBackup(await readBackup(second.metadataPath ?? ''), passBy);
      const {results} = await verifyBackups(
        context(),
        {},
        {backupFile: third.id ?? '', level: 'archive', scratch: {kind: 'same'}},
      );
      expect(results.map(({outcome}) => outcome)).toEqual(['passed']);
      expect(await backup({format})).toMatchObject({equalTo: first.id});
    });
  },
);

const changes = [
  ['a row', `UPDATE products SET name = name || '!'`],
  ['a large object', `SELECT lo_put(424242, 0, '\\x02')`],
  ['a grant', 'GRANT SELECT ON products TO PUBLIC'],
  [
    'a setting of the database',
    `DO $$BEGIN EXECUTE format('ALTER DATABASE %I SET work_mem = ''5MB''', current_database()); END$$`,
  ],
  ['a sequence', `SELECT nextval('tickets')`],
  ['a comment', `COMMENT ON TABLE products IS 'people'`],
  ['a default', `ALTER TABLE products ALTER name SET DEFAULT 'nobody'`],
  ['a function', 'CREATE FUNCTION one() RETURNS int LANGUAGE sql AS $$SELECT 1$$'],
  [
    'a comment on the database',
    `DO $$BEGIN EXECUTE format('COMMENT ON DATABASE %I IS ''x''', current_database()); END$$`,
  ],
  [
    'a grant on the database',
    `DO $$BEGIN EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database()); END$$`,
  ],
] as const;
it('stores a backup of its own after each kind of change', async () => {
  let last = await backup();
  for (const [what, statement] of cases(changes, 4)) {
    await shop.run(statement);
    last = await backup();
    expect(last.equalTo, what).toBeNull();
  }
  expect((await backup()).equalTo).toBe(last.id);
});

it('ignores the order of rows, which an update and its reversal change', async () => {
  const first = await backup();
  await shop.run(
    `UPDATE products SET name = name || '!';
     UPDATE products SET name = left(name, -1)`,
  );
  expect((await backup()).equalTo).toBe(first.id);
});

it('compares only backups of the same kind, and stores others again', async () => {
  const first = await backup();
  for (const request of [
    {format: 'sql'},
    {schemaOnly: true},
    {excludeTableData: ['orders']},
    {compress: false},
  ] as const)
    expect((await backup(request)).equalTo, JSON.stringify(request)).toBeNull();
  expect((await backup()).equalTo).toBe(first.id);
  expect((await backup({label: 'before-release'})).equalTo).toBe(first.id);
});

it('does not share damaged bytes, nor those of a backup that failed a check', async () => {
  const first = await backup();
  await truncate(first.path ?? '', 5000);
  const second = await backup();
  expect(second.equalTo).toBeNull();
  expect((await backup()).equalTo).toBe(second.id);
});

it('is off without the flag or the key, on with the key, and off with --no-skip-unchanged', async () => {
  await backup();
  expect((await backupDatabase(context(), {})).equalTo).toBeNull();
  const config = {backup: {skipUnchanged: true}};
  expect((await backupDatabase(context(config), {})).equalTo).not.toBeNull();
  expect((await backupDatabase(context(config), {skipUnchanged: false})).equalTo).toBeNull();
});

it('shares encrypted bytes only with the same key', async () => {
  const {generateIdentity, identityToRecipient} = await import('age-encryption');
  const keys = await Promise.all(
    [1, 2].map(async () => {
      const identity = await generateIdentity();
      return {identity, recipient: await identityToRecipient(identity)};
    }),
  );
  const [one, two] = keys;
  if (!one || !two) throw new Error('no keys');
  const encrypted = ({recipient, identity}: typeof one) =>
    backup({
      encryption: {
        to: {recipients: [recipient]},
        keys: {identities: [identity], passphrases: []},
        isLocal: true,
        isRequired: true,
      },
    });
  const first = await encrypted(one);
  const second = await encrypted(one);
  expect(first.encrypted).toBe(true);
  expect(second).toMatchObject({equalTo: first.id, encrypted: true});
  expect(await readFile(second.path ?? '')).toEqual(await readFile(first.path ?? ''));
  expect((await encrypted(two)).equalTo).toBeNull();
  expect((await backup()).equalTo).toBeNull();
});

it.each([
  [{verify: false}, '--no-verify'],
  [{fingerprint: false}, '--no-fingerprint'],
  [{withRoles: true}, '--with-roles'],
  [{isStreamed: true}, '--no-local'],
])('contradicts %j', async (request, flag) => {
  await expect(backup(request)).rejects.toThrow(`--skip-unchanged contradicts ${flag}`);
});

it('without fingerprints, metadata has no digest of rows or definitions', async () => {
  const made = await backup({skipUnchanged: false, fingerprint: false});
  const {record} = await readBackup(made.metadataPath ?? '');
  expect(record).not.toHaveProperty('definitions');
  expect(record?.tables.filter(({fingerprint}) => fingerprint !== null)).toEqual([]);
});
