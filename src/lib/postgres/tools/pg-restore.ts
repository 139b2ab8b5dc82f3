/** pg_restore: its arguments and the lines it prints. */
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

/** A file or folder, or what comes from elsewhere and is read on stdin: from its start to its end, so by one connection. */
export interface Archive {
  readonly path: string;
  readonly remote?: RemoteDump;
}

export interface PgRestoreOptions {
  /** Connections that load side by side; more than one cannot be one transaction. */
  readonly jobs: number;
  readonly isSingleTransaction: boolean;
  /** Drops the dump's objects first; with IF EXISTS, so that a missing one is no error. */
  readonly isCleaning: boolean;
  readonly schemaOnly: boolean;
  readonly dataOnly: boolean;
  /** Stops at the first error; otherwise goes on and counts them. */
  readonly stopsOnError: boolean;
  /** These parts of the archive alone (manual, pg_restore --section). */
  readonly sections?: readonly ('pre-data' | 'data' | 'post-data')[] | undefined;
  readonly noOwner: boolean;
  readonly noAcl: boolean;
  /** Writes what belongs to the database itself as well: its settings, rights and comment. */
  readonly hasDatabase?: boolean;
  /** How the server packs large values of new tables; its own setting when undefined. */
  readonly toastCompression?: ToastCompression | undefined;
}

export const toastCompressions = ['lz4', 'pglz'] as const;
/** Values of default_toast_compression (manual, 20.11.1), which every role may set. */
export type ToastCompression = (typeof toastCompressions)[number];

/** Settings for the session of a tool, as libpq takes them (manual, 34.15). */
export function sessionEnvironment(
  options: Pick<PgRestoreOptions, 'toastCompression'>,
): Record<string, string> {
  const {toastCompression} = options;
  return toastCompression === undefined
    ? {}
    : {PGOPTIONS: `-c default_toast_compression=${toastCompression}`};
}

/**
 * @param archive its path; undefined when it comes on stdin
 * @param database the target; without it the SQL goes to stdout
 * @param listFile what to restore of the archive, in the form of `pg_restore --list`
 */
export function pgRestoreArguments(
  options: PgRestoreOptions,
  archive: string | undefined,
  database?: string,
  listFile?: string,
): string[] {
  return [
    // A database name alone could be taken for a conninfo string or a URL (manual, 34.1.1).
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

/** What pg_restore is told of the archive: its path, or nothing when it comes on stdin. */
export function archivePath({path, remote}: Archive): string | undefined {
  return remote ? undefined : path;
}

/** Runs `work` with what it needs for stdin. @param isReadToEnd whether bytes count that pg_restore does not want */
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

/** The table named by a line such as `pg_restore: processing data for table "public.orders"`. */
export function restoredTable(line: string): string | undefined {
  return /processing data for table "(.*)"$/.exec(line)?.[1];
}

/**
 * Tells trouble from the running commentary of --verbose. Of a statement that failed the first line counts: the rest of a long one
 * would push the error itself out of what is kept.
 */
export function tellsTrouble(): (line: string) => boolean {
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
  /** Lines of `pg_restore --list` to restore; everything without it. */
  readonly list?: readonly string[] | undefined;
  readonly onLine?: (line: string) => void;
  readonly signal?: AbortSignal;
  /** Variables beside the connection's and those of the options. */
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
      // 1 stands for "errors ignored on restore" too; the caller reads them from the lines.
      acceptedExits: run.options.stopsOnError ? [0] : [0, 1],
      isTelling: tellsTrouble(),
      ...(run.signal ? {signal: run.signal} : {}),
      ...(run.onLine ? {onLine: run.onLine} : {}),
    });
  };
  const restore = (listFile?: string): Promise<void> =>
    withArchive(run.archive, true, (input) => restoreFrom(listFile, input));
  return run.list ? withListFile(run.list, restore) : restore();
}

/** Writes what to restore of an archive to a file for --use-list, which is there during `work` alone. */
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
 * The table of contents: one line per object, as --use-list takes it. What an object depends on follows in a comment when asked for:
 * `;	depends on: 218 219` (PrintTOCSummary in pg_backup_archiver.c).
 * @param encoding that of the names in it
 * @param failureCode of a failure that its words do not explain
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
 * Runs pg_restore so that it writes SQL, which `read` consumes.
 * @param list lines of `pg_restore --list` to write; everything without it
 * @throws PG_RESTORE_FAILED, TOOL_TOO_OLD, and what `read` throws
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
  // Definitions alone are in the head of an archive, which is not worth reading the rest of it.
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
