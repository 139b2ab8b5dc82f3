/** Backups that are streamed to a bucket: complete even if the upload starts late, and refused as early as possible. */
import {readFile, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {afterAll, beforeAll, beforeEach, describe, expect, inject, it} from 'vitest';
import type {BackupRequest} from '../../src/lib/services/backup/options.js';
import {backupToPlaces} from '../../src/lib/services/backup/backup.js';
import type {BackupResult} from '../../src/lib/services/backup/result.js';
import {verifyBackups} from '../../src/lib/services/verify/verify.js';
import type {Config} from '../../src/lib/settings/config-schema.js';
import {createBucket, keysIn, storeEnvironment, uploadsIn} from '../support/bucket.js';
import {cases} from '../support/long-form.js';
import {replaceTools} from '../support/replaced-tools.js';
import {tempFolder} from '../support/run-cli.js';
import {createTempDatabase, type TempDatabase} from '../support/temp-database.js';
import {testContext} from '../support/test-context.js';

let database: TempDatabase;
let folder: string;
/** The same database, on a disk. */
let here: BackupResult;

beforeAll(async () => {
  database = await createTempDatabase();
  folder = await tempFolder();
  here = await backupToPlaces(context(), {}, {});
  await rm(folder, {recursive: true});
});
afterAll(() => database.drop());
beforeEach(async () => {
  folder = await tempFolder();
  return () => rm(folder, {recursive: true});
});

function context(settings: {config?: Config; pgBin?: string} = {}) {
  return testContext(folder, {settings: {databaseUrl: database.url, ...settings}, env: storeEnvironment()});
}

// Deriving a key from a passphrase, and asking whether a bucket locks, take longer than a small pg_dump, so its output waits.
const streams: [string, 'encrypted with a passphrase' | 'locked', BackupRequest][] = [
  ['sql', 'encrypted with a passphrase', {format: 'sql'}],
  ['custom', 'locked', {}],
  ['custom, not read on its way', 'encrypted with a passphrase', {verify: false}],
  ['sql, not read on its way', 'locked', {format: 'sql', verify: false}],
];
it.each(cases(streams, 2))('a streamed backup (%s, %s) is complete', async (_name, way, request) => {
  const isLocking = way === 'locked';
  const to = `s3://${await createBucket({isLocking})}/shop`;
  const passphraseFile = join(folder, 'passphrase.txt');
  await writeFile(passphraseFile, 'correct horse\n', {mode: 0o600});
  const config: Config = isLocking ? {storage: {lockMode: 'GOVERNANCE', lockDays: 1}} : {};
  const keys = isLocking ? {} : {passphraseFile};
  const made = await backupToPlaces(context({config}), request, {to: [to], isLocal: false, ...keys});
  if (request.verify !== false) expect(made.tables).toEqual(here.tables);
  const {results} = await verifyBackups(
    context(),
    {from: to, ...keys},
    {level: 'archive', scratch: {kind: 'same'}, isAll: true},
  );
  const rows = here.tables.reduce((sum, table) => sum + (table.rows ?? 0), 0);
  expect(results).toMatchObject([{id: made.id, ok: true, findings: [], rows}]);
});

describe('a streamed backup that nobody could read', () => {
  async function streamWith(scripts: Parameters<typeof replaceTools>[2], missing?: string) {
    const pgBin = await replaceTools(folder, inject('serverBin'), scripts);
    if (missing !== undefined) await rm(join(pgBin, missing));
    const bucket = await createBucket();
    const flags = {to: [`s3://${bucket}/shop`], isLocal: false};
    const failing = backupToPlaces(context({pgBin}), {compressLevel: 1}, flags);
    const failure: unknown = await failing.catch((error: unknown) => error);
    expect(await keysIn(bucket)).toEqual([]);
    expect(await uploadsIn(bucket)).toEqual([]);
    return failure;
  }

  it('is not started without pg_restore', async () => {
    const noDump = {pg_dump: `echo 'pg_dump: error: was run' >&2; exit 1`};
    expect(await streamWith(noDump, 'pg_restore')).toMatchObject({code: 'PG_RESTORE_NOT_FOUND'});
  });

  it('is not sent to its end, which can be far', async () => {
    expect(await streamWith({pg_dump: 'exec cat /dev/zero'})).toMatchObject({code: 'VERIFY_FAILED'});
  });

  it('does not exist if pg_dump writes nothing', async () => {
    expect(await streamWith({pg_dump: 'exit 0'})).toMatchObject({code: 'PG_DUMP_FAILED'});
  });
});

it('a hook before a streamed dump that fails leaves nothing in the bucket, and one that passes runs before it', async () => {
  const bucket = await createBucket();
  const to = {to: [`s3://${bucket}/shop`], isLocal: false};
  const hookWith = (script: string) =>
    context({config: {hooks: {beforeDump: {argv: ['/bin/sh', '-c', script, folder]}}}});
  await expect(backupToPlaces(hookWith('exit 3'), {}, to)).rejects.toMatchObject({code: 'HOOK_FAILED'});
  expect([await keysIn(bucket), await uploadsIn(bucket)]).toEqual([[], []]);
  const made = await backupToPlaces(hookWith('echo "$PGDATABASE" >"$0/ran"'), {}, to);
  expect((await readFile(join(folder, 'ran'), 'utf8')).trim()).toBe(database.name);
  expect(made.tables).toEqual(here.tables);
});
