/** The S3 location against a real gateway: it reads back what it wrote, and every fault has its own code. */
import {PutObjectCommand} from '@aws-sdk/client-s3';
import {createHash, randomBytes} from 'node:crypto';
import {createServer} from 'node:net';
import {rm} from 'node:fs/promises';
import {afterAll, beforeAll, describe, expect, it} from 'vitest';
import {openPlace} from '../../src/lib/storage/open-place.js';
import type {Place, StoredObject} from '../../src/lib/storage/place.js';
import type {Config} from '../../src/lib/settings/config-schema.js';
import {createBucket, store, storeClient, storeEnvironment, uploadsIn} from '../support/bucket.js';
import {startGateway} from '../support/gateway.js';
import {testContext} from '../support/test-context.js';
import {tempFolder} from '../support/run-cli.js';
import {watchRequests} from '../support/watched-requests.js';
import {cases} from '../support/long-form.js';

let folder: string;
let bucket: string;
let place: Place;

function open(
  url: string,
  changes: {config?: Config; environment?: Record<string, string>} = {},
): Promise<Place> {
  const context = testContext(folder, {
    settings: {config: changes.config ?? {}},
    env: {...storeEnvironment(), ...changes.environment},
  });
  return openPlace(context.settings, url);
}

async function* chunksOf(bytes: Buffer, size = 65_536): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield await Promise.resolve(bytes.subarray(at, at + size));
}

async function readAll(from: Place, key: string): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of (await from.read(key)) as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}

async function listAll(from: Place, below = '', isDeep = true): Promise<StoredObject[]> {
  const found: StoredObject[] = [];
  for await (const object of from.list(below, isDeep)) found.push(object);
  return found;
}

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

beforeAll(async () => {
  folder = await tempFolder();
  bucket = await createBucket();
  place = await open(`s3://${bucket}/backups/`);
});
afterAll(() => rm(folder, {recursive: true}));

describe('an object', () => {
  it.each([
    ['nothing', 0],
    ['one byte', 1],
    ['exactly one part', 8 * 2 ** 20],
    ['three parts and a rest', 25 * 2 ** 20 + 7],
  ])('of %s is read back byte for byte', async (_, size) => {
    const bytes = randomBytes(size);
    await place.write(`data/${size}`, chunksOf(bytes));
    const back = await readAll(place, `data/${size}`);
    expect(back.length).toBe(size);
    expect(sha256(back)).toBe(sha256(bytes));
    expect(await place.status(`data/${size}`)).toMatchObject({sizeBytes: size, lockedUntil: null});
    expect(await uploadsIn(bucket)).toEqual([]);
  });

  it('whose source fails half-way does not appear, and leaves nothing', async () => {
    async function* failing(): AsyncGenerator<Buffer> {
      for (let part = 0; part < 20; part += 1) yield await Promise.resolve(randomBytes(2 ** 20));
      throw new Error('the dump broke off');
    }
    await expect(place.write('data/broken', failing())).rejects.toThrow('the dump broke off');
    expect(await place.status('data/broken')).toBeUndefined();
    expect(await uploadsIn(bucket)).toEqual([]);
  });

  it('with an odd name is listed and read under that name', async () => {
    const keys = ['a b+c&d', 'ünï=1', 'quote\'"', 'per%2Fcent'].map((name) => `odd/${name}`);
    for (const key of keys) await place.write(key, chunksOf(Buffer.from(key)));
    expect((await listAll(place, 'odd/')).map(({key}) => key).sort()).toEqual([...keys].sort());
    for (const key of keys) expect((await readAll(place, key)).toString()).toBe(key);
  });

  it('is written as text once, and replaced only by a client that has read it', async () => {
    await place.writeText('marker.json', 'one', null);
    await expect(place.writeText('marker.json', 'two', null)).rejects.toMatchObject({
      code: 'STORAGE_CONFLICT',
    });
    const tag = (await place.status('marker.json'))?.tag ?? '';
    await place.writeText('marker.json', 'three', tag);
    await expect(place.writeText('marker.json', 'four', tag)).rejects.toMatchObject({
      code: 'STORAGE_CONFLICT',
    });
    expect((await readAll(place, 'marker.json')).toString()).toBe('three');
    await place.remove('marker.json');
    expect(await place.status('marker.json')).toBeUndefined();
  });
});

describe('reading', () => {
  const bytes = randomBytes(20 * 2 ** 20);
  const digest = sha256(bytes);

  it('continues at the same position after the connection breaks', async () => {
    await place.write('data/broken-off', chunksOf(bytes));
    let breaks = 0;
    const watched = await watchRequests(store.endpoint, ({stage, method}) => {
      if (method !== 'GET' || stage !== 'half answered' || breaks === 3) return undefined;
      breaks += 1;
      return 'break';
    });
    const far = await open(`s3://${bucket}/backups/`, {environment: {AWS_ENDPOINT_URL_S3: watched.endpoint}});
    expect(sha256(await readAll(far, 'data/broken-off'))).toBe(digest);
    expect(breaks).toBe(3);
    await watched.close();
  });

  it('ends if no more data arrives', async () => {
    await place.write('data/broken-off', chunksOf(bytes));
    let isBroken = false;
    const watched = await watchRequests(store.endpoint, ({stage, method}) => {
      if (method !== 'GET' || stage !== (isBroken ? 'begun' : 'half answered')) return undefined;
      isBroken = true;
      return 'break';
    });
    const far = await open(`s3://${bucket}/backups/`, {environment: {AWS_ENDPOINT_URL_S3: watched.endpoint}});
    await expect(readAll(far, 'data/broken-off')).rejects.toMatchObject({code: 'STORAGE_UNREACHABLE'});
    await watched.close();
  });

  it('survives a reader that waits longer than the time-out', async () => {
    await place.write('data/slow', chunksOf(bytes));
    const hasty = await open(`s3://${bucket}/backups/`, {config: {storage: {timeoutSeconds: 1}}});
    const chunks: Buffer[] = [];
    for await (const chunk of (await hasty.read('data/slow')) as AsyncIterable<Buffer>) {
      if (chunks.length === 0) await new Promise((resolve) => setTimeout(resolve, 3000));
      chunks.push(chunk);
    }
    expect(sha256(Buffer.concat(chunks))).toBe(digest);
  });

  it('does not mix an object with the one that replaced it', async () => {
    await place.write('data/replaced', chunksOf(bytes));
    let isReplaced = false;
    const watched = await watchRequests(store.endpoint, async ({stage, method}) => {
      if (method !== 'GET' || stage !== 'half answered' || isReplaced) return undefined;
      isReplaced = true;
      await place.write('data/replaced', chunksOf(randomBytes(20 * 2 ** 20)));
      return 'break';
    });
    const far = await open(`s3://${bucket}/backups/`, {environment: {AWS_ENDPOINT_URL_S3: watched.endpoint}});
    await expect(readAll(far, 'data/replaced')).rejects.toMatchObject({code: 'STORAGE_CONFLICT'});
    await watched.close();
  });
});

describe('a fault', () => {
  const url = (name: string): string => `s3://${name}/x`;

  it.each([
    ['a wrong secret', {AWS_SECRET_ACCESS_KEY: 'wrong'}, 'STORAGE_CREDENTIALS'],
    ['an unknown user', {AWS_ACCESS_KEY_ID: 'nobody'}, 'STORAGE_CREDENTIALS'],
    [
      "another user's bucket",
      {AWS_ACCESS_KEY_ID: 'small-key', AWS_SECRET_ACCESS_KEY: 'small-secret'},
      'STORAGE_DENIED',
    ],
    ['no server', {AWS_ENDPOINT_URL_S3: 'http://127.0.0.1:9'}, 'STORAGE_UNREACHABLE'],
    ['an unknown host', {AWS_ENDPOINT_URL_S3: 'http://no-such-host.invalid'}, 'STORAGE_UNREACHABLE'],
  ])('with %s has its own code and hint', async (_, environment, code) => {
    const other = await open(url(bucket), {environment});
    for (const work of [() => listAll(other), () => other.write('a', chunksOf(Buffer.from('a')))]) {
      const error: unknown = await work().catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({code});
      expect((error as {hint?: string}).hint).toMatch(/\w/);
    }
  });

  it('with a missing bucket is reported', async () => {
    const other = await open(url('no-such-bucket-at-all'));
    await expect(listAll(other)).rejects.toMatchObject({code: 'STORAGE_BUCKET_NOT_FOUND'});
    await expect(other.write('a', chunksOf(Buffer.from('a')))).rejects.toMatchObject({
      code: 'STORAGE_BUCKET_NOT_FOUND',
    });
  });

  it('with a quota ends in its own code and leaves nothing', async () => {
    const small = await createBucket({user: 'small'});
    const other = await open(url(small), {environment: storeEnvironment('small')});
    await expect(other.write('big', chunksOf(randomBytes(20 * 2 ** 20)))).rejects.toMatchObject({
      code: 'STORAGE_FULL',
    });
    expect(await listAll(other)).toEqual([]);
    const left = [];
    for await (const upload of other.unfinishedUploads()) left.push(upload);
    expect(left).toEqual([]);
  });

  it('with a stopped server ends within the time-outs, in the middle of an upload', async () => {
    const gateway = await startGateway();
    const patient = await open(url(bucket), {
      config: {storage: {timeoutSeconds: 1}},
      environment: {AWS_ENDPOINT_URL_S3: gateway.endpoint},
    });
    async function* stopping(): AsyncGenerator<Buffer> {
      for (let part = 0; part < 40; part += 1) {
        yield await Promise.resolve(randomBytes(2 ** 20));
        if (part === 20) await gateway.signal('SIGSTOP');
      }
    }
    try {
      await expect(patient.write('data/hung', stopping())).rejects.toMatchObject({code: 'STORAGE_TIMEOUT'});
    } finally {
      await gateway.signal('SIGCONT');
    }
    expect(await patient.status('data/hung')).toBeUndefined();
    const uploads = [];
    for await (const upload of patient.unfinishedUploads()) uploads.push(upload);
    // A slow answer makes the SDK start again.
    expect(new Set(uploads.map(({key}) => key))).toEqual(new Set(['data/hung']));
    for (const upload of [...uploads, ...uploads]) await patient.abandonUpload(upload);
    expect(await uploadsIn(bucket)).toEqual([]);
    await gateway.signal('SIGKILL');
  });

  it('with a server that accepts connections and never answers ends in an error', async () => {
    const server = createServer(() => undefined).listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const address = server.address();
    const port = typeof address === 'object' ? address?.port : 0;
    const silent = await open(url(bucket), {
      config: {storage: {timeoutSeconds: 1, endpoint: `http://127.0.0.1:${port}`}},
    });
    await expect(silent.status('a')).rejects.toMatchObject({code: 'STORAGE_TIMEOUT'});
    server.close();
  });
});

it('lists more than a thousand objects, page by page', async () => {
  const client = storeClient();
  const many = Array.from({length: 1005}, (_, index) => `backups/many/${String(index).padStart(4, '0')}`);
  const pending = [...many];
  await Promise.all(
    Array.from({length: 16}, async () => {
      for (let Key = pending.pop(); Key !== undefined; Key = pending.pop()) {
        await client.send(new PutObjectCommand({Bucket: bucket, Key, Body: 'x'}));
      }
    }),
  );
  expect(await listAll(place, 'many/')).toHaveLength(1005);
});

it('keeps locked objects, and says until when', async () => {
  const locking = await createBucket({isLocking: true});
  const locked = await open(url(locking), {config: {storage: {lockMode: 'COMPLIANCE', lockDays: 1}}});
  await locked.write('data/kept', chunksOf(Buffer.from('kept')));
  const until = (await locked.status('data/kept'))?.lockedUntil?.getTime() ?? 0;
  expect(until).toBeGreaterThan(Date.now() + 80_000_000);
  await expect(locked.remove('data/kept')).rejects.toMatchObject({code: 'STORAGE_DENIED'});
  expect((await readAll(locked, 'data/kept')).toString()).toBe('kept');
  // Conditions also apply in buckets with versions.
  await locked.writeText('marker.json', 'one', null);
  const tag = (await locked.status('marker.json'))?.tag ?? '';
  await locked.writeText('marker.json', 'two', tag);
  const stale = locked.writeText('marker.json', 'three', tag);
  await expect(stale).rejects.toMatchObject({code: 'STORAGE_CONFLICT'});
  expect(await locked.readText('marker.json')).toBe('two');

  function url(name: string): string {
    return `s3://${name}`;
  }
});

describe('the text of a short object', () => {
  const isOfSdk = (url: string): boolean => url.includes('x-id=GetObject');

  it.each(['plain.json', "odd names/ñ (1) ! * ' + & = ~ %41.json"])(
    'is read by one request of this program: %s',
    async (key) => {
      await place.writeText(key, `{"of": "${key}"}`, null);
      const urls: string[] = [];
      const watched = await watchRequests(store.endpoint, ({stage, url}) => {
        if (stage === 'begun') urls.push(url);
        return undefined;
      });
      const through = await open(`s3://${bucket}/backups`, {
        environment: {AWS_ENDPOINT_URL_S3: watched.endpoint},
      });
      expect(await through.readText(key)).toBe(`{"of": "${key}"}`);
      await watched.close();
      expect(urls).toHaveLength(1);
      expect(urls.some(isOfSdk)).toBe(false);
    },
  );

  it.each(cases(['half answered', 'begun'] as const))(
    'is requested again after the connection breaks (%s)',
    async (when) => {
      await place.writeText(`${when}.json`, 'whole', null);
      const urls: string[] = [];
      const watched = await watchRequests(store.endpoint, ({stage, url}) => {
        if (stage === 'begun') urls.push(url);
        return stage === when && urls.length === 1 ? 'break' : undefined;
      });
      const through = await open(`s3://${bucket}/backups`, {
        environment: {AWS_ENDPOINT_URL_S3: watched.endpoint},
      });
      expect(await through.readText(`${when}.json`)).toBe('whole');
      await watched.close();
      expect(urls.map(isOfSdk)).toEqual([false, true]);
    },
  );

  it('is reported as usual if it is missing or denied', async () => {
    await expect(place.readText('none.json')).rejects.toMatchObject({code: 'BACKUP_INCOMPLETE'});
    const stranger = await open(`s3://${bucket}/backups`, {environment: {AWS_SECRET_ACCESS_KEY: 'wrong'}});
    await expect(stranger.readText('plain.json')).rejects.toMatchObject({code: 'STORAGE_CREDENTIALS'});
  });
});
