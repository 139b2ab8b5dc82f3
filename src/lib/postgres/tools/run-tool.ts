/** Runs one program: the only file that uses execa. No shell, no inherited secrets, bounded output. */
import {PassThrough, pipeline, type Readable} from 'node:stream';
import {pipeline as piped} from 'node:stream/promises';
import {AppError, type ErrorCode, messageOf, systemErrorCode} from '../../base/errors.js';
import {explainToolFailure} from '../explain-failure.js';

export interface ToolRun {
  /** Name for messages: "pg_dump". */
  tool: string;
  /** Absolute path of the program. */
  path: string;
  args: readonly string[];
  /** Variables beside what `passedOn` names and LC_ALL=C; nothing else is handed down. */
  environment: Readonly<Record<string, string>>;
  signal?: AbortSignal;
  /** What `signal` ends the program with: SIGTERM, and SIGKILL when that is not heeded, unless it is SIGKILL at once. */
  killSignal?: 'SIGTERM' | 'SIGKILL';
  /** Called with each line of stderr, without its newline. */
  onLine?: (line: string) => void;
  /** Whether a line of stderr tells of trouble and belongs into an error's details; every line by default. */
  isTelling?: (line: string) => boolean;
  /** Consumes stdout as it comes; its rejection ends the program. Without it stdout is discarded. */
  readStdout?: (stdout: Readable) => Promise<void>;
  /** A stream for stdin; closed otherwise. */
  stdin?: {stream: Readable};
  /** The code of a failure that explain-failure does not know. */
  failureCode: ErrorCode;
  /** Whether the program, with all that it starts, must end when this process is killed; one that writes to a pipe of ours ends by itself. */
  endsWithUs?: boolean;
  /** Exit statuses that are no failure; 0 alone by default. */
  acceptedExits?: readonly number[];
}

export interface ToolOutcome {
  exitCode: number;
  /** The last lines of stderr, at most 50. */
  stderrTail: string[];
}

/** Waits for a word from this process. Its end, which closes the pipe, comes without one when it was killed. */
const keeperScript = 'IFS= read -r word; [ "$word" = ended ] || kill -s KILL -- "-$1"';

const keptLines = 50;
const killAfterMs = 10_000;
/** Of a program's output, while its reader is busy. */
const heldBytes = 1 << 17;

/**
 * Runs the program to its end.
 * @throws INTERRUPTED when `signal` is aborted, the code that its stderr stands for when it fails, and what
 *   `readStdout` rejects with when the reader fails first.
 */
export async function runTool(run: ToolRun): Promise<ToolOutcome> {
  const {execa} = await import('execa');
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
    // A process group of its own, so that the workers of a parallel pg_dump or pg_restore can be ended with it.
    detached: run.endsWithUs ?? false,
  });
  const keeper =
    run.endsWithUs && child.pid !== undefined
      ? execa('/bin/sh', ['-c', keeperScript, 'sh', String(child.pid)], {
          stdin: 'pipe',
          stdout: 'ignore',
          stderr: 'ignore',
          reject: false,
          detached: true, // a signal for this process's group is not for the keeper
        })
      : undefined;

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
  keeper?.stdin.on('error', () => undefined).end('ended\n'); // it may be gone, as after `kill -9 -1`

  run.signal?.throwIfAborted();
  if (readerError !== undefined) {
    // A tool that died takes its stream with it; its own words tell more than "premature close".
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
    // A limit on the size of files (ulimit -f, a quota) ends a writer by this signal.
    if (result.signal === 'SIGXFSZ') throw explainToolFailure(run.tool, ['File too large'], run.failureCode);
    if (result.signal !== undefined) {
      throw new AppError('TOOL_KILLED', `${run.tool} was killed by ${result.signal}.`, {
        hint: result.signal === 'SIGKILL' ? 'Was the machine out of memory? See its kernel log.' : undefined,
        details: tail,
      });
    }
    throw new AppError(
      run.failureCode,
      `${run.tool} could not be started: ${messageOf(result.cause ?? result)}.`,
      {
        hint: systemErrorCode(result.cause) === 'EACCES' ? `Is ${run.path} executable?` : undefined,
      },
    );
  }
  throw explainToolFailure(run.tool, tail, run.failureCode);
}

/**
 * Node.js and execa let a program's output flow away where nobody reads it when it ends, and a reader may have to ask a store
 * or make a key before it begins.
 */
function kept(stdout: Readable): Readable {
  return pipeline(stdout, new PassThrough({highWaterMark: heldBytes}), () => undefined); // errors reach the reader
}

/** What programs need of this process's environment; never a database URL, so no tool can take the wrong database by habit. */
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
    // EPIPE: the program ended before reading everything; its exit code tells why.
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
