/** Faults between the program and a real gateway: each ends in its own code within the time-outs, and leaves nothing. */
import {rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {afterAll, beforeAll, beforeEach, describe, expect, it} from 'vitest';
import {AppError} from '../../src/lib/base/errors.js';
import {backupToPlaces} from '../../src/lib/services/backup/backup.js';
import {listBackups} from '../../src/lib/services/status/list-backups.js';
import {recoverLeftovers} from '../../src/lib/services/recover/recover.js';
import {verifyBackups} from '../../src/lib/services/verify/verify.js';
import type {Config} from '../../src/lib/settings/config-schema.js';
import {createBucket, keysIn, storeEnvironment, uploadsIn} from '../support/bucket.js';
import {administrate, type Gateway, startGateway} from '../support/gateway.js';
import {type CliResult, runCli, tempFolder} from '../support/run-cli.js';
import {createTempDatabase, type TempDatabase, urlOf} from '../support/temp-database.js';
import {testContext} from '../support/test-context.js';
import {watchRequests} from '../support/watched-requests.js';

const isLong = process.env['DESTINO_TEST_STORAGE'] === 'long';

let database: TempDatabase;
let gateway: Gateway;
let folder: string;
let bucket: string;
let to: string;

beforeAll(async () => {
  database = await createTempDatabase('template0');
  await database.run(
    `CREATE TABLE wide AS SELECT n AS id, (SELECT string_agg(md5(n::text || i), '') FROM generate_series(1, 64) i) AS note
      FROM generate_series(1, 10000) n`,
  );
  gateway = await startGateway();
});
afterAll(async () => {
  await gateway.signal('SIGKILL');
  await database.drop();
});
beforeEach(async () => {
  folder = await tempFolder();
  bucket = await createBucket();
  to = `s3://${bucket}/shop`;
  return () => rm(folder, {recursive: true, force: true});
});

function context(changes: {storage?: Config['storage']; environment?: Record<string, string>} = {}) {
  return testContext(folder, {
    settings: {
      databaseUrl: urlOf(database.connection),
      config: {storage: {...changes.storage}},
    },
    env: {...storeEnvironment(), AWS_ENDPOINT_URL_S3: gateway.endpoint, ...changes.environment},
  });
}

/** Uncompressed, the dump is sent in three parts. */
const upload = (in_: ReturnType<typeof context>, isLocal = false) =>
  backupToPlaces(in_, {compress: false}, {to: [to], isLocal});

async function errorOf(work: Promise<unknown>): Promise<AppError> {
  const error = await work.then(
    () => new Error('it succeeded'),
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof AppError)) throw new Error(String(error));
  return error;
}

describe.each([
  ['killed', 'SIGKILL', 'STORAGE_UNREACHABLE'],
  ['stopped', 'SIGSTOP', 'STORAGE_TIMEOUT'],
] as const)('a gateway that is %s', (_what, signal, code) => {
  const moments = [
    ['while the second part is sent', 'half sent', /partNumber=2/],
    ['when all parts are sent', 'begun', /^POST .*uploadId=/],
    ['when the object is read back', 'begun', /^GET .*\.dump/],
    ['right before the metadata', 'begun', /^PUT .*metadata\.json/],
    ['after the metadata, before it answers', 'answered', /^PUT .*metadata\.json/],
  ] as const;
  // Time-outs take long, so the short form stops the gateway at only two of the moments.
  const chosen = isLong || signal === 'SIGKILL' ? moments : [moments[0], moments[3]];
  it.each(chosen)('%s ends in an error, and nothing remains after recover', async (_when, stage, wanted) => {
    const state = {isHit: false};
    const watched = await watchRequests(gateway.endpoint, async (moment) => {
      if (state.isHit || moment.stage !== stage || !wanted.test(`${moment.method} ${moment.url}`))
        return undefined;
      state.isHit = true;
      await gateway.signal(signal);
      return stage === 'answered' ? 'break' : undefined;
    });
    // Only a hanging gateway is waited for; a busy machine must not look like one before.
    const timeoutSeconds = signal === 'SIGKILL' ? 30 : 5;
    await writeFile(join(folder, 'destino-db.config.json'), JSON.stringify({storage: {timeoutSeconds}}));
    const startedMs = performance.now();
    let run: CliResult;
    try {
      run = await runCli(['backup', '--no-local', '--no-compress', '--to', to, '--json'], {
        cwd: folder,
        env: {
          ...storeEnvironment(),
          AWS_ENDPOINT_URL_S3: watched.endpoint,
          DIRECT_URL: urlOf(database.connection),
        },
      });
    } finally {
      if (signal === 'SIGKILL' && state.isHit) await gateway.startAgain();
      else await gateway.signal('SIGCONT');
      // A gateway that continues processes what it has received; its state must not change during the check.
      await watched.settled();
      await watched.close();
    }
    expect(state.isHit).toBe(true);
    const {error} = run.json() as {error: {code: string; message: string; hint: string}};
    expect(error.code, error.message).toBe(code);
    expect(error.hint).toMatch(/\w/);
    // Three attempts of a second each; the limit is generous for a busy machine, but without time-outs it would never end.
    expect(performance.now() - startedMs).toBeLessThan(60_000);
    expect(run.stderr).toContain('destino-db recover');
    // A gateway that continues writes what it has received: then the backup exists, and is intact.
    const {backups} = await listBackups(context(), {from: to});
    if (!wanted.source.includes('metadata')) expect(backups).toEqual([]);
    await recoverLeftovers(context(), {dryRun: false});
    expect((await recoverLeftovers(context(), {dryRun: true})).recovered).toEqual([]);
    expect(await uploadsIn(bucket)).toEqual([]);
    expect(await keysIn(bucket)).toHaveLength(backups.length * 2);
    const request = {level: 'checksum', scratch: {kind: 'same'}, isAll: true} as const;
    if (backups.length > 0)
      expect((await verifyBackups(context(), {from: to}, request)).results).toMatchObject([{ok: true}]);
  });
});

it('a lost answer to the metadata is not a failure, and removes nothing', async () => {
  let isLost = false;
  const watched = await watchRequests(gateway.endpoint, ({method, url, stage}) => {
    if (isLost || method !== 'PUT' || !url.includes('metadata.json') || stage !== 'answered')
      return undefined;
    isLost = true;
    return 'break';
  });
  const made = await upload(context({environment: {AWS_ENDPOINT_URL_S3: watched.endpoint}}));
  await watched.close();
  expect(isLost).toBe(true);
  expect((await listBackups(context(), {from: to})).backups).toMatchObject([{id: made.id}]);
  expect(await keysIn(bucket)).toHaveLength(2);
});

describe('a streamed backup and a copy', () => {
  it.each<[string, string, Parameters<typeof context>[0] & {user?: string}]>([
    ['a wrong secret', 'STORAGE_CREDENTIALS', {environment: {AWS_SECRET_ACCESS_KEY: 'wrong'}}],
    ['an unknown user', 'STORAGE_CREDENTIALS', {environment: {AWS_ACCESS_KEY_ID: 'nobody'}}],
    ['the rights of another user', 'STORAGE_DENIED', {environment: storeEnvironment('small')}],
    ['a reached quota', 'STORAGE_FULL', {environment: storeEnvironment('small'), user: 'small'}],
    ['a bucket that is not there', 'STORAGE_BUCKET_NOT_FOUND', {user: 'nobody'}],
    ['object lock in a bucket without it', 'NOT_SUPPORTED_HERE', {storage: {lockMode: 'GOVERNANCE'}}],
  ])('with %s end in %s and leave nothing', async (_what, code, {user, ...changes}) => {
    const environment = {...changes.environment, AWS_ENDPOINT_URL_S3: gateway.endpoint};
    if (user === 'small') bucket = await createBucket({user});
    to = user === 'nobody' ? `s3://${bucket}-not` : `s3://${bucket}/shop`;
    for (const isLocal of [false, true]) {
      const error = await errorOf(upload(context({...changes, environment}), isLocal));
      expect(error.code, error.message).toBe(code);
      expect(error.hint).toMatch(/\w/);
    }
    // The backup in the folder is intact; the bucket is empty, and there is nothing to recover.
    expect((await listBackups(context(), {})).backups).toHaveLength(1);
    const owner = user === 'small' ? user : 'tester';
    expect(await keysIn(bucket, owner)).toEqual([]);
    expect(await uploadsIn(bucket, owner)).toEqual([]);
    expect((await recoverLeftovers(context(), {dryRun: true})).recovered).toEqual([]);
  });

  it('of a bucket in another region report that', async () => {
    // The gateway accepts every region in a signature; it redirects requests for a bucket of another zone group.
    const {data} = JSON.parse(administrate(['metadata', 'get', `bucket:${bucket}`])) as {
      data: {bucket: {bucket_id: string}};
    };
    const instance = `bucket.instance:${bucket}:${data.bucket.bucket_id}`;
    const found = administrate(['metadata', 'get', instance]).replace(
      /"zonegroup": "[^"]*"/,
      '"zonegroup": "elsewhere"',
    );
    administrate(['metadata', 'put', instance], found);
    expect(await errorOf(upload(context()))).toMatchObject({code: 'STORAGE_WRONG_REGION'});
    expect(await errorOf(listBackups(context(), {from: to}))).toMatchObject({code: 'STORAGE_WRONG_REGION'});
  });
});
