/** Events of the user's terminal: Ctrl-C once and twice, a terminal or a reader that closes. */
import {type ChildProcess, spawn} from 'node:child_process';
import {once} from 'node:events';
import {rm} from 'node:fs/promises';
import {fileURLToPath} from 'node:url';
import {afterAll, afterEach, beforeAll, beforeEach, expect, it} from 'vitest';
import {withAppSession} from '../support/app-session.js';
import {withDatabase} from '../../src/lib/postgres/connect/connection.js';
import {checkPromises, noTraces} from '../support/check-promises.js';
import {
  backupIds,
  type FaultServer,
  freshHome,
  mustRun,
  needle,
  startFaultServer,
} from '../support/fault-server.js';
import {descendants, processState, until} from '../support/observe.js';
import {runCli} from '../support/run-cli.js';
import {type Break, type ServerProxy, startProxy} from '../support/server-proxy.js';
import {urlOf} from '../support/temp-database.js';

const program = fileURLToPath(new URL('../../bin/run.js', import.meta.url));

let host: FaultServer;
let content = '';
let home = '';
let proxy: ServerProxy | undefined;
beforeAll(async () => {
  host = await startFaultServer();
  await host.reset({shop: 'small_template'});
  content = await host.contentOf('shop');
});
afterAll(() => host.stop());
beforeEach(async () => {
  home = await freshHome();
});
afterEach(async () => {
  await proxy?.close();
  await rm(home, {recursive: true, force: true});
});

/** The shop, connected through a network that breaks in the middle of a table. */
async function shopThrough(broken: Break): Promise<{url: string; through: ServerProxy}> {
  const through = await startProxy(host.server, {needle}, broken);
  proxy = through;
  return {through, url: urlOf(withDatabase(through.connection, 'shop'))};
}

async function expectNothingLost(): Promise<void> {
  const watched = {
    backupsDir: `${home}/backups`,
    server: host.server,
    databases: {shop: [content]},
    kept: [],
  };
  expect(await checkPromises(watched, noTraces)).toEqual([]);
}

async function startUntilRows(
  url: string,
  through: ServerProxy,
): Promise<{child: ChildProcess; ended: ReturnType<typeof runCli>}> {
  let child: ChildProcess | undefined;
  const ended = runCli(['backup'], {
    cwd: home,
    env: {DIRECT_URL: url},
    onStart: (started) => (child = started),
  });
  await through.reached;
  if (!child) throw new Error('it did not start');
  return {child, ended};
}

it.each([
  ['SIGINT', 130],
  ['SIGTERM', 143],
  ['SIGHUP', 143],
] as const)(
  'the first %s ends tools and sessions, removes the unfinished file, says so and exits %i',
  async (signal, status) => {
    const {url, through} = await shopThrough('hold');
    const {child, ended} = await startUntilRows(url, through);
    expect(await descendants(child.pid ?? 0, 'pg_dump')).toHaveLength(1);
    child.kill(signal);
    const run = await ended;
    expect(run.status).toBe(status);
    expect(run.stderr).toContain('Stopping: ending the tools and cleaning up; interrupt again to force it.');
    expect(run.stderr).toMatch(/Error (INTERRUPTED|TERMINATED): .*Unfinished work was cleaned up/);
    through.release();
    await expectNothingLost();
  },
);

/** In a separate session, because inside a transaction the server shows only one snapshot of its activity. */
async function isWaiting(): Promise<boolean> {
  const sql = `SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'`;
  return withAppSession(host.server, async (session) => (await session.query(sql)).length > 0);
}

it('ends its own statement that waits on the server for another session', async () => {
  await withAppSession(host.at('shop'), async (other) => {
    await other.query('BEGIN');
    await other.query('LOCK TABLE dishes IN ACCESS EXCLUSIVE MODE');
    let child: ChildProcess | undefined;
    const run = runCli(['backup', '--format', 'sql'], {
      cwd: home,
      env: {DIRECT_URL: host.urlOf('shop')},
      onStart: (started) => (child = started),
    });
    await until('it waits for the lock', isWaiting);
    child?.kill('SIGINT');
    expect((await run).status).toBe(130);
    await until('the server has let go', async () => !(await isWaiting()));
    await other.query('ROLLBACK');
  });
  await expectNothingLost();
});

it('ends at once on the second Ctrl-C, even while the network is silent, and recover cleans up', async () => {
  const {url, through} = await shopThrough('hold');
  const {child, ended} = await startUntilRows(url, through);
  const [tool = 0] = await descendants(child.pid ?? 0, 'pg_dump');
  process.kill(tool, 'SIGSTOP'); // it does not end either
  let said = '';
  child.stderr?.on('data', (text: string) => (said += text));
  child.kill('SIGINT');
  await until('it says that it stops', () => said.includes('Stopping'));
  child.kill('SIGINT');
  expect((await ended).status).toBe(130);
  // The end of the program has ended it, within two seconds.
  await until('the tool is gone', async () => ['Z', undefined].includes(await processState(tool)));
  through.release();
  await mustRun(home, host.urlOf('shop'), 'recover', '--yes');
  await expectNothingLost();
});

it('cleans up when its terminal is closed', async () => {
  const {url, through} = await shopThrough('hold');
  // script(1) gives the program its own terminal, which closes when script is killed.
  const terminal = spawn('script', ['-qec', `${process.execPath} ${program} backup`, '/dev/null'], {
    cwd: home,
    env: {PATH: process.env['PATH'], HOME: '/', DIRECT_URL: url},
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  await through.reached;
  const [pid = 0] = await descendants(terminal.pid ?? 0, 'destino-db');
  expect(pid).toBeGreaterThan(0);
  terminal.kill('SIGKILL');
  await until('the program has ended', async () => [undefined, 'Z'].includes(await processState(pid)));
  through.release();
  await expectNothingLost();
});

it.each([
  ['a reader that reads one line', `backup | head -1`],
  ['a closed stderr', `backup 2>&-`],
  ['a closed stdout', `backup >&-`],
  ['a reader of stderr that goes away', `backup 2>&1 >/dev/null | head -1`],
])('finishes its work with %s', async (_what, words) => {
  const shell = spawn('bash', ['-c', `set -o pipefail; ${process.execPath} ${program} ${words}`], {
    cwd: home,
    env: {PATH: process.env['PATH'], HOME: '/', DIRECT_URL: host.urlOf('shop')},
    stdio: 'ignore',
  });
  const [status] = (await once(shell, 'close')) as [number];
  expect(status).toBe(0);
  expect(await backupIds(home)).toHaveLength(1);
  await expectNothingLost();
});
