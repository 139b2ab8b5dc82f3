/** Faults from outside the program: its server, its network, its disk, its clock, its tools. */
import {type ChildProcess, execFileSync, spawnSync} from 'node:child_process';
import {once} from 'node:events';
import {existsSync, readFileSync} from 'node:fs';
import {chmod, cp, mkdir, open, readdir, readFile, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {inject} from 'vitest';
import type {FaultPoint} from '../../src/lib/run/fault-points.js';
import type {Traces} from './check-promises.js';
import {type FaultServer, needle} from './fault-server.js';
import type {Begun, Fault, Story} from './fault-story.js';
import {descendants, processState, until} from './observe.js';
import {requirePrograms} from './require-programs.js';
import {runCli, tempFolder} from './run-cli.js';
import {type Break, startProxy} from './server-proxy.js';

/** The server was down when the run would have cleaned up there. */
const onServer: Traces = {inFolder: false, onServer: true};

/** If every call may fail, those for cleaning up may fail too. */
const everywhere: Traces = {inFolder: true, onServer: true};

const stopAt = (point: FaultPoint): NonNullable<Begun['options']> => ({
  env: {DESTINO_DB_FAULT: `${point}=SIGSTOP`},
});

/** Runs `happen` while the program is stopped, then continues the program. */
async function whileStopped(child: ChildProcess, happen: () => Promise<void>): Promise<void> {
  const {pid} = child;
  if (pid === undefined) throw new Error('the program has no process');
  await until('the program stands still', async () => {
    const state = await processState(pid);
    if (state === undefined || state === 'Z') throw new Error('it has ended');
    return state === 'T';
  });
  try {
    await happen();
  } finally {
    child.kill('SIGCONT');
  }
}

/** The server ends its sessions and restarts at once. */
export const serverRestarts = (point: FaultPoint): Fault => ({
  at: point,
  name: 'server restarted (fast)',
  ending: 'error or success',
  begin: (host) => ({
    options: stopAt(point),
    strike: (child) =>
      whileStopped(child, async () => {
        await host.halt('fast');
        await host.resume();
      }),
  }),
});

/** The server stops as in a crash, and stays down until the run has ended. */
export const serverCrashes = (point: FaultPoint): Fault => ({
  at: point,
  name: 'server stopped (immediate)',
  ending: 'error or success',
  begin: (host) => ({
    options: stopAt(point),
    strike: (child) => whileStopped(child, () => host.halt('immediate')),
    mend: () => host.resume(),
    leaves: onServer,
  }),
});

export const sessionsEnd = (point: FaultPoint): Fault => ({
  at: point,
  name: 'sessions terminated',
  ending: 'error or success',
  begin: (host) => ({
    options: stopAt(point),
    strike: (child) => whileStopped(child, () => host.endSessions()),
  }),
});

type Proxy = Awaited<ReturnType<typeof startProxy>>;

/** A fault while the row with the needle is being transferred, before the end of that row. */
function inCopy(
  name: string,
  ending: Fault['ending'],
  broken: Break,
  strike: (child: ChildProcess, host: FaultServer, proxy: Proxy) => Promise<void> | void = () => undefined,
  more: (host: FaultServer) => Pick<Begun, 'mend' | 'leaves'> = () => ({}),
): Fault {
  return {
    at: 'in the middle of COPY',
    name,
    ending,
    begin: async (host) => {
      const proxy = await startProxy(host.server, {needle}, broken);
      const {mend, leaves} = more(host);
      return {
        server: proxy.connection,
        strike: async (child) => {
          await Promise.race([proxy.reached, once(child, 'exit')]);
          if (proxy.isReached()) await strike(child, host, proxy);
        },
        hasHappened: proxy.isReached,
        mend: async () => {
          proxy.breakSilence();
          await mend?.();
        },
        ...(leaves ? {leaves} : {}),
        end: () => proxy.close(),
      };
    },
  };
}

/** The network breaks one connection while rows are being transferred. */
export const connectionReset = inCopy('connection reset', 'error', 'reset');
export const connectionCut = inCopy('connection cut short', 'error', 'close');

export const connectionDelayed = inCopy(
  'connection delayed',
  'success',
  'hold',
  async (_child, host, proxy) => {
    await host.run('CHECKPOINT'); // the server works for all other sessions
    proxy.release();
  },
);

/** No data arrives any more and no end is reported: only the user can end that. */
export const connectionSilent = inCopy(
  'connection silent, then SIGINT',
  'SIGINT',
  'silence',
  (child) => void child.kill('SIGINT'),
  () => ({leaves: onServer}),
);

export const interruptedInCopy = (signal: 'SIGINT' | 'SIGTERM'): Fault =>
  inCopy(signal, signal, 'hold', async (child, _host, proxy) => {
    child.kill(signal);
    if (child.stderr) await once(child.stderr, 'data');
    proxy.release();
  });

export const killedInCopy = inCopy('SIGKILL', 'killed', 'hold', (child, _host, proxy) => {
  child.kill('SIGKILL');
  proxy.release();
});

const tools = ['pg_dump', 'pg_restore'] as const;

/** Like the kernel if memory runs out. */
export const toolKilled = inCopy(
  'tool killed (out of memory)',
  'error',
  'hold',
  async (child, _host, proxy) => {
    const pids = await Promise.all(tools.map((tool) => descendants(child.pid ?? 0, tool)));
    for (const pid of pids.flat()) process.kill(pid, 'SIGKILL');
    proxy.release();
    if (pids.flat().length === 0) throw new Error('no tool was at work');
  },
);

export const sessionsEndInCopy = inCopy(
  'sessions terminated',
  'error or success',
  'hold',
  async (_child, host, proxy) => {
    await host.endSessions();
    proxy.release();
  },
);

export const serverRestartsInCopy = inCopy(
  'server restarted (fast)',
  'error or success',
  'hold',
  async (_child, host, proxy) => {
    await host.halt('fast');
    await host.resume();
    proxy.release();
  },
  () => ({leaves: onServer}),
);

/** The server may already have sent the last rows, and then nothing is missing. */
export const serverCrashesInCopy = inCopy(
  'server stopped (immediate)',
  'error or success',
  'hold',
  async (_child, host, proxy) => {
    await host.halt('immediate');
    proxy.release();
  },
  (host) => ({leaves: onServer, mend: () => host.resume()}),
);

/** Killed while sending the `piece`-th piece to its server: the steps between the fault points, one after the other. */
export const killedAtPiece = (piece: number): Fault => ({
  at: 'as it talks to its server',
  name: 'SIGKILL',
  ending: 'killed',
  mayComeFirst: piece === 1, // the start is recorded beside the first connection
  begin: async (host) => {
    const proxy = await startProxy(host.server, {piece}, 'hold');
    return {
      server: proxy.connection,
      strike: async (child) => {
        await Promise.race([proxy.reached, once(child, 'exit')]);
        child.kill('SIGKILL');
        proxy.release();
      },
      hasHappened: proxy.isReached,
      end: () => proxy.close(),
    };
  },
});

/** Number of pieces that a complete run sends to its server; `round` as for `prepare`. */
export async function countPieces(host: FaultServer, story: Story, round: number): Promise<number> {
  const proxy = await startProxy(host.server, {}, 'pass');
  const {home, url, args, isDone} = await story.prepare(round, proxy.connection);
  try {
    await runCli(args, {cwd: home, env: {DIRECT_URL: url}});
    if (!(await isDone())) throw new Error(`${story.command} does not work`);
    return proxy.pieces();
  } finally {
    await proxy.close();
    await rm(home, {recursive: true, force: true});
  }
}

const changingCalls = 'fsync,rename,unlink,rmdir,mkdir,pwrite64,ftruncate';

/**
 * The `number`-th call of a thread that changes a file kills its process as it begins, or fails (strace(1), "-e inject").
 * With one thread for files the calls of a run come in one order; a tool of the program counts its own.
 */
export const fileCall = (happens: 'SIGKILL' | 'ENOSPC', number: number): Fault => {
  const what = happens === 'SIGKILL' ? 'signal=SIGKILL' : 'error=ENOSPC';
  const inject = `inject=${changingCalls}:${what}:when=${number}`;
  return {
    at: 'at each call that changes a file',
    name: happens === 'SIGKILL' ? 'SIGKILL' : 'disk full',
    ending: happens === 'SIGKILL' ? 'killed, or error of a killed tool' : 'error or success',
    mayComeFirst: true,
    begin: async () => {
      requirePrograms('strace');
      const folder = await tempFolder();
      const trace = join(folder, 'trace');
      return {
        options: {
          under: ['strace', '-f', '-qq', '-o', trace, '-e', `trace=${changingCalls}`, '-e', inject],
          env: {UV_THREADPOOL_SIZE: '1'},
        },
        // Killed calls are recognised by how the run ends.
        ...(happens === 'SIGKILL'
          ? {}
          : {leaves: everywhere, hasHappened: () => readFileSync(trace, 'utf8').includes('(INJECTED)')}),
        end: () => rm(folder, {recursive: true}),
      };
    },
  };
};

/** No file of the run may grow past the limit, as on a disk that fills or with a quota (ulimit -f, in KiB). */
export const fileSizeLimit = (kib: number): Fault => ({
  at: `files end at ${kib} KiB`,
  name: 'disk full (size limit)',
  ending: 'error or success',
  begin: () => ({options: {under: ['bash', '-c', `ulimit -f ${kib}; exec "$@"`, 'bash']}}),
});

/** The faults, or none with a note if no file system can be mounted: that needs root outside most containers. */
export function whereDisksCanBeMade(...faults: readonly Fault[]): readonly Fault[] {
  if (canMount()) return faults;
  note('No file system can be mounted here: full disks are shown by limits on the size of files alone.');
  return [];
}

function note(text: string): void {
  process.stderr.write(`${text}\n`);
}

function canMount(): boolean {
  const folder = fileURLToPath(new URL('.', import.meta.url));
  const trial = spawnSync('unshare', ['--mount', 'mount', '-t', 'tmpfs', 'tmpfs', folder]);
  return process.getuid?.() === 0 && trial.status === 0;
}

/** The backups are on a file system of a few MiB, which is filled to the last byte while the program is stopped. */
export const diskFilled = (point: FaultPoint): Fault => ({
  at: point,
  name: 'disk full',
  ending: 'error or success',
  begin: () => {
    let disk = '';
    return {
      options: stopAt(point),
      arrange: async ({watched}) => {
        disk = watched.backupsDir;
        const aside = `${disk}.aside`;
        await mkdir(disk, {recursive: true});
        await cp(disk, aside, {recursive: true});
        execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', disk]);
        await cp(aside, disk, {recursive: true});
      },
      strike: (child) => whileStopped(child, () => fill(join(disk, '.fill'))),
      mend: () => rm(join(disk, '.fill')),
      end: () => {
        execFileSync('umount', ['-l', disk]);
        return Promise.resolve();
      },
    };
  },
});

async function fill(path: string): Promise<void> {
  const file = await open(path, 'w');
  try {
    for (let size = 1024 * 1024; size >= 1; size = Math.floor(size / 2)) {
      const block = Buffer.alloc(size);
      while (await file.write(block).then(({bytesWritten}) => bytesWritten === size, isFull));
    }
  } finally {
    await file.close();
  }
}

function isFull(error: NodeJS.ErrnoException): false {
  if (error.code === 'ENOSPC') return false;
  throw error;
}

export interface Rights {
  readonly account?: {readonly uid: number; readonly gid: number};
}

/** The faults for an account without root's privileges, or none with a note if others cannot read root's program. */
export function whereModesHold(faults: (rights: Rights) => readonly Fault[]): readonly Fault[] {
  const rights = rightsWithoutRoot();
  if (rights) return faults(rights);
  note('The account "nobody" cannot read this program: read-only folders are not shown here.');
  return [];
}

function rightsWithoutRoot(): Rights | undefined {
  if (process.getuid?.() !== 0) return {};
  const account = {uid: 65534, gid: 65534}; // nobody, nogroup
  const program = fileURLToPath(new URL('../../bin/run.js', import.meta.url));
  const trial = spawnSync(process.execPath, [program, '--version'], {...account, cwd: '/'});
  return trial.status === 0 ? {account} : undefined;
}

/** The write permission of the backups folder is removed. */
export const folderReadOnly = (point: FaultPoint, rights: Rights): Fault => ({
  at: point,
  name: 'folder read-only',
  ending: 'error or success',
  begin: () => {
    let backups = '';
    let owned = '';
    const setMode = async (mode: number): Promise<void> => {
      for (const folder of await foldersOf(backups)) await chmod(folder, mode);
    };
    const giveTo = (uid: number, gid: number): void => {
      execFileSync('chown', ['-R', `${uid}:${gid}`, owned]);
    };
    return {
      options: {env: {...stopAt(point).env, HOME: '/'}, ...rights},
      arrange: async ({home, watched}) => {
        backups = watched.backupsDir;
        owned = home;
        if (rights.account) giveTo(rights.account.uid, rights.account.gid);
        return Promise.resolve();
      },
      strike: (child) => whileStopped(child, () => setMode(0o500)),
      mend: async () => {
        await setMode(0o700);
        // The program trusts only files of the user who runs it, and the promises are checked as root.
        if (rights.account) giveTo(0, 0);
      },
      leaves: {inFolder: true, onServer: false},
    };
  },
});

async function foldersOf(root: string): Promise<string[]> {
  const entries = await readdir(root, {withFileTypes: true, recursive: true});
  return [
    root,
    ...entries.filter((entry) => entry.isDirectory()).map((entry) => join(entry.parentPath, entry.name)),
  ];
}

const clockModule = new URL('./jumping-clock.mjs', import.meta.url).href;

/** The machine's clock is changed, for example by NTP or manually. */
export const clockJumps = (point: FaultPoint, hours: number): Fault => ({
  at: point,
  name: hours > 0 ? 'clock set forward' : 'clock set back',
  ending: 'success',
  begin: async () => {
    const folder = await tempFolder();
    const file = join(folder, 'jump');
    await writeFile(file, '0');
    const env = {...stopAt(point).env, NODE_OPTIONS: `--import=${clockModule}`, CLOCK_JUMP: file};
    return {
      options: {env},
      strike: (child) => whileStopped(child, () => writeFile(file, String(hours * 3_600_000))),
      end: () => rm(folder, {recursive: true}),
    };
  },
});

/** A tool that prints its version and otherwise hangs. */
export const toolHangs = (tool: (typeof tools)[number], isStubborn = false): Fault => ({
  at: `${tool} hangs${isStubborn ? ' and ignores SIGTERM' : ''}`,
  name: 'tool hangs, then SIGINT',
  ending: 'SIGINT',
  begin: async () => {
    const folder = await tempFolder();
    const started = join(folder, 'started');
    const real = join(inject('serverBin'), tool);
    const script = `#!/bin/sh
case "$*" in *--version*) exec ${real} "$@";; esac
${isStubborn ? "trap '' TERM" : ''}
echo $$ >${started}.part && mv ${started}.part ${started}
exec sleep 1000000
`;
    await writeFile(join(folder, tool), script, {mode: 0o755});
    return {
      options: {env: {PATH: `${folder}:${process.env['PATH'] ?? ''}`}},
      strike: async (child) => {
        await until(`${tool} hangs`, () => existsSync(started));
        child.kill('SIGINT');
      },
      mend: async () => {
        const pid = Number(await readFile(started, 'utf8'));
        if ((await processState(pid)) !== undefined) throw new Error(`${tool} still hangs as process ${pid}`);
      },
      end: () => rm(folder, {recursive: true}),
    };
  },
});
