/** Runs the compiled program as a user's shell would. */
import {type ChildProcess, spawn} from 'node:child_process';
import {chmodSync, existsSync, mkdtempSync} from 'node:fs';
import {mkdtemp} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';

export const program = fileURLToPath(new URL('../../bin/run.js', import.meta.url));

export interface CliResult {
  /** Exit status; null when a signal ended it. */
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
  /** stdout as JSON. */
  json(): unknown;
}

export interface CliOptions {
  cwd?: string;
  /** The complete environment in addition to PATH, HOME, TMPDIR and XDG_CACHE_HOME. */
  env?: Readonly<Record<string, string>>;
  stdin?: string;
  /** A program, with arguments, that starts the program: prlimit, strace. */
  under?: readonly string[];
  /** The account that it runs under, if this process may choose. */
  account?: {readonly uid: number; readonly gid: number};
  /** Called with the started process, to send signals. */
  onStart?: (child: ChildProcess) => void;
}

export async function runCli(args: readonly string[], options: CliOptions = {}): Promise<CliResult> {
  if (!existsSync(fileURLToPath(new URL('../../dist', import.meta.url))))
    throw new Error('not built: run npm run build');
  const [command = '', ...words] = [...(options.under ?? []), process.execPath, program, ...args];
  return runProgram(command, words, options);
}

/** Runs any program to its end, with the environment that the options name. Calls `onStart` before it returns its promise. */
export async function runProgram(
  command: string,
  args: readonly string[],
  options: Omit<CliOptions, 'under'> = {},
): Promise<CliResult> {
  const child = spawn(command, args, {
    ...options.account,
    cwd: options.cwd ?? tmpdir(),
    env: {
      PATH: process.env['PATH'],
      HOME: process.env['HOME'] ?? '/',
      TMPDIR: ownTemporaryFolder(),
      // One for all tests: every program that starts uses what the others compiled.
      XDG_CACHE_HOME: join(root(), 'cache'),
      ...coverageEnvironment(),
      ...options.env,
    },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const output = {stdout: '', stderr: ''};
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (output.stdout += chunk));
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (output.stderr += chunk));
  child.stdin.on('error', () => undefined); // the program may end before it reads anything
  child.stdin.end(options.stdin ?? '');
  options.onStart?.(child);
  const [status, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, sig) => resolve([code, sig]));
  });
  return {status, signal, ...output, json: () => JSON.parse(output.stdout) as unknown};
}

/** Makes a started program record which of its code ran; scripts/coverage.mjs sets the folder for it. */
function coverageEnvironment(): Record<string, string> {
  const folder = process.env['DESTINO_TEST_COVERAGE'];
  return folder === undefined ? {} : {NODE_V8_COVERAGE: folder, NODE_DISABLE_COMPILE_CACHE: '1'};
}

let temporary: string | undefined;

/**
 * The temporary folder of all programs that a test file starts. In a shared one every run of another file would remove the folders that a
 * killed run left, and `recover` would find those of others.
 */
function ownTemporaryFolder(): string {
  if (temporary === undefined) {
    temporary = mkdtempSync(join(root(), 't-'));
    chmodSync(temporary, 0o1777); // for programs under other accounts
  }
  return temporary;
}

/** A separate folder of the test, inside the one that is removed at the end of the run. */
export async function tempFolder(): Promise<string> {
  return mkdtemp(join(root(), 't-'));
}

function root(): string {
  return process.env['DESTINO_TEST_FOLDER'] ?? tmpdir();
}
