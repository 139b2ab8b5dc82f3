/** One backup in a bucket by its id: shown, labelled, kept, deleted. */
import {rm} from 'node:fs/promises';
import {join} from 'node:path';
import {beforeEach, expect, it} from 'vitest';
import type {Config} from '../../src/lib/settings/config-schema.js';
import {deleteBackup} from '../../src/lib/services/by-id/delete-backup.js';
import {labelBackup} from '../../src/lib/services/by-id/label-backup.js';
import {showBackup} from '../../src/lib/services/by-id/show-backup.js';
import {copyBackups} from '../../src/lib/services/copy/copy-backups.js';
import {prune} from '../../src/lib/services/prune/prune.js';
import {createBucket, keysIn, storeEnvironment} from '../support/bucket.js';
import {tempFolder} from '../support/run-cli.js';
import {writeSampleBackup} from '../support/sample-backups.js';
import {testContext} from '../support/test-context.js';

let folder: string;
let bucket: string;
let place: string;
beforeEach(async () => {
  folder = await tempFolder();
  bucket = await createBucket();
  place = `s3://${bucket}/shop one`;
  return () => rm(folder, {recursive: true});
});

const context = (config: Config = {}) =>
  testContext(folder, {settings: {config}, env: storeEnvironment(), now: '2026-11-25T00:00:00.000Z'});
const write = (day: number) =>
  writeSampleBackup(join(folder, 'backups/database'), `2026-11-${day}T03:00:00.000Z`);

it('shows a backup of the bucket, by the beginning of its id, and the copy of one in the backups folder', async () => {
  const old = await write(20);
  const made = await write(21);
  await copyBackups(context(), {to: [place], isAll: true});
  const command = (id: string) => ['destino-db', id];
  const there = await showBackup(context(), {backup: 'shop-2026-11-20', from: place}, command);
  expect(there).toMatchObject({
    id: old.id,
    places: [
      {place, state: 'good'},
      {place: join(folder, 'backups/database'), state: 'good'},
    ],
  });
  expect(there.commands[1]?.command).toBe(
    `destino-db restore ${old.id} --from '${place}' --target-db shop_copy --create-db`,
  );
  const gone = 's3://no-such-bucket-anywhere/x';
  await write(22);
  const here = async (backup: string): Promise<string[]> =>
    (await showBackup(context({storage: {places: [place, gone]}}), {backup}, command)).places.map(
      ({state}) => state,
    );
  expect(await here(made.id)).toEqual(['good', 'good', 'unreachable']);
  expect(await here('shop-2026-11-22')).toEqual(['good', 'missing', 'unreachable']);
  await expect(showBackup(context(), {backup: 'shop-2026', from: place}, command)).rejects.toMatchObject({
    code: 'USAGE',
    details: [made.id, old.id],
  });
});

it('labels and keeps one in the bucket, safe from prune and delete, and deletes it once it is released', async () => {
  const old = await write(20);
  for (const day of [21, 22, 23]) await write(day);
  await copyBackups(context(), {to: [place], isAll: true});
  const backup = old.id;
  await labelBackup(context(), {backup, from: place, text: 'before release', keep: true});
  const policy = {policy: {keepLast: 1, keepMin: 1}, dryRun: false, setAside: false, from: place};
  const {kept, removed} = await prune(context(), policy);
  expect(kept.map(({id, reason}) => [id, reason])).toContainEqual([backup, 'kept by label --keep']);
  expect(removed).toHaveLength(2);
  const request = {backup, from: place, isNewestToo: false, dryRun: false};
  await expect(deleteBackup(context(), request)).rejects.toMatchObject({
    code: 'KEPT_BACKUP',
    hint: `Release it first: destino-db label ${backup} --from '${place}' --no-keep`,
  });
  expect(await labelBackup(context(), {backup, from: place, keep: false})).toMatchObject({
    label: 'before release',
    before: {keep: true},
  });
  await deleteBackup(context(), request);
  expect((await keysIn(bucket)).filter((key) => key.includes(backup))).toEqual([]);
  await expect(deleteBackup(context(), {...request, backup: 'latest'})).rejects.toMatchObject({
    code: 'NEWEST_BACKUP',
  });
  expect(await keysIn(bucket)).toHaveLength(2);
});

it('does not delete a backup that the bucket locks, and still labels it', async () => {
  const config: Config = {storage: {lockMode: 'GOVERNANCE', lockDays: 3}};
  const locking = `s3://${await createBucket({isLocking: true})}`;
  const old = await write(20);
  await write(21);
  const now = testContext(folder, {settings: {config}, env: storeEnvironment()});
  await copyBackups(now, {to: [locking], isAll: true});
  const request = {backup: old.id, from: locking, isNewestToo: false, dryRun: false};
  await expect(deleteBackup(now, request)).rejects.toMatchObject({
    code: 'KEPT_BACKUP',
    message: expect.stringContaining(`${old.id} was not deleted: locked until 20`) as string,
  });
  expect(await labelBackup(now, {backup: old.id, from: locking, text: 'x'})).toMatchObject({label: 'x'});
});
