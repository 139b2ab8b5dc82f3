/** pg_restore: its arguments and its output. */
import {writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import type {Readable} from 'node:stream';
import {buffer} from 'node:stream/consumers';
import {conninfoValue} from '../quote.js';
import {forProgram, type RemoteDump} from './archive-input.js';
import {textOf} from '../client-encoding.js';
import type {ErrorCode} from '../../base/errors.js';
import {type Connection, libpqEnvironment} from '../connect/connection.js';
import type {Tool} from './find-tools.js';
import {runTool} from './run-tool.js';
import {withTemporaryFolder} from '../../base/temporary-folder.js';

/** A local file or folder, or a remote archive read from stdin: sequentially, so by one connection. */
export interface Archive {
  readonly path: string;
  readonly remote?: RemoteDump;
}

export interface PgRestoreOptions {
  /** Number of concurrent connections; more than one cannot be one transaction. */
  readonly jobs: number;
  readonly isSingleTransaction: boolean;
  /** Drops the dump's objects first, with IF EXISTS, so that a missing object is not an error. */
  readonly isCleaning: boolean;
  readonly schemaOnly: boolean;
  readonly dataOnly: boolean;
  /** Stops at the first error; otherwise continues and counts errors. */
  readonly stopsOnError: boolean;
  /** Only these sections of the archive (manual, pg_restore --section). */
  readonly sections?: readonly ('pre-data' | 'data' | 'post-data')[];
  readonly noOwner: boolean;
  readonly noAcl: boolean;
  /** Also writes the properties of the database: its settings, privileges and comment. */
  readonly hasDatabase?: boolean;
  /** Compression of large values in new tables; undefined for the server's setting. */
  readonly toastCompression?: ToastCompression;
}

export const toastCompressions = ['lz4', 'pglz'] as const;
/** Values of default_toast_compression (manual, 20.11.1), which every role may set. */
export type ToastCompression = (typeof toastCompressions)[number];

/** Session settings for a tool, in libpq's form (manual, 34.15). */
export function sessionEnvironment(
  options: Pick<PgRestoreOptions, 'toastCompression'>,
): Record<string, string> {
  const {toastCompression} = options;
  return toastCompression === undefined
    ? {}
    : {PGOPTIONS: `-c default_toast_compression=${toastCompression}`};
}

/**
 * @param archive its path; undefined for stdin
 * @param database the target; without it the SQL is written to stdout
 * @param listFile the entries to restore, in the form of `pg_restore --list`
 */
export function pgRestoreArguments(
  options: PgRestoreOptions,
  archive: string | undefined,
  database?: string,
  listFile?: string,
): string[] {
  return [
    // A plain database name could be read as a conninfo string or a URL (manual, 34.1.1).
    database === undefined ? '--file=-' : `--dbname=dbname=${conninfoValue(database)}`,
    ...(options.jobs > 1 ? [`--jobs=${options.jobs}`] : []),
    ...(options.isSingleTransaction ? ['--single-transaction'] : []),
    ...(options.isCleaning ? ['--clean', '--if-exists'] : []),
    ...(options.hasDatabase === true ? ['--create'] : []),
    ...(options.schemaOnly ? ['--schema-only'] : []),
    ...(options.dataOnly ? ['--data-only'] : []),
    ...(options.stopsOnError ? ['--exit-on-error'] : []),
    ...(options.sections ?? []).map((section) => `--section=${section}`),
    ...(options.noOwner ? ['--no-owner'] : []),
    ...(options.noAcl ? ['--no-acl'] : []),
    ...(listFile === undefined ? [] : [`--use-list=${listFile}`]),
    ...(database === undefined ? [] : ['--no-password', '--verbose']),
    ...(archive === undefined ? [] : [archive]),
  ];
}

/** The archive's path as an argument, or none for stdin. */
export function archivePath({path, remote}: Archive): string | undefined {
  return remote ? undefined : path;
}

/** Runs `work` with the input for stdin. @param isReadToEnd whether to read the bytes that pg_restore does not need */
async function withArchive(
  {remote}: Archive,
  isReadToEnd: boolean,
  work: (input: {stdin?: {stream: Readable}}) => Promise<void>,
): Promise<void> {
  if (!remote) return work({});
  const input = forProgram(remote.open());
  try {
    await work({stdin: {stream: input.stream}});
    if (isReadToEnd) await input.readOn();
  } finally {
    await input.close();
  }
}

/** The table named in a line such as `pg_restore: processing data for table "public.orders"`. */
export function restoredTable(line: string): string | undefined {
  return /processing data for table "(.*)"$/.exec(line)?.[1];
}

/**
 * Distinguishes errors from the progress output of --verbose. Of a failed statement only the first line is kept: the rest of a long one
 * would push the error out of the kept lines.
 */
export function isTrouble(): (line: string) => boolean {
  let isInStatement = false;
  return (line) => {
    if (line.startsWith('pg_restore: ')) isInStatement = false;
    const isTelling =
      !isInStatement && !/^pg_restore: (?!error: |warning: |detail: |hint: |from TOC )/.test(line);
    if (line.startsWith('Command was: ')) isInStatement = true;
    return isTelling;
  };
}

export interface PgRestoreRun {
  readonly tool: Tool;
  readonly connection: Connection;
  readonly options: PgRestoreOptions;
  readonly archive: Archive;
  /** Lines of `pg_restore --list` to restore; all without it. */
  readonly list?: readonly string[];
  /** Whether an archive from elsewhere is read only as far as pg_restore needs it, because another run reads it to its end. */
  readonly isReadAgain?: boolean;
  readonly onLine?: (line: string) => void;
  readonly signal?: AbortSignal;
  /** Variables in addition to those of the connection and the options. */
  readonly environment?: Readonly<Record<string, string>>;
}

/**
 * Restores into the connection's database.
 * @throws DISK_FULL, PERMISSION_DENIED, ... or PG_RESTORE_FAILED
 */
export async function runPgRestore(run: PgRestoreRun): Promise<void> {
  const restoreFrom = async (listFile: string | undefined, input: {stdin?: {stream: Readable}}) => {
    await runTool({
      ...input,
      tool: 'pg_restore',
      path: run.tool.path,
      args: pgRestoreArguments(run.options, archivePath(run.archive), run.connection.database, listFile),
      environment: libpqEnvironment(run.connection, run.environment, sessionEnvironment(run.options)),
      failureCode: 'PG_RESTORE_FAILED',
      endsWithUs: true,
      // 1 can also mean "errors ignored on restore"; the caller reads them from the lines.
      acceptedExits: run.options.stopsOnError ? [0] : [0, 1],
      isTelling: isTrouble(),
      ...(run.signal ? {signal: run.signal} : {}),
      ...(run.onLine ? {onLine: run.onLine} : {}),
    });
  };
  const restore = (listFile?: string): Promise<void> =>
    withArchive(run.archive, run.isReadAgain !== true, (input) => restoreFrom(listFile, input));
  return run.list ? withListFile(run.list, restore) : restore();
}

/** Writes the entries to restore to a file for --use-list, which exists only during `work`. */
export async function withListFile<T>(
  list: readonly (string | number)[],
  work: (listFile: string) => Promise<T>,
): Promise<T> {
  return withTemporaryFolder('list', async (folder) => {
    const listFile = join(folder, 'list');
    await writeFile(listFile, `${list.join('\n')}\n`, {mode: 0o600});
    return work(listFile);
  });
}

/**
 * The table of contents: one line per object, in the form of --use-list. On request the dependencies of an object follow in a comment:
 * `;	depends on: 218 219` (PrintTOCSummary in pg_backup_archiver.c).
 * @param encoding of the names in it
 * @param failureCode for a failure with an unknown message
 * @throws `failureCode`, TOOL_TOO_OLD
 */
export async function listArchive(
  tool: Pick<Tool, 'path'>,
  archive: Archive,
  encoding: string,
  signal?: AbortSignal,
  failureCode: ErrorCode = 'PG_RESTORE_FAILED',
  hasDependencies = false,
): Promise<string[]> {
  let contents = '';
  await withArchive(archive, false, async (input) => {
    await runTool({
      ...input,
      tool: 'pg_restore',
      path: tool.path,
      args: ['--list', ...(hasDependencies ? ['--verbose'] : []), ...(archive.remote ? [] : [archive.path])],
      environment: {},
      failureCode,
      ...(signal ? {signal} : {}),
      readStdout: async (stdout) => {
        contents = textOf((await buffer(stdout)).toString('latin1'), encoding);
      },
    });
  });
  return contents
    .split('\n')
    .filter((line) => line !== '' && (!line.startsWith(';') || line.startsWith(';\tdepends on:')));
}

/**
 * Runs pg_restore with SQL output, which `read` consumes.
 * @param list lines of `pg_restore --list` to write; all without it
 * @throws PG_RESTORE_FAILED, TOOL_TOO_OLD, and the errors of `read`
 */
export async function streamArchive(
  tool: Tool,
  archive: Archive,
  options: PgRestoreOptions,
  read: (sql: Readable) => Promise<void>,
  signal?: AbortSignal,
  list?: readonly string[],
): Promise<void> {
  if (list)
    return withListFile(list, (listFile) => streamEntries(tool, archive, options, read, signal, listFile));
  return streamEntries(tool, archive, options, read, signal);
}

async function streamEntries(
  tool: Tool,
  archive: Archive,
  options: PgRestoreOptions,
  read: (sql: Readable) => Promise<void>,
  signal?: AbortSignal,
  listFile?: string,
): Promise<void> {
  // Definitions are in the head of an archive, so the rest of it need not be read.
  await withArchive(archive, !options.schemaOnly, async (input) => {
    await runTool({
      ...input,
      tool: 'pg_restore',
      path: tool.path,
      args: pgRestoreArguments(options, archivePath(archive), undefined, listFile),
      environment: {},
      failureCode: 'PG_RESTORE_FAILED',
      readStdout: read,
      ...(signal ? {signal} : {}),
    });
  });
}
