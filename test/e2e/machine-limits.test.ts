/** Limits of shared hosts, services and unusual roles: the work is done, or one clear error names the limit to raise. */
import {mkdir, rm} from 'node:fs/promises';
import {join} from 'node:path';
import {afterAll, beforeAll, expect, inject, it} from 'vitest';
import {replaceTools} from '../support/replaced-tools.js';
import {program, runCli, runProgram, tempFolder} from '../support/run-cli.js';
import {createTempDatabase, onServer, type TempDatabase, urlOf} from '../support/temp-database.js';

let folder: string;
let shop: TempDatabase;

beforeAll(async () => {
  folder = await tempFolder();
  shop = await createTempDatabase();
});
afterAll(async () => {
  await shop.drop();
  await rm(folder, {recursive: true, force: true});
});

const under = (limits: string): readonly string[] => ['bash', '-c', `${limits}; exec "$@"`, 'bash'];
const env = () => ({DIRECT_URL: shop.url});

it.each([
  ['64 open files', 'ulimit -n 64'],
  ['4 GB of address space', 'ulimit -v 4000000'],
])('a backup needs at most %s', async (_name, limits) => {
  const made = await runCli(['backup', '--json'], {cwd: folder, env: env(), under: under(limits)});
  expect(made.status, made.stderr).toBe(0);
});

it('a 64 MB heap is enough for a backup and its restore test', async () => {
  const small = {...env(), NODE_OPTIONS: '--max-old-space-size=64'};
  expect((await runCli(['backup', '--json'], {cwd: folder, env: small})).status).toBe(0);
  const verified = await runCli(['verify', '--latest', '--level=restore', '--json'], {
    cwd: folder,
    env: small,
  });
  expect(verified.status, verified.stdout).toBe(0);
});

it('short-lived objects take little memory', async () => {
  const probe = `import v8 from 'node:v8';
    process.on('exit', () => {
      const kept = [];
      for (let at = 0; at < 3e6; at++) kept[at % 1e5] = {at};
      const young = v8.getHeapSpaceStatistics().find((space) => space.space_name === 'new_space');
      process.stderr.write('young ' + young.space_size + '\\n');
    });`;
  const NODE_OPTIONS = `--import=data:text/javascript,${encodeURIComponent(probe)}`;
  const made = await runCli(['backup', '--json'], {cwd: folder, env: {...env(), NODE_OPTIONS}});
  const [, bytes] = /^young (\d+)$/m.exec(made.stderr) ?? [];
  expect(Number(bytes)).toBeGreaterThan(0);
  expect(Number(bytes)).toBeLessThan(17_000_000);
});

// As the program loads its modules, before it starts a tool, and between its tools.
it.each([20, 28, 36])('a limit of %i open files causes one error with a code', async (limit) => {
  const made = await runCli(['backup', '--quiet'], {
    cwd: folder,
    env: env(),
    under: under(`ulimit -n ${limit}`),
  });
  expect([made.status, made.stdout]).toEqual([3, '']);
  expect(made.stderr).toMatch(/^(?:Warning: .*\n)?Error TOO_MANY_OPEN_FILES: .*\nNext: .*ulimit -n.*\n$/);
});

it('a removed working directory is reported as such', async () => {
  const gone = join(folder, 'gone');
  await mkdir(gone);
  const script = 'cd "$1" && rmdir "$1" && exec "$2" "$3" list';
  const result = await runProgram('bash', ['-c', script, 'bash', gone, process.execPath, program]);
  expect(result.status).toBe(3);
  expect(result.stderr).toMatch(/^Error WORKING_FOLDER_GONE: /m);
});

it('global flags are accepted before the command and before topics', async () => {
  const before = await runCli(['--json', '--backups-dir', join(folder, 'none'), 'list'], {cwd: folder});
  expect(before.json()).toMatchObject({backups: []});
  const spaced = await runCli(['--json', 'orders', 'restore'], {cwd: folder, env: env()});
  expect(spaced.json()).toMatchObject({
    error: {message: expect.stringContaining('Which order backup?') as string},
  });
});

it('a role that prefers LATIN1 makes complete backups of a database in UTF8', async () => {
  const role = `latin_${shop.name}`;
  await onServer(async (session) => {
    await session.query(`CREATE ROLE ${role} LOGIN SUPERUSER PASSWORD 'x'`);
    await session.query(`ALTER ROLE ${role} SET client_encoding = 'LATIN1'`);
  });
  await shop.run(`CREATE TABLE letters AS SELECT 'ж € 日' AS letter`);
  const url = urlOf({...shop.connection, user: role, password: 'x'});
  const made = await runCli(['backup', '--json'], {cwd: folder, env: {DIRECT_URL: url}});
  await onServer((session) => session.query(`DROP ROLE ${role}`));
  expect(made.status, made.stdout).toBe(0);
});

it('an installed pg_dump that cannot run is not reported as missing', async () => {
  const pgBin = await replaceTools(folder, inject('serverBin'), {});
  await rm(join(pgBin, 'pg_dump'));
  const script = `#!/bin/sh\\necho "libpq.so.5: version mismatch" >&2\\nexit 127\\n`;
  await runProgram('bash', [
    '-c',
    `printf '${script}' >"$1" && chmod 755 "$1"`,
    'bash',
    join(pgBin, 'pg_dump'),
  ]);
  const made = await runCli(['backup', '--pg-bin', pgBin, '--json'], {cwd: folder, env: env()});
  expect(made.json()).toMatchObject({
    error: {code: 'TOOL_FAILED', details: [expect.stringContaining('version mismatch') as string]},
  });
});

it('an unreadable home folder does not cause a warning in every run', async () => {
  const home = join(folder, 'home');
  // This file is unreadable even for root.
  await mkdir(join(home, '.local/share/destino-db/package.json'), {recursive: true});
  const {status, stderr} = await runCli(['list'], {
    cwd: folder,
    env: {...env(), HOME: home, XDG_DATA_HOME: ''},
  });
  expect([status, stderr]).toEqual([0, '']);
});
