/** Containers of the image running: backups, restore tests, a plan in the foreground, and their end by a signal. */
import {lutimes, readdir, readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {parseArgs} from 'node:util';
import {beforeAll, beforeEach, describe, expect, it} from 'vitest';
import {createBucket, keysIn, storeEnvironment} from '../support/bucket.js';
import {
  buildahRun,
  type Container,
  type ContainerOptions,
  dockerRun,
  userFolder,
} from '../support/container.js';
import {makeKey} from '../support/age.js';
import {image} from '../support/container-image.js';
import {blocksOf} from '../support/doc-page.js';
import type {CliResult} from '../support/run-cli.js';
import {startProxy} from '../support/server-proxy.js';
import {createTempDatabase, type TempDatabase, urlOf} from '../support/temp-database.js';

let shop: TempDatabase;
let folder: string;

beforeAll(async () => {
  shop = await createTempDatabase();
  return () => shop.drop();
});
beforeEach(async () => {
  folder = await userFolder();
});

type Runtime = (words: readonly string[], options: ContainerOptions) => Promise<CliResult>;
const runtimes: readonly [[string, Runtime], [string, Runtime]] = [
  ['buildah run', (words, options) => buildahRun(['destino-db', ...words], options)],
  ['process 1, read-only root', (words, options) => dockerRun(words, {...options, tmpfs: ['/tmp']})],
];

/** The config file and the folder for backups, as the page mounts them. */
async function mounted(config: unknown, url = shop.url): Promise<ContainerOptions> {
  const file = join(folder, 'destino-db.config.json');
  await writeFile(file, JSON.stringify(config));
  return {
    volumes: [
      [file, '/data/destino-db.config.json', 'ro'],
      [join(folder, 'backups'), '/data/backups'],
    ],
    env: {DIRECT_URL: url},
  };
}

/** Unfinished files and locks in the folder for backups. */
async function leftovers(): Promise<string[]> {
  const names = await readdir(join(folder, 'backups'), {recursive: true});
  return names.filter((name) => /\.partial|\.lock$/.test(name));
}

async function history(): Promise<unknown[]> {
  const text = await readFile(join(folder, 'backups/history.jsonl'), 'utf8');
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown);
}

it('backs up into a mounted folder, restores the backup for a test, and lists it', async () => {
  const [[, run]] = runtimes;
  const options = await mounted({});
  const made = await run(['backup', '--json'], options);
  expect([made.status, made.stderr]).toEqual([0, '']);
  const tested = await run(['verify', '--latest', '--level', 'restore', '--json'], options);
  expect(tested.status).toBe(0);
  expect(JSON.stringify(tested.json())).toContain('"outcome":"passed"');
  const listed = await run(['list', '--json'], options);
  expect(listed.json()).toMatchObject({backups: [{verification: {level: 'restore', ok: true}}]});
});

it('backs up into a bucket, encrypted, and keeps nothing on the disk', async () => {
  const bucket = await createBucket();
  const key = join(folder, 'key.txt');
  const options = await mounted({encryption: {recipients: [makeKey(key)]}});
  const env = {...options.env, ...storeEnvironment()};
  const words = ['backup', '--to', `s3://${bucket}/shop`, '--no-local', '--json'];
  const made = await buildahRun(['destino-db', ...words], {...options, env});
  // Node.js 20.19 says that its X25519 is experimental.
  const stderr = made.stderr.replace(/^\(.*(?:ExperimentalWarning|--trace-warnings).*\n/gm, '');
  expect([made.status, stderr]).toEqual([0, '']);
  const keys = await keysIn(bucket);
  expect(keys.some((name) => name.endsWith('.age'))).toBe(true);
  const names = await readdir(join(folder, 'backups'), {recursive: true});
  expect(names.filter((name) => name.endsWith('.age'))).toEqual([]);
});

it('the page\'s "docker run" makes a backup', async () => {
  const page = await readFile(new URL('../../docs/containers.md', import.meta.url), 'utf8');
  const line = blocksOf(page).find(({text}) => text.startsWith('docker run '))?.text ?? '';
  const text = {type: 'string', multiple: true} as const;
  const {values, positionals} = parseArgs({
    args: line.trim().split(' ').slice(2),
    options: {rm: {type: 'boolean'}, 'read-only': {type: 'boolean'}, tmpfs: text, env: text, volume: text},
    allowPositionals: true,
  });
  expect(values).toMatchObject({rm: true, 'read-only': true, env: ['DIRECT_URL']});
  const [name, ...words] = positionals;
  expect(name).toBe(image);
  const made = await dockerRun(words, {
    tmpfs: values.tmpfs ?? [],
    env: {DIRECT_URL: shop.url},
    volumes: (values.volume ?? []).map((volume) => {
      const [source = '', target = ''] = volume.split(':');
      return [join(folder, source), target] as const;
    }),
  });
  expect(made.status).toBe(0);
  const names = await readdir(join(folder, 'backups/database'));
  expect(names.filter((found) => found.endsWith('.dump'))).toHaveLength(1);
});

describe.each(runtimes)('%s', (_name, run) => {
  it('SIGTERM in the middle of a backup removes what is unfinished', async () => {
    const proxy = await startProxy(shop.connection, {needle: 'COPY public.orders (id'}, 'hold');
    const options = await mounted({}, urlOf(proxy.connection));
    let container: Container | undefined;
    const running = run(['backup'], {
      ...options,
      onOutput: (_text, started) => (container = started),
    });
    await proxy.reached;
    container?.signal('SIGTERM');
    const {status, stderr} = await running;
    await proxy.close();
    expect([status, stderr.match(/^Error \w+/m)?.[0]]).toEqual([143, 'Error TERMINATED']);
    expect(container?.left()).toEqual([]);
    expect(await leftovers()).toEqual([]);
    expect(await history()).toMatchObject([{command: 'backup', outcome: 'interrupted', exitCode: 143}]);
  });

  it('schedule --run runs a job of the plan, and ends with SIGTERM between two jobs', async () => {
    const options = await mounted({schedule: {plan: ['cron * * * * * custom', 'daily restore test']}});
    let container: Container | undefined;
    const {status, stderr} = await run(['schedule', '--run'], {
      ...options,
      onOutput: (text, started) => {
        container = started;
        if (text.match(/\bNext run:/g)?.length === 2) started.signal('SIGTERM');
      },
    });
    expect([status, stderr.match(/^Error \w+/m)?.[0]]).toEqual([143, 'Error TERMINATED']);
    expect(stderr).toContain('The plan has 2 jobs');
    expect(container?.left()).toEqual([]);
    expect(await leftovers()).toEqual([]);
    expect(await history()).toMatchObject([{command: 'backup', outcome: 'ok'}]);
    const listed = await run(['list', '--json'], options);
    expect(listed.json()).toMatchObject({backups: [{format: 'custom', verification: {ok: true}}]});
  });

  it('SIGTERM to schedule --run ends the running job, which cleans up first', async () => {
    const proxy = await startProxy(shop.connection, {needle: 'COPY public.orders (id'}, 'hold');
    const options = await mounted({schedule: {plan: ['cron * * * * * custom']}}, urlOf(proxy.connection));
    let container: Container | undefined;
    const running = run(['schedule', '--run'], {
      ...options,
      onOutput: (_text, started) => (container = started),
    });
    await proxy.reached;
    container?.signal('SIGTERM');
    const {status} = await running;
    await proxy.close();
    expect(status).toBe(143);
    expect(container?.left()).toEqual([]);
    expect(await leftovers()).toEqual([]);
    expect(await history()).toMatchObject([{command: 'backup', outcome: 'interrupted', exitCode: 143}]);
  });
});

it('the next container takes over the lock of a killed one after five minutes', async () => {
  const proxy = await startProxy(shop.connection, {needle: 'COPY public.orders (id'}, 'hold');
  const options = await mounted({}, urlOf(proxy.connection));
  const [, run] = runtimes[1];
  let container: Container | undefined;
  const running = run(['backup'], {...options, onOutput: (_text, started) => (container = started)});
  await proxy.reached;
  container?.signal('SIGKILL');
  await running;
  await proxy.close();
  const locks = (await leftovers()).filter((name) => name.endsWith('.lock'));
  expect(locks).toHaveLength(1);
  const again = await mounted({});
  // Every container's program is process 1, so its number does not identify it.
  expect((await run(['backup'], again)).stderr).toContain('Error LOCKED');
  const longAgo = new Date(Date.now() - 6 * 60_000);
  for (const lock of locks) await lutimes(join(folder, 'backups', lock), longAgo, longAgo);
  const made = await run(['backup'], again);
  expect(made.status).toBe(0);
  expect((await leftovers()).filter((name) => name.endsWith('.lock'))).toEqual([]);
});
