/** psql, fed with a plain dump on stdin. */
import type {Readable} from 'node:stream';
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
 * (manual, psql, "Exit Status"). A single transaction is up to the input: psql's own commits whatever came before the
 * input ended, also when it broke off.
 */
export function psqlArguments(options: PsqlOptions, database: string): string[] {
  return [
    '--no-psqlrc',
    '--quiet',
    '--no-password',
    `--dbname=dbname=${conninfoValue(database)}`,
    `--set=ON_ERROR_STOP=${options.stopsOnError ? 1 : 0}`,
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

/** @throws DISK_FULL, PERMISSION_DENIED, ... or PSQL_FAILED */
export async function runPsql(run: PsqlRun): Promise<void> {
  await runTool({
    tool: 'psql',
    path: run.tool.path,
    args: psqlArguments(run.options, run.connection.database),
    environment: {...libpqEnvironment(run.connection), ...sessionEnvironment(run.options)},
    failureCode: 'PSQL_FAILED',
    stdin: {stream: run.sql},
    ...(run.onLine ? {onLine: run.onLine} : {}),
    ...(run.signal ? {signal: run.signal} : {}),
  });
}
