/** Two runs on the same folder or the same database: the second waits, or reports the running one. */
import type {ChildProcess} from 'node:child_process';
import {rm, stat, utimes} from 'node:fs/promises';
import {hostname} from 'node:os';
import {join} from 'node:path';
import {afterAll, afterEach, beforeAll, beforeEach, expect, it, vi} from 'vitest';
import {withFolderLock} from '../../src/lib/run/lock.js';
import type {FaultPoint} from '../../src/lib/run/fault-points.js';
import {backupIds, type FaultServer, freshHome, mustRun, startFaultServer} from '../support/fault-server.js';
import {processState, until} from '../support/observe.js';
import {type CliResult, runCli} from '../support/run-cli.js';
import {testContext} from '../support/test-context.js';

let host: FaultServer;
let home = '';
beforeAll(async () => {
  host = await startFaultServer();
});
afterAll(() => host.stop());
beforeEach(async () => {
  await host.reset({shop: 'small_template'});
  home = await freshHome();
});
afterEach(() => rm(home, {recursive: true, force: true}));

const run = (folder: string, ...args: string[]): Promise<CliResult> =>
  runCli(args, {cwd: folder, env: {DIRECT_URL: host.urlOf('shop')}});

interface Stopped {
  readonly child: ChildProcess;
  readonly ended: Promise<CliResult>;
}

/** A run that stops at a checkpoint. */
async function stoppedAt(point: FaultPoint, folder: string, ...args: string[]): Promise<Stopped> {
  let child: ChildProcess | undefined;
  const env = {DIRECT_URL: host.urlOf('shop'), DESTINO_DB_FAULT: `${point}=SIGSTOP`};
  const ended = runCli(args, {cwd: folder, env, onStart: (started) => (child = started)});
  await until('the run stands still', async () => (await processState(child?.pid ?? 0)) === 'T');
  if (!child) throw new Error('it did not start');
  return {child, ended};
}

it('refuses a second backup into the folder with 5, and names the process, its machine and its age', async () => {
  const {child, ended} = await stoppedAt('backup.dumped', home, 'backup');
  const second = await run(home, 'backup');
  expect(second.status).toBe(5);
  expect(second.stderr).toMatch(
    new RegExp(
      `Error LOCKED: .*"backup" \\(pid ${child.pid} on ${hostname()}\\), started .*\\. Nothing was done`,
    ),
  );
  expect(second.stderr).toContain('--wait');
  child.kill('SIGCONT');
  expect((await ended).status).toBe(0);
  expect(await backupIds(home)).toHaveLength(1);
});

it('waits with --wait until the other run has ended', async () => {
  const {child, ended} = await stoppedAt('backup.dumped', home, 'backup');
  let waiting = '';
  const second = runCli(['backup', '--wait', '60'], {
    cwd: home,
    env: {DIRECT_URL: host.urlOf('shop')},
    onStart: ({stderr}) => stderr?.on('data', (text: string) => (waiting += text)),
  });
  await until('it has looked at the database', () => /Look at the database: .* in \d/.test(waiting));
  child.kill('SIGCONT');
  expect((await ended).status).toBe(0);
  expect((await second).status).toBe(0);
  expect(await backupIds(home)).toHaveLength(2);
});

it('gives up after --wait, and reports how long it waited', async () => {
  const {child, ended} = await stoppedAt('backup.dumped', home, 'backup');
  const second = await run(home, 'backup', '--wait', '1');
  expect(second.status).toBe(5);
  expect(second.stderr).toContain('did not end within 1.0 s');
  child.kill('SIGCONT');
  await ended;
});

it('takes over at once after a run was killed', async () => {
  const {child, ended} = await stoppedAt('backup.dumped', home, 'backup');
  child.kill('SIGKILL');
  await ended;
  expect((await run(home, 'backup')).status).toBe(0);
});

it('lets one run change a database at a time, for every folder and command', async () => {
  await mustRun(home, host.urlOf('shop'), 'backup');
  const other = await freshHome(home);
  const restore = ['restore', '--latest', '--drop-existing', '--yes'];
  const {child, ended} = await stoppedAt('staging.made', home, ...restore);
  for (const args of [restore, ['restore', '--latest', '--drop-existing', '--yes', '--wait', '1']]) {
    const second = await run(other, ...args);
    expect(second.status).toBe(5);
    expect(second.stderr).toMatch(
      /Error LOCKED: Another run is using the database "shop" \(server process \d+ from 127\.0\.0\.1, since 20/,
    );
  }
  child.kill('SIGCONT');
  expect((await ended).status).toBe(0);
  expect((await run(other, ...restore)).status).toBe(0);
  await rm(other, {recursive: true, force: true});
});

it('shows that its owner is alive by touching the lock every ten seconds', async () => {
  const folder = join(home, 'backups', 'database');
  vi.useFakeTimers({toFake: ['setInterval', 'clearInterval']});
  try {
    await withFolderLock(
      testContext(home),
      folder,
      async () => {
        const path = join(home, 'backups', '.locks', 'database.lock');
        const longAgo = new Date(Date.now() - 3_600_000);
        await utimes(path, longAgo, longAgo);
        vi.advanceTimersByTime(9_999);
        expect(Date.now() - (await stat(path)).mtimeMs).toBeGreaterThan(3_000_000);
        vi.advanceTimersByTime(1);
        await until('it was touched', async () => Date.now() - (await stat(path)).mtimeMs < 60_000);
      },
      {command: 'backup'},
    );
  } finally {
    vi.useRealTimers();
  }
});
