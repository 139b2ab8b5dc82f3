/** Runs a program: the only file that uses execa. No shell, no inherited secrets, bounded output. */
import {closeSync, openSync} from 'node:fs';
import {devNull} from 'node:os';
import {PassThrough, pipeline, type Readable} from 'node:stream';
import {pipeline as piped} from 'node:stream/promises';
import {AppError, type ErrorCode, limitError, messageOf, systemErrorCode} from '../../base/errors.js';
import {explainToolFailure} from '../explain-failure.js';

export interface ToolRun {
  /** Name for messages: "pg_dump". */
  tool: string;
  /** Absolute path of the program. */
  path: string;
  args: readonly string[];
  /** Variables in addition to `passedOn` and LC_ALL=C; no others are inherited. */
  environment: Readonly<Record<string, string>>;
  signal?: AbortSignal;
  /** How `signal` ends the program: SIGTERM and, if that has no effect, SIGKILL; or SIGKILL immediately. */
  killSignal?: 'SIGTERM' | 'SIGKILL';
  /** Called with each line of stderr, without its newline. */
  onLine?: (line: string) => void;
  /** Whether a line of stderr is an error and belongs into the details; by default every line is. */
  isTelling?: (line: string) => boolean;
  /** Consumes stdout while the program runs; its rejection ends the program. Without it stdout is discarded. */
  readStdout?: (stdout: Readable) => Promise<void>;
  /** A stream for stdin; closed otherwise. */
  stdin?: {stream: Readable};
  /** The code for a failure that explain-failure does not recognise. */
  failureCode: ErrorCode;
  /** Whether the program and its children must end when this process is killed; a program that writes to our pipe ends anyway. */
  endsWithUs?: boolean;
  /** Whether `signal` ends the children of the program too; needs `endsWithUs`, which gives them a process group. */
  isGroupEnded?: boolean;
  /** Exit statuses that are not failures; only 0 by default. */
  acceptedExits?: readonly number[];
}

export interface ToolOutcome {
  exitCode: number;
  /** The last lines of stderr, at most 50. */
  stderrTail: string[];
}

/** Waits for a message from this process. If this process is killed, the pipe closes without one. */
const keeperScript = 'IFS= read -r word; [ "$word" = ended ] || kill -s KILL -- "-$1"';

const keptLines = 50;
const killAfterMs = 10_000;
/** Buffer for a program's output while its reader is busy. */
const bufferedBytes = 1 << 17;

/** Pipes of a program and its keeper, both ends of each, and what Node.js opens to start them. */
const handlesOfATool = 16;

/**
 * Where the limit of open files is reached, Node.js creates no pipes and reports the error in an event that execa cannot receive: it would
 * end this process. Opening files gives the same error as a value.
 * @throws TOO_MANY_OPEN_FILES
 */
function requireFreeHandles(): void {
  const opened: number[] = [];
  try {
    while (opened.length < handlesOfATool) opened.push(openSync(devNull, 'r'));
  } catch (error) {
    throw limitError(error) ?? error;
  } finally {
    for (const file of opened) closeSync(file);
  }
}

/**
 * Runs the program to its end.
 * @throws INTERRUPTED if `signal` is aborted, the code for its stderr if it fails, and the error of
 *   `readStdout` if the reader fails first.
 */
export async function runTool(run: ToolRun): Promise<ToolOutcome> {
  const {execa} = await import('execa');
  requireFreeHandles();
  run.signal?.throwIfAborted();
  const tail: string[] = [];
  const child = execa(run.path, [...run.args], {
    extendEnv: false,
    env: {...passedOn(), LC_ALL: 'C', ...run.environment},
    stdin: run.stdin ? 'pipe' : 'ignore',
    stdout: run.readStdout ? 'pipe' : 'ignore',
    stderr: 'pipe',
    buffer: false,
    reject: false,
    ...(run.signal ? {cancelSignal: run.signal} : {}),
    killSignal: run.killSignal ?? 'SIGTERM',
    forceKillAfterDelay: killAfterMs,
    windowsHide: true,
    // A separate process group, so that the workers of a parallel pg_dump or pg_restore can be ended too.
    detached: run.endsWithUs ?? false,
  });
  const keeper =
    run.endsWithUs && child.pid !== undefined
      ? execa('/bin/sh', ['-c', keeperScript, 'sh', String(child.pid)], {
          stdin: 'pipe',
          stdout: 'ignore',
          stderr: 'ignore',
          reject: false,
          detached: true, // signals for this process's group must not reach the keeper
        })
      : undefined;

  const endGroup = run.isGroupEnded === true ? endGroupOn(run.signal, child.pid) : undefined;
  let readerError: Error | undefined;
  const stop = (error: unknown): void => {
    readerError ??= error instanceof Error ? error : new Error(String(error));
    child.kill('SIGTERM');
  };
  const reading =
    run.readStdout && child.stdout ? run.readStdout(kept(child.stdout)).catch(stop) : Promise.resolve();
  const feeding = run.stdin && child.stdin ? feed(run.stdin.stream, child.stdin, stop) : undefined;
  const lines = eachLine(child.stderr, (line) => {
    if (run.isTelling?.(line) ?? true) tail.push(line);
    if (tail.length > keptLines) tail.shift();
    run.onLine?.(line);
  });
  const [result] = await Promise.all([child, reading, lines, feeding]);
  endGroup?.();
  keeper?.stdin.on('error', () => undefined).end('ended\n'); // it may be dead, as after `kill -9 -1`

  run.signal?.throwIfAborted();
  if (readerError !== undefined) {
    // A dead tool closes its stream; its own output explains more than "premature close".
    if (tail.length > 0 && result.exitCode !== undefined && result.exitCode !== 0) {
      const explained = explainToolFailure(run.tool, tail, run.failureCode);
      if (!(readerError instanceof AppError)) throw explained;
    }
    throw readerError;
  }
  const accepted = run.acceptedExits ?? [0];
  if (result.exitCode !== undefined && accepted.includes(result.exitCode)) {
    return {exitCode: result.exitCode, stderrTail: tail};
  }
  if (result.exitCode === undefined) {
    if (result.signal === 'SIGINT') throw new AppError('INTERRUPTED', `${run.tool} was interrupted.`);
    // A limit on file sizes (ulimit -f, a quota) ends a writer with this signal.
    if (result.signal === 'SIGXFSZ') throw explainToolFailure(run.tool, ['File too large'], run.failureCode);
    if (result.signal !== undefined) {
      throw new AppError('TOOL_KILLED', `${run.tool} was killed by ${result.signal}.`, {
        ...(result.signal === 'SIGKILL'
          ? {hint: 'Did the machine run out of memory? Check its kernel log.'}
          : {}),
        details: tail,
      });
    }
    throw new AppError(run.failureCode, `Cannot start ${run.tool}: ${messageOf(result.cause ?? result)}.`, {
      ...(systemErrorCode(result.cause) === 'EACCES' ? {hint: `Is ${run.path} executable?`} : {}),
    });
  }
  throw explainToolFailure(run.tool, tail, run.failureCode);
}

/** Ends the process group when the signal comes: politely first. @returns what to call when the program has ended */
function endGroupOn(signal: AbortSignal | undefined, pid: number | undefined): () => void {
  const kill = (name: NodeJS.Signals): void => {
    try {
      if (pid !== undefined) process.kill(-pid, name);
    } catch {
      // all processes of the group have ended
    }
  };
  let force: NodeJS.Timeout | undefined;
  const end = (): void => {
    kill('SIGTERM');
    force = setTimeout(() => kill('SIGKILL'), killAfterMs / 2);
  };
  signal?.addEventListener('abort', end, {once: true});
  return () => {
    signal?.removeEventListener('abort', end);
    clearTimeout(force);
    if (signal?.aborted === true) kill('SIGKILL');
  };
}

/**
 * Node.js and execa discard unread output when the program ends, and a reader may first have to query a store
 * or derive a key.
 */
function kept(stdout: Readable): Readable {
  return pipeline(stdout, new PassThrough({highWaterMark: bufferedBytes}), () => undefined); // the reader gets the errors
}

/** Variables of this process that programs need; never a database URL, so that no tool connects to the wrong database. */
function passedOn(): Record<string, string> {
  const names = [
    'PATH',
    'HOME',
    'USERPROFILE',
    'SystemRoot',
    'TMPDIR',
    'TEMP',
    'TMP',
    'PGPASSFILE',
    'LD_LIBRARY_PATH',
  ];
  return Object.fromEntries(
    names.flatMap((name) => {
      const value = process.env[name];
      return value === undefined ? [] : [[name, value]];
    }),
  );
}

async function feed(
  source: Readable,
  stdin: NodeJS.WritableStream,
  stop: (error: unknown) => void,
): Promise<void> {
  try {
    await piped(source, stdin);
  } catch (error) {
    // EPIPE: the program ended before reading everything; its exit code shows why.
    if (systemErrorCode(error) !== 'EPIPE' && systemErrorCode(error) !== 'ERR_STREAM_PREMATURE_CLOSE')
      stop(error);
  }
}

const longestLine = 16_384;

async function eachLine(stream: Readable, onLine: (line: string) => void): Promise<void> {
  let rest = '';
  stream.setEncoding('utf8');
  for await (const chunk of stream as AsyncIterable<string>) {
    const lines = (rest + chunk).split('\n');
    rest = (lines.pop() ?? '').slice(0, longestLine);
    for (const line of lines) onLine(line.slice(0, longestLine));
  }
  if (rest !== '') onLine(rest);
}
