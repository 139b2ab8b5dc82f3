/** Loads a dump into one database with pg_restore or psql, and gathers what they say. */
import {Readable} from 'node:stream';
import type {DetectedDump} from '../archive/detect-format.js';
import {openPlainDump} from '../archive/open-plain-dump.js';
import {filterPlainDump} from '../archive/plain-dump-filter.js';
import {type NamedTable, selectEntries} from '../postgres/archive-list.js';
import type {Connection} from '../postgres/connection.js';
import type {Tool} from '../postgres/find-tools.js';
import {
  archivePath,
  listArchive,
  pgRestoreArguments,
  type PgRestoreOptions,
  restoredTable,
  runPgRestore,
  sessionEnvironment,
  streamArchive,
} from '../postgres/pg-restore.js';
import {psqlArguments, runPsql} from '../postgres/psql.js';
import {collectRestoreErrors} from '../postgres/restore-errors.js';
import {shellCommand, shellVariables} from '../shell-quote.js';
import {restoreRules} from './restore-rules.js';

export interface DumpLoad {
  readonly dump: DetectedDump;
  /** Needed for archives. */
  readonly pgRestore: Tool | null;
  /** Needed for plain dumps, and for archives that go to a server older than pg_restore's own. */
  readonly psql: Tool | null;
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
}

export interface LoadOutcome {
  /** What was left out because it says nothing, and errors known to be without consequence. */
  readonly notes: readonly string[];
  /** Errors that were skipped. */
  readonly errors: readonly string[];
}

/** How far the load is: tables for archives, bytes of the file for plain dumps. */
export type LoadProgress = (done: number, unit: 'tables' | 'bytes', table?: string) => void;

/** Gathers what a load tells while it runs. */
interface Gathered {
  readonly readLine: (line: string) => void;
  readonly leftOut: Set<string>;
}

/** pg_restore from 17 on sets a parameter (transaction_timeout) that older servers refuse, which ends a strict restore. */
const firstMajorWithTransactionTimeout = 17;

/** Whether the load goes through psql: plain dumps, and archives that have to be turned into SQL and filtered. */
export function goesThroughPsql(dump: DetectedDump, pgRestore: Tool | null, serverMajor: number): boolean {
  const isNewerTool = (pgRestore?.major ?? 0) >= firstMajorWithTransactionTimeout;
  return dump.format === 'sql' || (isNewerTool && serverMajor < firstMajorWithTransactionTimeout);
}

/**
 * With a single transaction nothing of it stays after an error.
 * @throws PG_RESTORE_FAILED, PSQL_FAILED, PERMISSION_DENIED, DISK_FULL, INTERRUPTED, ...
 */
export async function loadDump(
  load: DumpLoad,
  signal: AbortSignal,
  onProgress: LoadProgress,
): Promise<LoadOutcome> {
  const collected = collectRestoreErrors();
  const gathered = {readLine: collected.read, leftOut: new Set<string>()};
  if (goesThroughPsql(load.dump, load.pgRestore, load.serverMajor)) {
    await loadThroughPsql(load, signal, onProgress, gathered);
  } else {
    await loadWithPgRestore(load, signal, onProgress, gathered);
  }
  return {notes: [...gathered.leftOut, ...collected.notes], errors: collected.errors};
}

async function loadWithPgRestore(
  load: DumpLoad,
  signal: AbortSignal,
  onProgress: LoadProgress,
  gathered: Gathered,
): Promise<void> {
  if (!load.pgRestore) return;
  const lines = await listArchive(load.pgRestore, load.dump, load.encoding, signal);
  const {entries, left} = selectEntries(lines, load);
  for (const entry of left) gathered.leftOut.add(entry);
  let tables = 0;
  await runPgRestore({
    tool: load.pgRestore,
    connection: load.target,
    options: load.options,
    archive: load.dump,
    list: entries,
    signal,
    onLine: (line) => {
      gathered.readLine(line);
      const table = restoredTable(line);
      if (table !== undefined) onProgress(++tables, 'tables', table);
    },
  });
}

async function loadThroughPsql(
  load: DumpLoad,
  signal: AbortSignal,
  onProgress: LoadProgress,
  gathered: Gathered,
): Promise<void> {
  const {psql, pgRestore} = load;
  if (!psql) return;
  const rules = restoreRules(load, gathered.leftOut);
  const feed = async (source: AsyncIterable<Buffer>): Promise<void> => {
    const sql = asTransaction(filterPlainDump(source, rules), load.options.isSingleTransaction);
    await runPsql({
      tool: psql,
      connection: load.target,
      options: load.options,
      sql: Readable.from(sql, {objectMode: false}),
      onLine: gathered.readLine,
      signal,
    });
  };
  if (load.dump.format === 'sql') {
    await feed(openPlainDump(load.dump, (bytes) => onProgress(bytes, 'bytes')));
  } else if (pgRestore) {
    await streamArchive(pgRestore, load.dump, asScript(load.options), (sql) => feed(sql), signal);
  }
}

/** Options for pg_restore when it writes SQL: what concerns the session is psql's then. */
function asScript(options: PgRestoreOptions): PgRestoreOptions {
  return {...options, jobs: 1, isSingleTransaction: false, stopsOnError: false};
}

/** The COMMIT is sent only after the dump's last byte; without it the end of the input rolls back. */
async function* asTransaction(
  sql: AsyncIterable<Buffer>,
  isSingleTransaction: boolean,
): AsyncGenerator<Buffer> {
  if (isSingleTransaction) yield Buffer.from('BEGIN;\n');
  yield* sql;
  if (isSingleTransaction) yield Buffer.from('\nCOMMIT;\n');
}

/** The commands that `loadDump` runs, without secrets, as they would be typed; none where it takes a part of a plain dump, as psql cannot. */
export function loadCommands(load: DumpLoad): string[] {
  const {schemaOnly, dataOnly} = load.options;
  if (load.dump.format === 'sql' && (schemaOnly || dataOnly || load.onlyTables.length > 0)) return [];
  const {host, port, user, database} = load.target;
  const session = sessionEnvironment(load.options);
  const server = shellVariables({PGHOST: host, PGPORT: port, PGUSER: user, ...session});
  const path = shellCommand([load.dump.path]);
  // Typed by hand, psql's own flag does what the BEGIN and COMMIT around the stream do here.
  const oneTransaction = load.options.isSingleTransaction ? ['--single-transaction'] : [];
  const psql = `${server} ${shellCommand([load.psql?.path ?? 'psql', ...psqlArguments(load.options, database), ...oneTransaction])}`;
  const {remote} = load.dump;
  const pipe = remote ? `${remote.command} | ` : '';
  if (load.dump.format === 'sql') {
    const unpacked = load.dump.compressed ? 'gunzip -c' : 'cat';
    return [`${remote ? `${pipe}${unpacked}` : `${unpacked} ${path}`} | ${psql}`];
  }
  const only = load.onlyTables.flatMap(({schema, name}) => [`--schema=${schema}`, `--table=${name}`]);
  const program = [load.pgRestore?.path ?? 'pg_restore', ...only];
  if (goesThroughPsql(load.dump, load.pgRestore, load.serverMajor)) {
    const script = pgRestoreArguments(asScript(load.options), archivePath(load.dump));
    return [`${pipe}${shellCommand([...program, ...script])} | ${psql}`];
  }
  const direct = pgRestoreArguments(load.options, archivePath(load.dump), database);
  return [`${pipe}${server} ${shellCommand([...program, ...direct])}`];
}
