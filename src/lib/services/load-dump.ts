/** Loads a dump into one database, with pg_restore or statement by statement, and gathers what failed. */
import type {DetectedDump} from '../archive/detect-format.js';
import {openPlainDump} from '../archive/open-plain-dump.js';
import {AppError} from '../errors.js';
import {type NamedTable, type Prepared, selectEntries} from '../postgres/archive-list.js';
import {withSession, withTransaction} from '../postgres/client.js';
import {type Connection, toolsName} from '../postgres/connection.js';
import type {Tool} from '../postgres/find-tools.js';
import {
  archivePath,
  conninfoValue,
  listArchive,
  pgRestoreArguments,
  type PgRestoreOptions,
  restoredTable,
  runPgRestore,
  sessionEnvironment,
  streamArchive,
} from '../postgres/pg-restore.js';
import {quoteLiteral} from '../postgres/quote.js';
import {collectRestoreErrors} from '../postgres/restore-errors.js';
import {runDumpScript} from '../postgres/run-dump-script.js';
import {shellCommand, shellVariables} from '../shell-quote.js';
import {restoreRules} from './restore-rules.js';

export interface DumpLoad {
  readonly dump: DetectedDump;
  /** Needed for archives. */
  readonly pgRestore: Tool | null;
  readonly target: Connection;
  readonly serverMajor: number;
  readonly isSuperuser: boolean;
  readonly options: PgRestoreOptions;
  /** All tables of the dump, to tell apart names that begin alike. */
  readonly tables: readonly NamedTable[];
  /** What the names in it are encoded in, as PostgreSQL names it. */
  readonly encoding: string;
  /** Only these tables; everything when empty. */
  readonly onlyTables: readonly NamedTable[];
  /** Where a role without rights loads: what a superuser created before. */
  readonly prepared?: Prepared | undefined;
  /** What of the dump they come with, as `listedName` names it; rows alone come with nothing. */
  readonly selected?: ReadonlySet<string> | undefined;
}

export interface LoadOutcome {
  /** What was left out because it says nothing, and errors known to be without consequence. */
  readonly notes: readonly string[];
  /** Errors that were skipped. */
  readonly errors: readonly string[];
}

/** How far the load is: tables for archives, bytes of the file for plain dumps. */
export type LoadProgress = (done: number, unit: 'tables' | 'bytes', table?: string) => void;

/** pg_restore from 17 on sets a parameter (transaction_timeout) that older servers refuse, which ends a strict restore. */
const firstMajorWithTransactionTimeout = 17;

/**
 * Whether the statements go through a session of this program: plain dumps, what has to be one transaction with the program's own
 * statements, and archives that an older server takes with changes only. Otherwise pg_restore talks to the server itself.
 */
export function goesThroughSession(
  load: Pick<DumpLoad, 'dump' | 'pgRestore' | 'serverMajor' | 'options'>,
): boolean {
  const isNewerTool = (load.pgRestore?.major ?? 0) >= firstMajorWithTransactionTimeout;
  return (
    load.dump.format === 'sql' ||
    load.options.isSingleTransaction ||
    (isNewerTool && load.serverMajor < firstMajorWithTransactionTimeout)
  );
}

/**
 * With a single transaction nothing of it stays after an error.
 * @throws PG_RESTORE_FAILED, RESTORE_FAILED, PERMISSION_DENIED, DISK_FULL, INTERRUPTED, ...
 */
export async function loadDump(
  load: DumpLoad,
  signal: AbortSignal,
  onProgress: LoadProgress,
): Promise<LoadOutcome> {
  if (goesThroughSession(load)) return loadThroughSession(load, signal, onProgress);
  if (!load.pgRestore) return {notes: [], errors: []};
  const {entries, left} = await chooseEntries(load, load.pgRestore, signal);
  const collected = collectRestoreErrors();
  let tables = 0;
  await runPgRestore({
    tool: load.pgRestore,
    connection: load.target,
    options: load.options,
    archive: load.dump,
    list: entries,
    signal,
    onLine: (line) => {
      collected.read(line);
      const table = restoredTable(line);
      if (table !== undefined) onProgress(++tables, 'tables', table);
    },
  });
  return {notes: [...left, ...collected.notes], errors: collected.errors};
}

async function chooseEntries(
  load: DumpLoad,
  pgRestore: Tool,
  signal: AbortSignal,
): Promise<{entries: string[]; left: string[]}> {
  return selectEntries(await listArchive(pgRestore, load.dump, load.encoding, signal), load);
}

async function loadThroughSession(
  load: DumpLoad,
  signal: AbortSignal,
  onProgress: LoadProgress,
): Promise<LoadOutcome> {
  const {pgRestore, options} = load;
  const leftOut = new Set<string>();
  const errors: string[] = [];
  let tables = 0;
  const run = async (sql: AsyncIterable<Buffer>): Promise<void> =>
    withSession(
      load.target,
      async (session) => {
        await session.query(`SET application_name = ${quoteLiteral(toolsName)}`);
        if (options.toastCompression !== undefined)
          await session.query(`SET default_toast_compression = ${quoteLiteral(options.toastCompression)}`);
        const restore = async (): Promise<void> => {
          const skipped = await runDumpScript({
            session,
            sql,
            edit: restoreRules(load, leftOut),
            skipsErrors: !options.stopsOnError,
            onRows: (table) => {
              if (load.dump.format !== 'sql') onProgress(++tables, 'tables', table);
            },
            signal,
          });
          errors.push(...skipped.map(({object, message}) => `${message} (${object})`));
        };
        if (options.isSingleTransaction) await withTransaction(session, '', restore);
        else await restore();
      },
      {signal},
    );
  if (load.dump.format === 'sql') {
    await run(openPlainDump(load.dump, (bytes) => onProgress(bytes, 'bytes')));
  } else if (pgRestore) {
    const {entries, left} = await chooseEntries(load, pgRestore, signal);
    for (const entry of left) leftOut.add(entry);
    const runAll = (sql: AsyncIterable<Buffer>): Promise<void> =>
      run(sql).catch((error: unknown) => {
        // The archive itself was read whole before.
        if (!(error instanceof AppError) || error.code !== 'VERIFY_FAILED') throw error;
        throw new AppError('PG_RESTORE_FAILED', 'pg_restore stopped before the end of the archive.', {
          cause: error,
        });
      });
    await streamArchive(pgRestore, load.dump, asScript(options), runAll, signal, entries);
  }
  return {notes: [...leftOut], errors};
}

/** Options for pg_restore when it writes SQL: what concerns the session is this program's then. */
function asScript(options: PgRestoreOptions): PgRestoreOptions {
  return {...options, jobs: 1, isSingleTransaction: false, stopsOnError: false};
}

/**
 * The commands of the stock tools that do the same, without secrets, as they would be typed. None where no tool does it: psql takes no
 * part of a plain dump, and behind an error that it skips it would take rows for SQL.
 */
export function loadCommands(load: DumpLoad): string[] {
  const {schemaOnly, dataOnly, stopsOnError, isSingleTransaction} = load.options;
  const isPart = schemaOnly || dataOnly || load.onlyTables.length > 0;
  if (load.dump.format === 'sql' && (isPart || !stopsOnError)) return [];
  // Neither does pg_restore take with a table what it needs.
  if (load.selected) return [];
  const {host, port, user, database} = load.target;
  const session = sessionEnvironment(load.options);
  const server = shellVariables({PGHOST: host, PGPORT: port, PGUSER: user, ...session});
  const path = shellCommand([load.dump.path]);
  const oneTransaction = isSingleTransaction && stopsOnError;
  const psql = `${server} ${shellCommand(['psql', '--no-psqlrc', '--quiet', '--set=ON_ERROR_STOP=1', `--dbname=dbname=${conninfoValue(database)}`, ...(oneTransaction ? ['--single-transaction'] : []), '--file=-'])}`;
  const {remote} = load.dump;
  const pipe = remote ? `${remote.command} | ` : '';
  if (load.dump.format === 'sql') {
    const unpacked = load.dump.compressed ? 'gunzip -c' : 'cat';
    return [`${remote ? `${pipe}${unpacked}` : `${unpacked} ${path}`} | ${psql}`];
  }
  const only = load.onlyTables.flatMap(({schema, name}) => [`--schema=${schema}`, `--table=${name}`]);
  const program = [load.pgRestore?.path ?? 'pg_restore', ...only];
  const options = {...load.options, isSingleTransaction: oneTransaction};
  const direct = pgRestoreArguments(options, archivePath(load.dump), database);
  return [`${pipe}${server} ${shellCommand([...program, ...direct])}`];
}
