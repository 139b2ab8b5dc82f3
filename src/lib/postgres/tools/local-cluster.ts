/** A temporary PostgreSQL server on this machine: for restore tests, the demo, the benchmark and the tests. */
import {spawn} from 'node:child_process';
import {randomBytes, randomInt} from 'node:crypto';
import {constants} from 'node:fs';
import {
  access,
  chmod,
  chown,
  lchown,
  mkdir,
  open,
  readdir,
  readFile,
  stat,
  writeFile,
} from 'node:fs/promises';
import {createServer} from 'node:net';
import {join} from 'node:path';
import {setTimeout as delay} from 'node:timers/promises';
import {AppError, messageOf, systemErrorCode} from '../../base/errors.js';
import {makeTemporaryFolder} from '../../base/temporary-folder.js';
import type {Connection} from '../connect/connection.js';
import {usualFolders} from './find-tools.js';

export interface LocalCluster {
  /** As the superuser, to the database "postgres". */
  readonly connection: Connection;
  /** Process id of the server. */
  readonly pid: number;
  /** The folder with all files of the cluster. */
  readonly folder: string;
  readonly logFile: string;
  /** Stops the server and removes the folder. */
  stop(): Promise<void>;
}

export interface LocalClusterOptions {
  /** Folder with initdb and postgres. */
  readonly binFolder: string;
  /** Lines for postgresql.conf. */
  readonly settings?: readonly string[];
  /** Folder where the cluster stays after `stop` for the next start; without it the cluster is removed. */
  readonly keepIn?: string;
  /** Name of the superuser; "postgres" by default. */
  readonly superuser?: string;
  readonly signal?: AbortSignal;
}

const startLimitMs = 60_000;

/** Folders with server programs, newest major version first. */
export async function serverBinFolders(): Promise<{folder: string; major: number}[]> {
  const found: {folder: string; major: number}[] = [];
  for (const folder of await usualFolders()) {
    const major = Number(/[/@-](\d+)\/bin$/.exec(folder)?.[1]);
    if (Number.isInteger(major) && (await isExecutable(join(folder, 'initdb')))) found.push({folder, major});
  }
  return found.sort((a, b) => b.major - a.major);
}

/**
 * Creates and starts a cluster that listens only on 127.0.0.1 and a free port; the path of a socket would be too long for some
 * temporary folders. `stop` removes it, or a keeper process if this process dies first, for whatever reason.
 * @throws NOT_SUPPORTED_HERE if it cannot be started
 */
export async function startLocalCluster(options: LocalClusterOptions): Promise<LocalCluster> {
  const {keepIn, superuser = 'postgres'} = options;
  const folder = keepIn ?? (await makeTemporaryFolder('cluster'));
  const passwordFile = join(folder, 'password');
  const data = join(folder, 'data');
  const logFile = join(folder, 'server.log');
  // In a kept folder, the server may belong to another process until this one has started its own.
  let stop = keepIn === undefined ? startKeeper(folder, false) : undefined;
  try {
    const known = await readFile(join(data, 'PG_VERSION')).then(
      () => readFile(passwordFile, 'utf8'),
      () => undefined, // the cluster does not exist yet
    );
    const password = known?.trim() ?? randomBytes(12).toString('hex');
    if (known === undefined) {
      const account = await initialAccount();
      await mkdir(folder, {recursive: true});
      await writeFile(passwordFile, `${password}\n`, {mode: 0o600});
      await chmod(folder, 0o700);
      if (account) {
        await chown(passwordFile, account.uid, account.gid);
        await chown(folder, account.uid, account.gid);
      }
      await asAccount(join(options.binFolder, 'initdb'), [
        `--pgdata=${data}`, `--username=${superuser}`, `--pwfile=${passwordFile}`, '--auth=scram-sha-256',
        '--encoding=UTF8', '--locale=C.UTF-8', '--no-sync',
      ], account, logFile); // prettier-ignore
      if (account) await giveToNobodyElse(folder);
    }
    const account = process.getuid?.() === 0 ? await stat(data) : undefined;
    const port = await freePort();
    const settings = [
      `port = ${port}`, "listen_addresses = '127.0.0.1'", "unix_socket_directories = ''",
      'fsync = off', 'full_page_writes = off', 'autovacuum_naptime = 1h', "lc_messages = 'C'",
      ...(options.settings ?? []),
    ]; // prettier-ignore
    await writeFile(join(data, 'postgresql.auto.conf'), `${settings.join('\n')}\n`);
    const pid = await startServer(
      join(options.binFolder, 'postgres'),
      data,
      folder,
      account,
      logFile,
      options.signal,
    );
    stop ??= startKeeper(folder, true);
    return {
      pid,
      folder,
      logFile,
      connection: {
        host: '127.0.0.1',
        port,
        user: superuser,
        database: 'postgres',
        password,
        options: {sslmode: 'disable'},
        schema: undefined,
        isTransactionPooler: false,
        origin: 'a temporary local server',
      },
      stop,
    };
  } catch (error) {
    const log = await readFile(logFile, 'utf8').catch(() => '');
    await stop?.();
    if (error instanceof AppError && error.code === 'INTERRUPTED') throw error;
    throw new AppError('NOT_SUPPORTED_HERE', `Cannot start a local server: ${messageOf(error)}.`, {
      details: log.trim().split('\n').slice(-8),
      cause: error,
    });
  }
}

interface Account {
  uid: number;
  gid: number;
}

/** initdb refuses to run as root, and under an account without a name. */
async function initialAccount(): Promise<Account | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const accounts = await knownAccounts();
  return accounts.get('nobody') ?? accounts.get('postgres');
}

async function knownAccounts(): Promise<Map<string, Account>> {
  return new Map(
    (await readFile('/etc/passwd', 'utf8')).split('\n').map((line) => {
      const [name = '', , uid, gid] = line.split(':');
      return [name, {uid: Number(uid), gid: Number(gid)}] as const;
    }),
  );
}

/** Numbers for temporary accounts (systemd, "Users, Groups, UIDs and GIDs": dynamic service users). */
const passingAccounts = {first: 61_184, last: 65_519};

/**
 * The server runs the code of any restored backup, so it runs under a number without an account that owns only
 * this folder, without access to the files and processes of other services. If the number is not available, as in a
 * container with few of them, it uses the current account.
 */
async function giveToNobodyElse(folder: string): Promise<void> {
  const taken = new Set([...(await knownAccounts()).values()].map(({uid}) => uid));
  let number: number;
  do number = randomInt(passingAccounts.first, passingAccounts.last + 1);
  while (taken.has(number));
  try {
    await chown(folder, number, number);
  } catch (error) {
    if (systemErrorCode(error) === undefined) throw error;
    return;
  }
  for (const entry of await readdir(folder, {recursive: true}))
    await lchown(join(folder, entry), number, number);
}

/** As root, initdb needs another account than this process's, which run-tool does not support. */
async function asAccount(
  path: string,
  args: string[],
  account: Account | undefined,
  logFile: string,
): Promise<void> {
  const log = await open(logFile, 'a');
  try {
    const child = spawn(path, args, {
      ...idsOf(account),
      cwd: '/',
      env: toolEnvironment(),
      stdio: ['ignore', log.fd, log.fd],
    });
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', resolve);
    });
    if (code !== 0) throw new Error(`${path} ended with ${String(code)}`);
  } finally {
    await log.close();
  }
}

async function startServer(
  path: string,
  data: string,
  folder: string,
  account: Account | undefined,
  logFile: string,
  signal: AbortSignal | undefined,
): Promise<number> {
  const log = await open(logFile, 'a');
  // Detached: Ctrl-C at the terminal must reach only this program, which then stops the server properly.
  const child = spawn(path, ['-D', data], {
    ...idsOf(account), cwd: '/', env: toolEnvironment(), detached: true, stdio: ['ignore', log.fd, log.fd],
  }); // prettier-ignore
  await log.close();
  let failure: string | undefined;
  child.once('error', (error) => (failure = error.message));
  child.once('exit', (code) => (failure = `the server ended with ${String(code)}`));
  const endMs = Date.now() + startLimitMs;
  // postmaster.pid contains "ready" when connections are accepted (src/backend/utils/init/miscinit.c writes it).
  while (failure === undefined && Date.now() < endMs) {
    if (signal?.aborted) child.kill('SIGQUIT');
    signal?.throwIfAborted();
    const state = await readFile(join(data, 'postmaster.pid'), 'utf8').catch(() => '');
    if (state.startsWith(`${child.pid ?? 0}\n`) && /^ready\s*$/m.test(state)) {
      child.unref();
      child.removeAllListeners();
      return child.pid ?? 0;
    }
    await delay(20);
  }
  child.kill('SIGQUIT');
  throw new Error(failure ?? `the server in ${folder} was not ready after ${startLimitMs / 1000} s`);
}

/**
 * A separate session's process whose stdin is a pipe from here: when this process ends, for whatever reason,
 * the pipe closes, and the keeper stops the server and removes the folder. A kept server may finish its files first.
 * It stops only the process that is in the pid file and works in the folder, because the number may have been
 * reused meanwhile.
 */
function startKeeper(folder: string, isKept: boolean): () => Promise<void> {
  const [signal, limit, remove] = isKept ? ['INT', 1200, ''] : ['QUIT', 100, 'rm -rf -- "$1"'];
  const script =
    'cat >/dev/null 2>&1; read -r pid <"$1/data/postmaster.pid" || pid=; ' +
    'if [ -n "$pid" ] && { [ ! -e /proc/self ] || [ "/proc/$pid/cwd" -ef "$1/data" ]; }; then ' +
    `kill -${signal} "$pid" 2>/dev/null; n=0; ` +
    `while kill -0 "$pid" 2>/dev/null && [ $n -lt ${limit} ]; do sleep 0.1; n=$((n+1)); done; fi; ${remove}`;
  const keeper = spawn('/bin/sh', ['-c', script, 'sh', folder], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  keeper.unref();
  const ended = new Promise<void>((resolve) => keeper.once('exit', () => resolve()));
  let stopping: Promise<void> | undefined;
  return () => {
    stopping ??= (async () => {
      keeper.ref();
      keeper.stdin.end();
      await ended;
    })();
    return stopping;
  };
}

function idsOf(account: Account | undefined): Partial<Account> {
  return account ? {uid: account.uid, gid: account.gid} : {};
}

function toolEnvironment(): NodeJS.ProcessEnv {
  return {PATH: process.env['PATH'], LC_ALL: 'C', TZ: 'UTC'};
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  await new Promise<void>((resolve) => server.close(() => resolve()));
  if (address === null || typeof address === 'string') throw new Error('no free port');
  return address.port;
}

async function isExecutable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
