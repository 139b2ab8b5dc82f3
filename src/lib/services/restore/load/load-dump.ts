/** Loads a dump into one database, with pg_restore or statement by statement, and collects the errors. */
import {qualifiedName} from '../../../base/qualified-name.js';
import {formats} from '../../../base/formats.js';
import type {DumpedTable} from '../../../fingerprint/table-contents.js';
import type {DumpStatement} from '../../../dump/dump-statements.js';
import {keyOfConstraint} from '../../../dump/outside-names.js';
import {openPlainDump} from '../../../dump/open-plain-dump.js';
import type {DumpSection} from '../../../dump/plain-dump-filter.js';
import {readRightsStatement} from '../../../dump/sql/rights-statement.js';
import {readCopyStatement} from '../../../dump/sql/sql-names.js';
import {textOf} from '../../../postgres/client-encoding.js';
import {defined} from '../../../base/defined.js';
import {AppError} from '../../../base/errors.js';
import {orderEntries, selectEntries} from '../../../dump/archive-list.js';
import {conninfoValue, type NamedTable, quoteIdentifier, quoteLiteral} from '../../../postgres/quote.js';
import {type Session, withSession, withTransaction} from '../../../postgres/client.js';
import {type Connection, toolsName} from '../../../postgres/connect/connection.js';
import type {Tool} from '../../../postgres/tools/find-tools.js';
import {addManagedRows, type AddedRows} from './add-managed-rows.js';
import {suspendDefaultPrivileges} from '../../../postgres/databases/default-privileges.js';
import {findInheritedConstraints} from './inherited-constraints.js';
import {lendSchemas} from './lend-schemas.js';
import {
  archivePath,
  listArchive,
  pgRestoreArguments,
  type PgRestoreOptions,
  type PgRestoreRun,
  restoredTable,
  runPgRestore,
  sessionEnvironment,
  streamArchive,
} from '../../../postgres/tools/pg-restore.js';
import {inspectToolEnvironment} from '../../../postgres/tools/tool-environment.js';
import {collectRestoreErrors} from '../../../postgres/tools/restore-errors.js';
import {type DumpScriptRun, runDumpScript} from './run-dump-script.js';
import type {Checkpoint} from '../../../run/fault-points.js';
import type {RunContext} from '../../../run/run-context.js';
import {shellCommand, shellVariables} from '../../../base/shell-quote.js';
import {inKeyOrder, type KeyOrder, type LoadQueue, startQueue} from './key-order.js';
import {type RestoredParts, restoreRules} from './plain-dump-rules.js';
import {editRights, isLimited, noLimits, type RoleLimits} from './role-limits.js';

export interface DumpLoad extends RestoredParts {
  /** Needed for archives. */
  readonly pgRestore: Tool | null;
  readonly target: Connection;
  /** The restoring role. */
  readonly me: string;
  /** Roles whose owners and grants are left out. */
  readonly limits: RoleLimits;
  /** Whether the restoring role is not a superuser and gives objects to other roles. */
  readonly hasOtherOwners: boolean;
  /** All tables of the dump, to distinguish names that begin alike. */
  readonly tables: readonly NamedTable[];
  /** Encoding of the names in the dump, as PostgreSQL calls it. */
  readonly encoding: string;
  /** Statements before a plain dump that drop the objects that it creates. */
  readonly drops?: Buffer;
  /** Schemas to create first, for the dump's extensions. */
  readonly schemas: readonly string[];
  /** Foreign keys ("public orders orders_user_id_fkey") that can refer to rows missing in the target. */
  readonly outsideKeys: ReadonlySet<string>;
  /** Extensions that are left out if the role may not create them. */
  readonly doubtful: readonly string[];
  readonly dependents?: RemadeDependents;
  /** Tables of the platform to which rows are added, in one transaction. */
  readonly managed: readonly DumpedTable[];
  /** Tables of the platform that lose their present rows first. */
  readonly replaced?: readonly NamedTable[];
  /** Name of the dumped database. */
  readonly sourceDatabase?: string;
  /** Only for rows alone, which are loaded in one transaction. */
  readonly keyOrder?: KeyOrder;
  /** Indexes and keys, as `listedName` names them, that pg_restore may build in the part 'rows' already, beside the rows that it still loads. */
  readonly builtWithRows?: ReadonlySet<string>;
  /** Called between the definitions and the rows of the part 'rows', if pg_restore loads these itself. */
  readonly beforeRows?: () => Promise<void>;
}

/** Objects that depend on replaced objects: dropped before these, and created again after them. */
interface RemadeDependents {
  /** Output of pg_restore --clean for them. */
  readonly script: Buffer;
  /** Filled materialized views among them, quoted. */
  readonly filled: readonly string[];
  /** Foreign keys among them, in the form of `outsideKeys`. */
  readonly keys: ReadonlySet<string>;
}

export interface LoadOutcome {
  /** Left out statements without effect, and errors that are known to be harmless. */
  readonly notes: readonly string[];
  /** Errors that were skipped. */
  readonly errors: readonly string[];
}

/** The server refused one of the `doubtful` extensions in the transaction, after it accepted everything before it. */
export class ExtensionRefused extends Error {
  constructor(readonly extension: string) {
    super(`the extension "${extension}" may not be created`);
  }
}

/** Progress of the load: tables for archives, bytes of the file for plain dumps. */
export type LoadProgress = (done: number, unit: 'tables' | 'bytes', table?: string) => void;

/** Notes and errors that a load collects. */
interface Gathered {
  readonly notes: Set<string>;
  readonly errors: string[];
  readonly onTable: (table: string) => void;
  readonly checkpoint: Checkpoint;
}

/** pg_restore since 17 sets a parameter (transaction_timeout) that older servers refuse, so a strict restore would fail. */
const firstMajorWithTransactionTimeout = 17;

/**
 * Whether the statements go through a session of this program: for plain dumps, for one transaction with the program's own
 * statements, and for archives that an older server accepts only with changes. Otherwise pg_restore connects to the server itself.
 */
export function goesThroughSession(
  load: Pick<DumpLoad, 'dump' | 'pgRestore' | 'serverMajor' | 'options'>,
): boolean {
  const isNewerTool = (load.pgRestore?.major ?? 0) >= firstMajorWithTransactionTimeout;
  return (
    !formats[load.dump.format].isArchive ||
    load.options.isSingleTransaction ||
    (isNewerTool && load.serverMajor < firstMajorWithTransactionTimeout)
  );
}

/** 'rows': tables with their rows, and all that comes before these; 'rest': indexes, keys, triggers and all that comes after the rows. */
export type LoadPart = 'whole' | 'rows' | 'rest';

/**
 * In a single transaction, an error rolls back everything.
 * @param part of the dump, for a new database; 'rest' only after 'rows'
 * @throws PG_RESTORE_FAILED, RESTORE_FAILED, PERMISSION_DENIED, DISK_FULL, INTERRUPTED, ...
 */
export async function loadDump(
  load: DumpLoad,
  {signal, checkpoint}: Pick<RunContext, 'signal' | 'checkpoint'>,
  onProgress: LoadProgress,
  part: LoadPart = 'whole',
): Promise<LoadOutcome> {
  const {pgRestore} = load;
  let tables = 0;
  const gathered: Gathered = {
    notes: new Set(),
    errors: [],
    onTable: (table) => onProgress(++tables, 'tables', table),
    checkpoint,
  };
  for (const note of load.keyOrder?.notes ?? []) gathered.notes.add(note);
  // Only in a new database; in an existing one, they are created in the same transaction.
  if (load.schemas.length > 0 && !load.options.isSingleTransaction && part !== 'rest')
    await withSession(load.target, (session) => makeSchemas(session, load), {signal});
  if (!pgRestore && load.keyOrder) await loadPlainRows(load, load.keyOrder, gathered, signal);
  else if (!pgRestore) {
    await inSession(load, signal, (session) => {
      const sql = plainDump(load, (bytes) => onProgress(bytes, 'bytes'));
      return withBuiltInDefaults(load, session, gathered, signal, (edit) =>
        runStatements(
          load,
          session,
          sql,
          inPart(part, edit),
          {...gathered, onTable: () => undefined},
          signal,
        ),
      );
    });
  } else {
    const lines = await listArchive(pgRestore, load.dump, load.encoding, signal);
    const {entries, left} = selectEntries(lines, load);
    for (const entry of left) gathered.notes.add(entry);
    const archive = {load, pgRestore, entries, gathered, signal};
    if (load.keyOrder) await loadArchiveRows(archive, load.keyOrder);
    else if (goesThroughSession(load)) {
      await inSession(load, signal, (session) =>
        withBuiltInDefaults(load, session, gathered, signal, (edit) =>
          runScript(
            archive,
            session,
            part === 'whole' ? load.options : {...load.options, sections: sectionsOf[part]},
            entries,
            edit,
          ),
        ),
      );
    } else {
      // pg_restore would fail at a key to a row that is missing; a session can make it NOT VALID.
      const isLater = (line: string): boolean => load.outsideKeys.size > 0 && foreignKey.test(line);
      const first = {...archive, entries: entries.filter((line) => !isLater(line))};
      if (isLimited(load.limits) || load.hasOtherOwners) await loadInPhases(first, part);
      else if (part === 'whole') await loadDirectly(first, load.options, first.entries);
      else if (part === 'rows') await loadRowsDirectly(first);
      else await loadRestDirectly(first);
      const keys = part === 'rows' ? [] : entries.filter(isLater);
      if (keys.length > 0)
        await inSession(load, signal, (session) =>
          runScript(
            archive,
            session,
            {...load.options, sections: ['post-data']},
            keys,
            everything(load, gathered),
          ),
        );
    }
  }
  return {notes: [...gathered.notes], errors: gathered.errors};
}

const sectionsOf = {rows: ['pre-data', 'data'], rest: ['post-data']} as const;

/** Types of objects that pg_dump writes after all rows (dumpTableSchema and the like in pg_dump.c, SECTION_POST_DATA). */
const afterRows = new Set([
  'CONSTRAINT',
  'CHECK CONSTRAINT',
  'FK CONSTRAINT',
  'INDEX',
  'INDEX ATTACH',
  'STATISTICS',
  'TRIGGER',
  'RULE',
  'POLICY',
  'ROW SECURITY',
  'EVENT TRIGGER',
  'PUBLICATION',
  'PUBLICATION TABLE',
  'SUBSCRIPTION',
  'MATERIALIZED VIEW DATA',
]);

/** Selects the statements of a plain dump for the part; its settings belong to both. */
function inPart(part: LoadPart, edit: Edit): Edit {
  if (part === 'whole') return edit;
  let isAfter = false;
  return (statement) => {
    const {section, rows} = statement;
    isAfter ||= section !== null && afterRows.has(section.type);
    const isSetting = section === null && !rows;
    return isSetting || isAfter === (part === 'rest') ? edit(statement) : null;
  };
}

const isAfterRows = new RegExp(`^\\d+; \\d+ \\d+ (?:${[...afterRows].join('|')}) `);

/** Types of entries with contents of tables, sequences and large objects (SECTION_DATA in pg_dump.c). */
const hasContents = /^\d+; \d+ \d+ (?:TABLE DATA|SEQUENCE SET|BLOBS|BLOB DATA|STATISTICS DATA) /;
const isGrantEntry = /^\d+; \d+ \d+ ACL /;

/**
 * Divides the entries. An archive lists those before the rows, those with rows and those after them in this order. Grants come after the rows: they
 * could take the right to load these from the restoring role, and `beforeRows` can give the names of tables to others.
 */
function inParts({load: {builtWithRows}, entries}: Pick<ArchiveLoad, 'load' | 'entries'>): {
  readonly definitions: readonly string[];
  readonly rows: readonly string[];
  readonly grants: readonly string[];
  readonly rest: readonly string[];
} {
  const isBuilt = (line: string): boolean => builtWithRows?.has(line.replace(/^\d+; \d+ \d+ /, '')) === true;
  const indexOf = (type: RegExp): number => {
    const found = entries.findIndex((line) => type.test(line));
    return found === -1 ? entries.length : found;
  };
  const after = indexOf(isAfterRows);
  const first = Math.min(indexOf(hasContents), after);
  const partOf = (line: string, index: number): 'definitions' | 'rows' | 'grants' | 'rest' => {
    if (index < first) return isGrantEntry.test(line) ? 'grants' : 'definitions';
    return index < after || isBuilt(line) ? 'rows' : 'rest';
  };
  const of = (part: ReturnType<typeof partOf>): readonly string[] =>
    entries.filter((line, index) => partOf(line, index) === part);
  return {definitions: of('definitions'), rows: of('rows'), grants: of('grants'), rest: of('rest')};
}

async function loadRowsDirectly(archive: ArchiveLoad): Promise<void> {
  const {beforeRows, options} = archive.load;
  const {definitions, rows} = inParts(archive);
  const environment = await toolEnvironment(archive);
  await loadDirectly(archive, {...options, jobs: 1}, definitions, {environment, isReadAgain: true});
  await beforeRows?.();
  await loadDirectly(archive, options, rows, {environment});
}

/** The owner of a table builds its indexes, and can need grants for their expressions. */
async function loadRestDirectly(archive: ArchiveLoad): Promise<void> {
  const {options} = archive.load;
  const {grants, rest} = inParts(archive);
  await loadDirectly(archive, {...options, jobs: 1}, grants, {isReadAgain: true});
  await loadDirectly(archive, options, rest);
}

/** Foreign keys, and the comments on constraints, which need them. */
const foreignKey = /^\d+; \d+ \d+ (?:FK CONSTRAINT|COMMENT \S+ CONSTRAINT) /;

async function* plainDump({dump, drops}: DumpLoad, onBytes: (bytes: number) => void): AsyncGenerator<Buffer> {
  if (drops) yield drops;
  yield* openPlainDump(dump, onBytes) as AsyncIterable<Buffer>;
}

interface ArchiveLoad {
  readonly load: DumpLoad;
  readonly pgRestore: Tool;
  /** Lines of `pg_restore --list`. */
  readonly entries: readonly string[];
  readonly gathered: Gathered;
  readonly signal: AbortSignal;
}

/** See `DumpScriptRun.edit`. */
type Edit = (statement: DumpStatement) => string | null;

/** Selects everything to restore. */
function everything(load: DumpLoad, gathered: Gathered): Edit {
  const rules = restoreRules(load, gathered.notes);
  const {noOwner, noAcl} = load.options;
  const rights = editRights({noOwner, noAcl, limits: load.limits});
  return (statement) => (rules(statement) === null ? null : rights(statement));
}

function toolEnvironment({
  load,
  signal,
}: Pick<ArchiveLoad, 'load' | 'signal'>): Promise<Record<string, string>> {
  return withSession(load.target, inspectToolEnvironment, {signal});
}

/** Lets pg_restore load these entries itself, over several connections. */
async function loadDirectly(
  {load, pgRestore, gathered, signal}: ArchiveLoad,
  options: PgRestoreOptions,
  list: readonly string[],
  run: Pick<PgRestoreRun, 'environment' | 'isReadAgain'> = {},
): Promise<void> {
  if (list.length === 0) return;
  const collected = collectRestoreErrors();
  await runPgRestore({
    ...run,
    environment: run.environment ?? (await toolEnvironment({load, signal})),
    tool: pgRestore,
    connection: load.target,
    options,
    archive: load.dump,
    list,
    signal,
    onLine: (line) => {
      collected.read(line);
      const table = restoredTable(line);
      if (table !== undefined) gathered.onTable(table);
    },
  });
  for (const note of collected.notes) gathered.notes.add(note);
  gathered.errors.push(...collected.errors);
}

/** pg_restore writes the rows in the order of the given list: first rows of the platform's tables, to which the user's rows can refer. */
async function loadArchiveRows(archive: ArchiveLoad, order: KeyOrder): Promise<void> {
  const {load, entries, gathered, signal} = archive;
  const edit = everything(load, gathered);
  const {entries: first} = selectEntries(entries, {...load, onlyTables: load.managed});
  const rest = {...archive, load: {...load, managed: []}};
  const list = orderEntries(
    entries.filter((entry) => load.managed.length === 0 || !first.includes(entry)),
    load.tables,
    startQueue(order),
  );
  await inSession(load, signal, (session) =>
    inKeyOrder(session, order, async () => {
      if (load.managed.length > 0) await runScript(archive, session, load.options, first, edit);
      await runScript(rest, session, load.options, list, edit);
    }),
  );
}

/** A plain dump has a fixed order, so it is read in several passes until all rows come after the rows that they refer to. */
async function loadPlainRows(
  load: DumpLoad,
  order: KeyOrder,
  gathered: Gathered,
  signal: AbortSignal,
): Promise<void> {
  const edit = everything(load, gathered);
  const queue = startQueue(order);
  const isAdded = ({section}: DumpStatement): boolean =>
    section?.type === 'TABLE DATA' &&
    load.managed.some(({schema, name}) => schema === section.schema && name === section.name);
  const now: Edit = (statement) =>
    !isAdded(statement) && isInPass(queue, statement) ? edit(statement) : null;
  await inSession(load, signal, (session) =>
    inKeyOrder(session, order, async () => {
      if (load.managed.length > 0) {
        const settings: Edit = ({section, rows, sql}) => (section === null && !rows ? sql : null);
        await runStatements(load, session, openPlainDump(load.dump), settings, gathered, signal);
      }
      const rest = {...load, managed: []};
      do await runStatements(rest, session, openPlainDump(load.dump), now, gathered, signal);
      while (queue.next());
    }),
  );
}

/** Statements without a heading are settings, which every pass needs. */
function isInPass(queue: LoadQueue, {section, rows, sql, encoding}: DumpStatement): boolean {
  if (section?.type === 'TABLE DATA') return queue.allows(section);
  return (
    (section === null && !rows) ||
    queue.allows(rows ? (readCopyStatement(textOf(sql, encoding)) ?? null) : null)
  );
}

/** Entries that pg_restore restores after all grants, because they can need them (RestorePass in pg_backup_archiver.h). */
const afterGrants =
  /^\d+; \d+ \d+ (?:MATERIALIZED VIEW DATA|EVENT TRIGGER|(?:COMMENT|SECURITY LABEL) - EVENT TRIGGER) /;
const isAfterGrants = ({type, name}: DumpSection): boolean =>
  type === 'MATERIALIZED VIEW DATA' || type === 'EVENT TRIGGER' || name.startsWith('EVENT TRIGGER ');

/** Types that are created after the data, so their owners are set there. */
const ownedAfterData = new Set(['EVENT TRIGGER', 'PUBLICATION', 'STATISTICS', 'SUBSCRIPTION']);
const isGrant = ({type}: DumpSection): boolean => type === 'ACL' || type === 'DEFAULT ACL';

/**
 * pg_restore leaves out all owners or none, and all grants or none. This program therefore runs the definitions with the owners that
 * can be kept, because code in indexes and views runs with their rights. Then pg_restore loads rows and builds indexes and keys in
 * parallel. Grants come last, because they could prevent the restoring role from loading rows.
 */
async function loadInPhases(archive: ArchiveLoad, part: LoadPart): Promise<void> {
  const {load, entries, gathered, signal} = archive;
  const {options} = load;
  const edit = everything(load, gathered);
  if (part !== 'rest') {
    await inSession(load, signal, (session) =>
      runScript(archive, session, {...options, sections: ['pre-data']}, entries, (statement) =>
        statement.section && isGrant(statement.section) ? null : edit(statement),
      ),
    );
    if (!options.schemaOnly) {
      if (part === 'rows') await load.beforeRows?.();
      await loadDirectly(archive, {...options, sections: ['data', 'post-data']}, inParts(archive).rows);
    }
  }
  if (part === 'rows') return;
  await loadDirectly(
    archive,
    {...options, sections: ['post-data'], noOwner: true, noAcl: true},
    inParts(archive).rest.filter((line) => !afterGrants.test(line)),
  );
  await inSession(load, signal, (session) =>
    runScript(archive, session, {...options, sections: ['pre-data', 'post-data']}, entries, (statement) => {
      const {section, sql, encoding} = statement;
      const isLeft =
        section === null ||
        isGrant(section) ||
        isAfterGrants(section) ||
        (ownedAfterData.has(section.type) && readRightsStatement(textOf(sql, encoding))?.kind === 'owner');
      return isLeft ? edit(statement) : null;
    }),
  );
}

/** Runs the entries as SQL that pg_restore writes. */
async function runScript(
  {load, pgRestore, gathered, signal}: ArchiveLoad,
  session: Session,
  options: PgRestoreOptions,
  list: readonly string[],
  edit: Edit,
): Promise<void> {
  const read = async (sql: AsyncIterable<Buffer>): Promise<void> => {
    try {
      await runStatements(load, session, sql, edit, gathered, signal);
    } catch (error) {
      // The archive was already read to its end, so pg_restore is the cause.
      if (!(error instanceof AppError) || error.code !== 'VERIFY_FAILED') throw error;
      throw new AppError('PG_RESTORE_FAILED', 'pg_restore stopped before the end of the archive.', {
        cause: error,
      });
    }
  };
  // `edit` selects owners and grants statement by statement.
  const script = {...asScript(options), noOwner: false, noAcl: false};
  await streamArchive(pgRestore, load.dump, script, read, signal, list);
}

async function runStatements(
  load: DumpLoad,
  session: Session,
  sql: AsyncIterable<Buffer>,
  edit: Edit,
  gathered: Gathered,
  signal: AbortSignal,
): Promise<void> {
  const {errors, notes, onTable, checkpoint} = gathered;
  const lent = lendSchemas(session);
  const tables = load.options.schemaOnly ? [] : load.managed;
  const managed = addManagedRows(session, tables, load.options.schemaOnly ? [] : (load.replaced ?? []), {
    source: load.sourceDatabase,
    onAdded: () => checkpoint('restore.rows-added'),
  });
  const isInherited = load.options.isCleaning ? await findInheritedConstraints(session) : () => false;
  const skipped = await runDumpScript({
    session,
    sql,
    edit: async (statement) => {
      const instead = await managed.before(statement);
      if (instead !== undefined) return instead;
      if (isInherited(statement)) return null;
      const edited = edit(statement);
      if (edited !== null && !load.isSuperuser) await lent.before(statement);
      if (load.drops) await dropLargeObject(session, statement);
      return edited;
    },
    skipsErrors: !load.options.stopsOnError,
    orElse: orElseOf(load, gathered),
    onRows: onTable,
    signal,
  });
  const added = await managed.finish();
  if (added.length > 0) notes.add(`rows of the platform's tables: ${added.map(describeAdded).join('; ')}`);
  for (const line of added.flatMap(({refused = []}) => refused)) notes.add(line);
  for (const {table, why} of managed.notEmptied())
    notes.add(`${table} keeps its present rows, which this role could not delete: ${why}`);
  await lent.takeBack();
  errors.push(...skipped.map(({object, message}) => `${message} (${object})`));
}

/** Drops an existing large object, because definitions alone do not list them for `drops`. */
async function dropLargeObject(session: Session, {sql}: DumpStatement): Promise<void> {
  const oid = /^SELECT pg_catalog\.lo_create\('(\d+)'\);$/.exec(sql)?.[1];
  if (oid === undefined) return;
  await session.query(
    'SELECT pg_catalog.lo_unlink(l.oid) FROM pg_catalog.pg_largeobject_metadata l WHERE l.oid = $1::pg_catalog.oid',
    [oid],
  );
}

function describeAdded({table, added, kept}: AddedRows): string {
  return `${table} ${added} added, ${kept} already present`;
}

/**
 * A dump relies on PostgreSQL's built-in default privileges, so the target's own could grant more than the source did. In an existing
 * database they are suspended during the load, and restored unless the dump sets them. A new database has none.
 */
async function withBuiltInDefaults(
  load: DumpLoad,
  session: Session,
  gathered: Gathered,
  signal: AbortSignal,
  work: (edit: Edit) => Promise<void>,
): Promise<void> {
  const {options, me} = load;
  const edit = everything(load, gathered);
  if (!options.isSingleTransaction) return work(edit);
  const suspended = await suspendDefaultPrivileges(session);
  await gathered.checkpoint('restore.prepared');
  const set = new Set<string>();
  await runDependents(load, session, gathered, signal, ({section, sql}) => (section === null ? sql : null));
  await work((statement) => {
    const {section} = statement;
    const sql = edit(statement);
    if (sql !== null && section?.type === 'DEFAULT ACL' && section.owner === me)
      set.add(`${section.name} ${section.schema}`);
    return sql;
  });
  await runDependents(load, session, gathered, signal, ({section, sql}) =>
    section !== null || /^(?:SET|SELECT pg_catalog\.set_config)\b/.test(sql) ? sql : null,
  );
  for (const view of load.dependents?.filled ?? []) await session.query(`REFRESH MATERIALIZED VIEW ${view}`);
  await suspended.resume((schema, objects) => set.has(`DEFAULT PRIVILEGES FOR ${objects} ${schema ?? '-'}`));
}

/** Runs the part of the dependents' script that `takes` selects: first the DROP statements, later the others. */
async function runDependents(
  load: DumpLoad,
  session: Session,
  gathered: Gathered,
  signal: AbortSignal,
  takes: Edit,
): Promise<void> {
  const {dependents, serverMajor} = load;
  if (!dependents) return;
  const rights = editRights({noOwner: false, noAcl: false, limits: noLimits});
  const sql = (async function* () {
    yield Promise.resolve(dependents.script);
  })();
  const edit: Edit = (statement) => {
    if (statement.sql === 'SET transaction_timeout = 0;' && serverMajor < firstMajorWithTransactionTimeout)
      return null;
    return takes(statement) === null ? null : rights(statement);
  };
  const own = defined<DumpLoad>({
    ...load,
    managed: [],
    replaced: undefined,
    drops: undefined,
    outsideKeys: dependents.keys,
  });
  await runStatements(own, session, sql, edit, gathered, signal);
}

/** Opens a session for the statements of a dump, in one transaction if the load requires it. */
async function inSession(
  load: DumpLoad,
  signal: AbortSignal,
  work: (session: Session) => Promise<void>,
): Promise<void> {
  const {target, options} = load;
  await withSession(
    target,
    async (session) => {
      await session.query(`SET application_name = ${quoteLiteral(toolsName)}`);
      if (options.toastCompression !== undefined)
        await session.query(`SET default_toast_compression = ${quoteLiteral(options.toastCompression)}`);
      if (!options.isSingleTransaction) return work(session);
      await withTransaction(session, '', async () => {
        await makeSchemas(session, load);
        await work(session);
      });
    },
    {signal},
  );
}

async function makeSchemas(session: Session, {schemas, options}: DumpLoad): Promise<void> {
  for (const name of options.dataOnly ? [] : schemas)
    await session.query(`CREATE SCHEMA IF NOT EXISTS ${quoteIdentifier(name)}`);
}

/**
 * A foreign key to a table outside the dump is created NOT VALID if rows are missing there. On a partitioned table, which cannot have
 * such a key (manual, ALTER TABLE), it is left out.
 */
function orElseOf(
  {options, outsideKeys, doubtful}: DumpLoad,
  {notes}: Gathered,
): NonNullable<DumpScriptRun['orElse']> {
  return ({section, sql}) => {
    if (options.isSingleTransaction && section?.type === 'EXTENSION' && doubtful.includes(section.name))
      return {
        sqlState: insufficientPrivilege,
        instead: () => {
          throw new ExtensionRefused(section.name);
        },
      };
    if (section?.type !== 'FK CONSTRAINT' || !outsideKeys.has(keyOfConstraint(section))) return undefined;
    const name = qualifiedName(section);
    const isPartitioned = !/^ALTER TABLE ONLY /.test(sql);
    return {
      sqlState: foreignKeyViolation,
      instead: () => {
        notes.add(
          isPartitioned
            ? `left out, because rows that it refers to are missing in the target: foreign key ${name}`
            : `NOT VALID, because rows that it refers to are missing in the target: foreign key ${name} (ALTER TABLE ... VALIDATE CONSTRAINT once they exist)`,
        );
        return isPartitioned ? null : sql.replace(/;$/, ' NOT VALID;');
      },
    };
  };
}

const foreignKeyViolation = '23503';
const insufficientPrivilege = '42501';

/** Options for pg_restore to write SQL, without those for the session, which this program controls. */
function asScript(options: PgRestoreOptions): PgRestoreOptions {
  return {...options, jobs: 1, isSingleTransaction: false, stopsOnError: false};
}

/**
 * Equivalent commands of the stock tools, without secrets; none if no tool can do the same. psql cannot run a part of a plain dump, and
 * after a skipped error it would read rows as SQL. pg_restore leaves out all grants or none, and ignores foreign keys for rows alone.
 */
export function loadCommands(load: DumpLoad): string[] {
  const {schemaOnly, dataOnly, stopsOnError, isSingleTransaction} = load.options;
  const {isArchive} = formats[load.dump.format];
  const isPart = schemaOnly || dataOnly || load.options.isCleaning || load.onlyTables.length > 0;
  // pg_restore does not restore the objects that a chosen table needs.
  if (load.selected || load.leftOut.counts.size + load.outsideKeys.size + load.schemas.length > 0) return [];
  if (load.keyOrder && !load.keyOrder.isAnyOrder) return [];
  if (isLimited(load.limits) || (!isArchive && (isPart || !stopsOnError))) return [];
  const {host, port, user, database} = load.target;
  const session = sessionEnvironment(load.options);
  const server = shellVariables({PGHOST: host, PGPORT: port, PGUSER: user, ...session});
  const path = shellCommand([load.dump.path]);
  const oneTransaction = isSingleTransaction && stopsOnError;
  const psql = `${server} ${shellCommand(['psql', '--no-psqlrc', '--quiet', '--set=ON_ERROR_STOP=1', `--dbname=dbname=${conninfoValue(database)}`, ...(oneTransaction ? ['--single-transaction'] : []), '--file=-'])}`;
  const {remote} = load.dump;
  const pipe = remote ? `${remote.command} | ` : '';
  if (!isArchive) {
    const unpacked = load.dump.compressed ? 'gunzip -c' : 'cat';
    return [`${remote ? `${pipe}${unpacked}` : `${unpacked} ${path}`} | ${psql}`];
  }
  const only = load.onlyTables.flatMap(({schema, name}) => [`--schema=${schema}`, `--table=${name}`]);
  const program = [load.pgRestore?.path ?? 'pg_restore', ...only];
  const options = {...load.options, isSingleTransaction: oneTransaction};
  const direct = pgRestoreArguments(options, archivePath(load.dump), database);
  return [`${pipe}${server} ${shellCommand([...program, ...direct])}`];
}
