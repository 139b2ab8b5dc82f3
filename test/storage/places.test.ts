/** One catalogue over several locations: status, report, list and restore use backups from any of them. */
import {rm} from 'node:fs/promises';
import {basename, join} from 'node:path';
import {beforeEach, expect, it} from 'vitest';
import {type BackupRecord, formatBackupRecord} from '../../src/lib/catalog/backup-record.js';
import {readCatalogue} from '../../src/lib/catalog/catalogue.js';
import {removeBackup} from '../../src/lib/catalog/remove-backup.js';
import {passBy} from '../../src/lib/run/fault-points.js';
import {backupToPlaces} from '../../src/lib/services/backup/backup.js';
import {checkStatus} from '../../src/lib/services/status/check-status.js';
import {copyBackups} from '../../src/lib/services/copy/copy-backups.js';
import {listBackups} from '../../src/lib/services/status/list-backups.js';
import {prune} from '../../src/lib/services/prune/prune.js';
import {restoreFrom} from '../../src/lib/services/restore/restore.js';
import {verifyBackups} from '../../src/lib/services/verify/verify.js';
import {writeReport} from '../../src/lib/services/report/write-report.js';
import type {Config} from '../../src/lib/settings/config-schema.js';
import {openPlace} from '../../src/lib/storage/open-place.js';
import {readPlace} from '../../src/lib/storage/place-catalogue.js';
import {makeKey} from '../support/age.js';
import {createBucket, storeEnvironment} from '../support/bucket.js';
import {tempFolder} from '../support/run-cli.js';
import {sampleRecord, writeSampleBackup} from '../support/sample-backups.js';
import {createTempDatabase, type TempDatabase} from '../support/temp-database.js';
import {testContext} from '../support/test-context.js';

let folder: string;
let place: string;
let here: string;

beforeEach(async () => {
  folder = await tempFolder();
  here = join(folder, 'backups/database');
  place = `s3://${await createBucket()}/all`;
  return () => rm(folder, {recursive: true});
});

function context(places: string[] = [place], now = '2026-11-22T12:00:00.000Z', databaseUrl?: string) {
  const config: Config = {storage: {places}};
  return testContext(folder, {settings: {config, databaseUrl}, env: storeEnvironment(), now});
}

const codesOf = async (ctx = context()): Promise<string[]> =>
  (await checkStatus(ctx)).findings.map(({code}) => code);

it('status reports copies that are missing, lag behind or are damaged, with their location', async () => {
  const old = await writeSampleBackup(here, '2026-11-20T03:00:00.000Z');
  const {id} = await writeSampleBackup(here, '2026-11-22T03:00:00.000Z');
  expect(await codesOf()).toEqual(['COPY_MISSING']);
  await copyBackups(context(), {to: [place], backupFiles: [old.id]});
  const lagging = await checkStatus(context());
  expect(lagging.findings).toMatchObject([
    {
      code: 'COPY_TOO_OLD',
      severity: 'warning',
      message: expect.stringContaining(`in ${place} is 2 d`) as string,
    },
  ]);
  expect(lagging.places).toMatchObject([
    {place: here, backups: 2, newestGood: {id}, error: null},
    {place, backups: 1, newestGood: {id: old.id}, error: null},
  ]);
  expect((await checkStatus(context(), {hasPlaces: false})).findings).toEqual([]);
  await copyBackups(context(), {to: [place]});
  expect(await codesOf()).toEqual([]);
});

it('status counts a backup that exists only in a bucket, and assesses a bucket separately', async () => {
  const {id} = await writeSampleBackup(here, '2026-11-22T03:00:00.000Z');
  await copyBackups(context(), {to: [place]});
  const [made] = (await readCatalogue(here)).backups;
  if (made) await removeBackup(made, passBy);
  const status = await checkStatus(context());
  expect(status).toMatchObject({ok: true, databases: [{newest: {id}, copies: [{place, newest: {id}}]}]});
  const alone = await checkStatus(context(), {from: place});
  expect(alone).toMatchObject({ok: true, folder: place, databases: [{newest: {id}}]});
  const later = context([place], '2026-11-25T12:00:00.000Z');
  expect((await checkStatus(later, {from: place})).findings).toMatchObject([{code: 'TOO_OLD'}]);
});

it('status warns of an unreadable location, and fails only if it was asked about it', async () => {
  await writeSampleBackup(here, '2026-11-22T03:00:00.000Z');
  const gone = 's3://no-such-bucket-anywhere/x';
  expect((await checkStatus(context([gone]))).findings).toMatchObject([
    {code: 'PLACE_UNREADABLE', severity: 'warning'},
  ]);
  const work = checkStatus(context(), {from: gone});
  await expect(work).rejects.toMatchObject({code: 'STORAGE_BUCKET_NOT_FOUND'});
});

it('another machine that shares the bucket is ignored', async () => {
  const {source} = sampleRecord('2026-01-01T00:00:00.000Z');
  const theirs = {
    databaseName: 'blog',
    source: {...source, systemIdentifier: '7300000000000000002', host: 'two.example'},
  };
  await writeSampleBackup(join(folder, 'theirs'), '2026-01-01T03:00:00.000Z', theirs);
  await copyBackups(context(), {from: 'theirs', to: [place]});
  await writeSampleBackup(here, '2026-11-22T03:00:00.000Z');
  await copyBackups(context(), {to: [place]});
  const status = await checkStatus(context());
  expect(status).toMatchObject({ok: true, databases: [{label: 'shop'}]});
  expect((await checkStatus(context(), {from: place})).databases.map(({label}) => label)).toEqual([
    'blog',
    'shop',
  ]);
});

it('list --places and the report show each backup once, with its locations', async () => {
  for (const day of ['20', '21', '22']) await writeSampleBackup(here, `2026-11-${day}T03:00:00.000Z`);
  await copyBackups(context(), {to: [place], isAll: true});
  const oldest = (await readCatalogue(here)).backups.at(-1);
  if (oldest) await removeBackup(oldest, passBy);
  const list = await listBackups(context(), {hasPlaces: true});
  expect(list.backups.map(({places}) => places)).toEqual([[here, place], [here, place], [place]]);
  const report = await writeReport(context());
  expect(report.summary).toMatchObject({backupsOnDisk: 3});
  expect(report.places).toMatchObject([
    {place: here, backups: 2},
    {place, backups: 3},
  ]);
  expect(await writeReport(context(), {from: place})).toMatchObject({
    summary: {backupsOnDisk: 3},
    places: [],
  });
});

it('verify records damage of a copy, which then no longer counts as one', async () => {
  const {id} = await writeSampleBackup(here, '2026-11-22T03:00:00.000Z', {size: 6});
  await copyBackups(context(), {to: [place, 'nas']});
  await rm(join(folder, 'nas', `${id}.dump`));
  await writeSampleBackup(join(folder, 'nas'), '2026-11-22T03:00:00.000Z', {sha256: '0'.repeat(64)});
  const checksum = {level: 'checksum', scratch: {kind: 'same'}} as const;
  expect((await verifyBackups(context(), {from: 'nas'}, checksum)).results).toMatchObject([{ok: false}]);
  expect((await verifyBackups(context(), {from: place}, checksum)).results).toMatchObject([{ok: true}]);
  const codes = await codesOf(context([place, join(folder, 'nas')]));
  expect([...codes].sort()).toEqual(['COPY_DAMAGED', 'COPY_MISSING', 'DAMAGED']);
});

it('verify of all in a bucket continues after a failed one, and records each in the audit log', async () => {
  const [old, young] = [
    await writeSampleBackup(here, '2026-11-21T03:00:00.000Z'),
    await writeSampleBackup(here, '2026-11-22T03:00:00.000Z'),
  ];
  await copyBackups(context(), {to: [place], isAll: true, recipients: [makeKey(join(folder, 'key.txt'))]});
  const archive = {level: 'archive', scratch: {kind: 'same'}, isAll: true} as const;
  // No key here opens them.
  const {results} = await verifyBackups(context(), {from: place}, archive);
  expect(results.map(({id, ok}) => [id, ok])).toEqual([
    [young.id, false],
    [old.id, false],
  ]);
  const told = context();
  await verifyBackups(told, {from: place}, {...archive, level: 'checksum'});
  expect(told.facts).toMatchObject([
    {verifications: [{backupId: young.id, level: 'checksum', ok: true}]},
    {verifications: [{backupId: old.id, level: 'checksum', ok: true}]},
  ]);
});

it('verify of a sample of a bucket without any usable backup verifies nothing, and says so', async () => {
  const {id} = await writeSampleBackup(here, '2026-11-22T03:00:00.000Z');
  await copyBackups(context(), {to: [place]});
  const store = await openPlace(context().settings, place);
  const [bad] = (await readPlace(store)).backups;
  const proof = {level: 'checksum', at: '2026-11-22T04:00:00.000Z', ok: false, duration: 1, findings: ['x']};
  const record = {...bad?.record, proofs: [proof]} as BackupRecord;
  const key = basename(bad?.metadataPath ?? '');
  await store.writeText(key, formatBackupRecord(record), (await store.status(key))?.tag ?? null);
  const sample = verifyBackups(
    context(),
    {from: place},
    {level: 'checksum', scratch: {kind: 'same'}, sample: 2},
  );
  await expect(sample).rejects.toMatchObject({code: 'BACKUP_NOT_FOUND'});
  expect(id).toBe(bad?.id);
});

it('prune --from accepts a folder as well as a bucket', async () => {
  for (const day of ['20', '21', '22']) await writeSampleBackup(here, `2026-11-${day}T03:00:00.000Z`);
  await copyBackups(context(), {to: ['nas', place], isAll: true});
  for (const from of ['nas', place]) {
    const policy = {keepLast: 1, keepMin: 1};
    const pruned = await prune(context(), {from, policy, dryRun: false, setAside: false});
    expect(pruned.removed.map(({id}) => id.slice(-19, -9))).toEqual(['2026-11-21', '2026-11-20']);
    const {backups} = await listBackups(context(), {from: from === 'nas' ? join(folder, 'nas') : from});
    expect(backups).toHaveLength(1);
  }
});

it("restore --from chooses the URL's database among several, by time too, and by every name that list shows", async () => {
  const databases: TempDatabase[] = [];
  try {
    for (const template of ['shop_template', 'template0']) databases.push(await createTempDatabase(template));
    const [shop, empty] = databases;
    if (!shop || !empty) throw new Error('no databases');
    const backup = async (database: TempDatabase, at: string): Promise<string> => {
      const ctx = context([], at, database.url);
      const {id} = await backupToPlaces(ctx, {}, {to: [place, 'nas'], isLocal: false});
      return id ?? '';
    };
    await empty.run('CREATE TABLE other (id int)');
    const first = await backup(shop, '2026-11-20T03:00:00.000Z');
    const second = await backup(shop, '2026-11-21T03:00:00.000Z');
    const newest = await backup(empty, '2026-11-22T03:00:00.000Z');
    const dryRun = async (from: string, database: TempDatabase, request: object): Promise<string> => {
      const ctx = context([], undefined, database.url);
      const target = {targetDb: 'not_there_yet', createDb: true, dryRun: true};
      return (await restoreFrom(ctx, {from}, {...target, ...request})).backup;
    };
    for (const from of [place, 'nas']) {
      expect(await dryRun(from, shop, {isLatest: true})).toBe(second);
      expect(await dryRun(from, empty, {isLatest: true})).toBe(newest);
      expect(await dryRun(from, shop, {at: new Date('2026-11-20T23:00:00.000Z')})).toBe(first);
      for (const backupFile of [first, `${first}.dump`])
        expect(await dryRun(from, shop, {backupFile})).toBe(first);
      await expect(dryRun(from, shop, {backupFile: 'no-such'})).rejects.toMatchObject({
        code: 'BACKUP_NOT_FOUND',
      });
    }
  } finally {
    for (const database of databases) await database.drop();
  }
});
