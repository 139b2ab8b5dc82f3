/** Kills the program at moments of an upload that a proxy observes: nothing is lost, nothing incomplete is listed, recover cleans the bucket. */
import type {ChildProcess} from 'node:child_process';
import {rm} from 'node:fs/promises';
import {afterAll, beforeAll, describe, expect, it} from 'vitest';
import {backupToPlaces} from '../../src/lib/services/backup/backup.js';
import {copyBackups} from '../../src/lib/services/copy/copy-backups.js';
import {listBackups} from '../../src/lib/services/status/list-backups.js';
import {recoverLeftovers} from '../../src/lib/services/recover/recover.js';
import {verifyBackups} from '../../src/lib/services/verify/verify.js';
import type {BackupFormat} from '../../src/lib/base/formats.js';
import {createBucket, keysIn, store, storeEnvironment, uploadsIn} from '../support/bucket.js';
import {runCli, tempFolder} from '../support/run-cli.js';
import {createTempDatabase, type TempDatabase, urlOf} from '../support/temp-database.js';
import {testContext} from '../support/test-context.js';
import {watchRequests} from '../support/watched-requests.js';

const isLong = process.env['DESTINO_TEST_STORAGE'] === 'long';

/** 21 MB that hardly compress, so that uploads have three parts, beside smaller tables, so that a folder has several files. */
const rows = `
  CREATE TABLE wide AS SELECT n AS id, (SELECT string_agg(md5(n::text || i), '') FROM generate_series(1, 64) i) AS note
    FROM generate_series(1, 10000) n;
  CREATE TABLE narrow AS SELECT n AS id FROM generate_series(1, 100) n;
  CREATE TABLE empty (id int);`;

let database: TempDatabase;
/** A working directory with an old backup, and one in each format to copy. */
let origin: string;
const ids = new Map<string, string>();

beforeAll(async () => {
  database = await createTempDatabase('template0');
  await database.run(rows);
  origin = await tempFolder();
  const old = await backupToPlaces(contextIn(origin), {schemaOnly: true}, {});
  ids.set('old', old.id ?? '');
  for (const format of ['custom', 'sql', 'directory'] as const) {
    const made = await backupToPlaces(contextIn(origin), {format, compress: false}, {});
    ids.set(format, made.id ?? '');
  }
});
afterAll(async () => {
  await database.drop();
  await rm(origin, {recursive: true, force: true});
});

function contextIn(folder: string) {
  return testContext(folder, {
    settings: {databaseUrl: urlOf(database.connection)},
    env: storeEnvironment(),
  });
}

type Way = {readonly format: BackupFormat; readonly isStreamed: boolean};
const ways: Readonly<Record<string, Way>> = {
  'custom, streamed': {format: 'custom', isStreamed: true},
  'sql, streamed': {format: 'sql', isStreamed: true},
  'custom, copied': {format: 'custom', isStreamed: false},
  'sql, copied': {format: 'sql', isStreamed: false},
  'directory, copied': {format: 'directory', isStreamed: false},
};

/** Uploads in one way to a separate bucket with the old backup; the program is killed at the moment with this number, or never. */
async function uploadKilledAt({format, isStreamed}: Way, killAt: number | undefined) {
  const bucket = await createBucket();
  const to = `s3://${bucket}/shop`;
  await copyBackups(contextIn(origin), {to: [to], backupFiles: [ids.get('old') ?? '']});
  const old = await keysIn(bucket);
  let child: ChildProcess | undefined;
  const watched = await watchRequests(store.endpoint, ({number}) => {
    if (number !== killAt) return undefined;
    child?.kill('SIGKILL');
    return 'break';
  });
  const args = isStreamed
    ? ['backup', '--no-local', '--format', format, '--no-compress']
    : ['copy', '--backup-file', ids.get(format) ?? ''];
  const run = await runCli([...args, '--to', to, '--quiet'], {
    cwd: origin,
    env: {
      ...storeEnvironment(),
      AWS_ENDPOINT_URL_S3: watched.endpoint,
      DIRECT_URL: urlOf(database.connection),
    },
    onStart: (started) => (child = started),
  });
  await watched.close();
  return {bucket, to, old, run, moments: watched.moments()};
}

/** Checks the state after every end of an upload. @returns the number of new backups that the location lists */
async function requireWhole({bucket, to, old}: Awaited<ReturnType<typeof uploadKilledAt>>): Promise<number> {
  const {backups, problems} = await listBackups(contextIn(origin), {from: to});
  expect(problems).toEqual([]);
  expect(backups.map(({id}) => id)).toContain(ids.get('old'));
  // Every listed backup is intact, byte for byte.
  const request = {level: 'checksum', scratch: {kind: 'same'}, isAll: true} as const;
  const {results} = await verifyBackups(contextIn(origin), {from: to}, request);
  expect(results.filter(({ok}) => !ok)).toEqual([]);
  expect(await keysIn(bucket)).toEqual(expect.arrayContaining(old));
  return backups.length - 1;
}

describe.each(Object.entries(ways))('an upload (%s)', (_name, way) => {
  it('that is killed at any moment leaves nothing incomplete, and recover cleans the bucket', async () => {
    const undisturbed = await uploadKilledAt(way, undefined);
    expect(undisturbed.run).toMatchObject({status: 0});
    expect(await requireWhole(undisturbed)).toBe(1);
    const files = (await keysIn(undisturbed.bucket)).length - undisturbed.old.length;
    const {moments} = undisturbed;
    for (const moment of chosenMoments(way, moments)) {
      const killed = await uploadKilledAt(way, moment);
      const what = `killed at moment ${moment} of ${moments}`;
      expect(killed.run.signal, `${what}: ${killed.run.stderr}`).toBe('SIGKILL');
      const listed = await requireWhole(killed);
      // Only the answer to the last request, which writes the metadata, may come too late to be known.
      if (moment < moments - 2) expect(listed, what).toBe(0);
      await recoverLeftovers(contextIn(origin), {dryRun: false});
      expect(await uploadsIn(killed.bucket), what).toEqual([]);
      expect((await keysIn(killed.bucket)).length, what).toBe(killed.old.length + listed * files);
    }
  }, 600_000);
});

/** All of them in the long form; otherwise four of one way, and of the others the one before the last request. */
function chosenMoments({format, isStreamed}: Way, moments: number): number[] {
  const all = Array.from({length: moments}, (_, moment) => moment);
  if (isLong) return all;
  if (format !== 'custom' || !isStreamed) return [moments - 4];
  return Array.from({length: 4}, (_, index) => Math.round((index * (moments - 1)) / 3));
}
