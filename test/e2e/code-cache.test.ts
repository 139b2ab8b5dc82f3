/** The compiled code that is kept between runs saves time and never changes the outcome. */
import {chmod, chown, mkdir, readdir, readFile, stat, writeFile} from 'node:fs/promises';
import nodeModule from 'node:module';
import {join} from 'node:path';
import {expect, it} from 'vitest';
import {runCli, tempFolder} from '../support/run-cli.js';
import {createTempDatabase} from '../support/temp-database.js';

/** Node.js 22 and newer keep it themselves, in files of their own form. */
const isOwnCache = !('enableCompileCache' in nodeModule);

async function list(home: string, env: Record<string, string> = {}) {
  const {status, stdout, stderr} = await runCli(['list', '--json'], {
    cwd: home,
    env: {HOME: home, XDG_CACHE_HOME: '', ...env},
  });
  return {status, stderr, backups: (JSON.parse(stdout) as {backups: unknown}).backups};
}

const succeeded = {status: 0, stderr: '', backups: []};

/** Every file below the cache folder with its time of change. */
async function cached(home: string): Promise<Map<string, number>> {
  const folder = join(home, '.cache/destino-db/code');
  const names = await readdir(folder, {recursive: true}).catch(() => []);
  const files = new Map<string, number>();
  for (const name of names) {
    const status = await stat(join(folder, name));
    if (status.isFile()) files.set(join(folder, name), status.mtimeMs);
  }
  return files;
}

it('is written by the first run for this user only, and used by the second', async () => {
  const home = await tempFolder();
  expect(await list(home)).toEqual(succeeded);
  const first = await cached(home);
  expect(first.size).toBeGreaterThan(1);
  for (const path of first.keys()) expect((await stat(path)).mode & 0o077).toBe(0);
  expect((await stat(join(home, '.cache/destino-db/code'))).mode & 0o777).toBe(0o700);
  expect(await list(home)).toEqual(succeeded);
  expect(await cached(home)).toEqual(first);
});

it('is used after a run that took longer than the start', async () => {
  const home = await tempFolder();
  const database = await createTempDatabase('template0');
  try {
    const env = {HOME: home, XDG_CACHE_HOME: '', DIRECT_URL: database.url};
    expect(await runCli(['backup'], {cwd: home, env})).toMatchObject({status: 0});
    const first = await cached(home);
    expect(first.size).toBeGreaterThan(1);
    expect(await runCli(['backup'], {cwd: home, env})).toMatchObject({status: 0});
    const second = await cached(home);
    for (const [path, time] of first) expect([path, second.get(path)]).toEqual([path, time]);
  } finally {
    await database.drop();
  }
});

it.runIf(isOwnCache)(
  'compiles again where a file of it is damaged, cut off or code of another file',
  async () => {
    const home = await tempFolder();
    await list(home);
    const [one = '', two = '', three = '', ...others] = (await cached(home)).keys();
    const wholeOne = await readFile(one);
    const flipped = Buffer.from(wholeOne);
    flipped[wholeOne.length - 40] = 255 - (flipped[wholeOne.length - 40] ?? 0);
    await writeFile(one, flipped);
    await writeFile(two, (await readFile(two)).subarray(0, 20));
    await writeFile(three, wholeOne);
    const before = await cached(home);
    expect(await list(home)).toEqual(succeeded);
    expect((await readFile(one)).length).toBe(wholeOne.length);
    const after = await cached(home);
    for (const path of [one, two, three]) expect(after.get(path)).not.toBe(before.get(path));
    for (const path of others) expect(after.get(path)).toBe(before.get(path));
  },
);

it('reaches packages that are not part of the program: the help of oclif, the AWS SDK', async () => {
  const home = await tempFolder();
  const store = {AWS_REGION: 'x', AWS_ENDPOINT_URL: 'http://127.0.0.1:1', AWS_ACCESS_KEY_ID: 'a'};
  const env = {HOME: home, XDG_CACHE_HOME: '', AWS_SECRET_ACCESS_KEY: 's', ...store};
  const cli = (...args: string[]) => runCli(args, {cwd: home, env});
  for (const time of ['first', 'second']) {
    const help = await cli('help', 'bakcup');
    expect([time, help.status, help.stderr]).toEqual([
      time,
      2,
      expect.stringContaining('Did you mean "backup"?'),
    ]);
    const list = await cli('list', '--from=s3://bucket/x', '--json');
    expect([time, list.json()]).toMatchObject([time, {error: {code: 'STORAGE_UNREACHABLE'}}]);
  }
});

it('is not used where others can write to it, nor made where there is no home', async () => {
  const home = await tempFolder();
  const folder = join(home, '.cache/destino-db/code');
  await mkdir(folder, {recursive: true});
  await chmod(folder, 0o777);
  expect(await list(home)).toEqual(succeeded);
  expect(await readdir(folder)).toEqual([]);
  expect(await list(home, {HOME: join(home, 'missing')})).toEqual(succeeded);
  expect(await readdir(home)).toEqual(['.cache']);
});

it.runIf(process.getuid?.() === 0)('is not made in the home of another user', async () => {
  const home = await tempFolder();
  await chown(home, 65534, 65534);
  expect(await list(home)).toEqual(succeeded);
  expect(await readdir(home)).toEqual([]);
});

it('is not used if NODE_DISABLE_COMPILE_CACHE says so', async () => {
  const home = await tempFolder();
  expect(await list(home, {NODE_DISABLE_COMPILE_CACHE: '1'})).toEqual(succeeded);
  expect(await readdir(home)).toEqual([]);
});
