/** psql, fed with a plain dump on stdin. */
import {randomBytes} from 'node:crypto';
import {Readable} from 'node:stream';
import {type Connection, libpqEnvironment} from './connection.js';
import type {Tool} from './find-tools.js';
import {conninfoValue, sessionEnvironment, type ToastCompression} from './pg-restore.js';
import {runTool} from './run-tool.js';

export interface PsqlOptions {
  readonly stopsOnError: boolean;
  readonly toastCompression?: ToastCompression | undefined;
}

/**
 * No psqlrc, and exit status 3 on an error: without ON_ERROR_STOP psql ends with 0 whatever happened, even with -1
 * (manual, psql, "Exit Status"). Where it goes on after errors, each line names its SQLSTATE, for the words are in the server's own
 * language. A single transaction is up to the input: psql's own commits whatever came before the
 * input ended, also when it broke off.
 */
export function psqlArguments(options: PsqlOptions, database: string): string[] {
  return [
    '--no-psqlrc',
    '--quiet',
    '--no-password',
    `--dbname=dbname=${conninfoValue(database)}`,
    ...(options.stopsOnError
      ? ['--set=ON_ERROR_STOP=1']
      : ['--set=ON_ERROR_STOP=0', '--set=VERBOSITY=verbose']),
    '--file=-',
  ];
}

export interface PsqlRun {
  readonly tool: Tool;
  readonly connection: Connection;
  readonly options: PsqlOptions;
  readonly sql: Readable;
  readonly onLine?: (line: string) => void;
  readonly signal?: AbortSignal;
}

/** The first minor versions that know \\restrict, by major (release notes of August 2025, CVE-2025-8714); newer majors all do. */
const restrictingSince: Readonly<Record<number, number>> = {13: 22, 14: 19, 15: 14, 16: 10, 17: 6};

/** Whether this psql can be kept from running the commands of a file: programs, other files, other connections. */
export function canRestrict({version, major}: Pick<Tool, 'version' | 'major'>): boolean {
  const since = restrictingSince[major];
  if (since === undefined) return major > 17;
  return Number(/^\d+\.(\d+)/.exec(version)?.[1] ?? 0) >= since;
}

/**
 * psql is restricted by a key that nobody else knows, so that the input runs nothing but SQL even where it is read in
 * another way than it was checked: behind an error that is skipped, or with parts left out.
 * @throws DISK_FULL, PERMISSION_DENIED, ... or PSQL_FAILED
 */
export async function runPsql(run: PsqlRun): Promise<void> {
  const key = canRestrict(run.tool) ? randomBytes(24).toString('hex') : undefined;
  await runTool({
    tool: 'psql',
    path: run.tool.path,
    args: psqlArguments(run.options, run.connection.database),
    environment: {...libpqEnvironment(run.connection), ...sessionEnvironment(run.options)},
    failureCode: 'PSQL_FAILED',
    stdin: {stream: Readable.from(guarded(run.sql, key), {objectMode: false})},
    ...(run.onLine ? {onLine: run.onLine} : {}),
    ...(run.signal ? {signal: run.signal} : {}),
  });
}

/**
 * Before the dump sets its own search_path nobody else's is searched. That stands on the line of `\restrict`, or on the
 * dump's first, and prints nothing.
 */
async function* guarded(sql: AsyncIterable<Buffer>, key: string | undefined): AsyncGenerator<Buffer> {
  yield Buffer.from(`SET search_path = ''; `);
  if (key !== undefined) yield Buffer.from(`\\restrict ${key}\n`);
  yield* sql;
  if (key !== undefined) yield Buffer.from(`\n\\unrestrict ${key}\n`);
}
