/** Plans a restore without changes: checks source, target, tools, rights and obstacles. */
import {qualifiedName} from '../../base/qualified-name.js';
import {formats} from '../../base/formats.js';
import {listDefinitions} from '../../dump/compare-definitions.js';
import {dataEntries, type Entry, leaveOut, type LeftOutEntries} from '../../dump/left-out-entries.js';
import type {DumpedTable} from '../../fingerprint/table-contents.js';
import {namesOfSelection, type TableSelection} from '../../dump/select-tables.js';
import {defined} from '../../base/defined.js';
import {AppError} from '../../base/errors.js';
import {countOf} from '../../base/format.js';
import {type Session, withSession} from '../../postgres/client.js';
import type {NamedTable} from '../../postgres/quote.js';
import {type Connection, refuseTransactionPooler, withDatabase} from '../../postgres/connect/connection.js';
import {resolveConnection} from '../../postgres/connect/resolve-connection.js';
import {findTool, type Tool} from '../../postgres/tools/find-tools.js';
import {inspectIdentity} from '../../postgres/inspect/inspect-database.js';
import {
  findFilledTables,
  findMissingColumns,
  findMissingTables,
} from '../../postgres/inspect/inspect-rows.js';
import {
  findInstalledExtensions,
  findMissingExtensions,
  findUninstallableExtensions,
  countObjects,
  databaseExists,
  describeObjects,
  inspectRole,
  type RoleRights,
} from '../../postgres/inspect/inspect-target.js';
import type {DatabaseProperties} from '../../postgres/databases/database-properties.js';
import type {RolesToMake} from '../../postgres/databases/make-roles.js';
import type {Dependent} from '../../postgres/inspect/inspect-dependents.js';
import {inspectOwnership} from '../../postgres/inspect/platform-objects.js';
import type {PgRestoreOptions, ToastCompression} from '../../postgres/tools/pg-restore.js';
import {requireWritable} from '../../postgres/inspect/writable.js';
import {isOfPlatform, isSelection} from '../../catalog/backup-record.js';
import {estimateRestoredSize} from '../../catalog/restored-size.js';
import type {RunContext} from '../../run/run-context.js';
import type {RestoredTable} from './compare/compare-restored.js';
import {checkNeeds, type NeedsFound} from './requirements.js';
import {countMissingRows} from './diff-live.js';
import {requireServerDisk} from '../guards/server-disk.js';
import {type CopiedProperties, checkSwap, type PresentDatabase} from './can-swap.js';
import {planDependents} from './dependents.js';
import {type KeyOrder, planKeyOrder} from './load/key-order.js';
import {type DumpLoad, loadCommands} from './load/load-dump.js';
import {checkContent, type RestoreRequest} from './options.js';
import {chooseStrategy, isComparedBeforeUse, type RestoreStrategy, strategies} from './strategy.js';
import {decideWhatToRestore, type DumpToRestore, type WhatToRestore} from './what-to-restore.js';
import {databaseNameWith} from '../../postgres/databases/owner-comment.js';
import {withMaintenanceSession} from '../../postgres/databases/maintenance.js';
import {findMaintenance} from '../../postgres/databases/maintenance-database.js';
import {
  checkSource,
  findDamage,
  findRestoreSource,
  verifySource,
  readDumpDefinitions,
  readDumpNeeds,
  readTableSelection,
  type VerifiedSource,
  type RestoreSource,
} from './source.js';
import {unknownName} from '../../base/unknown-name.js';
import {requireVisibleRows} from './visible-rows.js';
import type {RowTakerOf} from '../../postgres/take-rows.js';
import {describeLosses} from '../../catalog/shrink-alarm.js';

export interface RestorePlan extends Pick<WhatToRestore, 'withDoubtful' | 'waiting'> {
  readonly request: RestoreRequest;
  /** The work of another command on the new database. */
  readonly beforeSwap: BeforeSwap | undefined;
  /** Objects restored with chosen tables; null if everything is restored, or rows alone. */
  readonly selection: TableSelection | null;
  readonly source: VerifiedSource;
  readonly strategy: RestoreStrategy;
  readonly target: Connection;
  /** Only for strategies that fill a database beside the target; otherwise null. */
  readonly beside: {
    /** Another database of the same server, for creating and renaming databases. */
    readonly maintenance: Connection;
    /** Properties copied from the replaced database; null if there is none. */
    readonly copied: CopiedProperties | null;
  } | null;
  readonly rights: RoleRights;
  /** The present target database; null if it does not exist. */
  readonly present: PresentDatabase | null;
  /** Missing roles that the restore creates first. */
  readonly roles: RolesToMake | undefined;
  readonly load: DumpLoad;
  /** Number of rows to add to each of the platform's tables, by "schema.name"; null if none are added. */
  readonly missing: ReadonlyMap<string, number> | null;
  /** Objects outside a partial backup that depend on replaced objects. */
  readonly dependents: readonly Dependent[];
  /** Equivalent command lines, without secrets. */
  readonly commands: readonly string[];
}

/** The part of another command in a restore: its target, and its work on the new database before that gets its name. */
export interface BeforeSwap {
  /** Server and database to restore into, in place of those of the settings. */
  readonly target: Connection;
  /**
   * Called with the plan before any change, in a preview too; in place of the question and the comparison of a restore.
   * @throws an error that stops the run
   */
  readonly review: (context: RunContext, plan: RestorePlan) => Promise<void>;
  /** Returns whether rows of the backup ("TABLE DATA", "MATERIALIZED VIEW DATA") are not restored. */
  readonly leavesOut: (
    source: VerifiedSource,
    pgRestore: Tool | null,
    signal: AbortSignal,
  ) => Promise<(entry: Entry) => boolean>;
  /** Settings, rights and comment that a new database gets, of those in the backup; a replaced database keeps its own. */
  readonly properties: (context: RunContext, properties: DatabaseProperties) => DatabaseProperties;
  /** Flags of `verify`, for the shell: where it tests a backup if the settings name no server. */
  readonly scratchFlags: string;
  /** Whether the new database is dropped after `check`, and the target is not looked at and not touched. */
  readonly isDiscarded?: boolean;
  /** Gets the restored rows while they are compared with the backup. */
  readonly takerOf: RowTakerOf;
  /** Returns the indexes and keys, as `listedName` names them, of tables whose rows `change` leaves as they are. */
  readonly builtWithRows: () => ReadonlySet<string>;
  /** Called once the new database has its tables, before their rows; not if the way of the load has no such time. */
  readonly beforeRows: (context: RunContext, hidden: Connection) => Promise<void>;
  /**
   * Changes the rows of the new database after they were compared with the backup, before it has triggers, foreign keys, and other indexes and
   * keys than those of `builtWithRows`. Until the swap, the database belongs to the restoring role, and only that role can connect.
   */
  readonly change: (
    context: RunContext,
    hidden: Connection,
    compared: readonly RestoredTable[],
  ) => Promise<void>;
  /** The error for rows that differ from the backup, or for a failure to build indexes and keys over the changed rows. */
  readonly explain: (context: RunContext, hidden: Connection, error: unknown) => Promise<unknown>;
  /** Checks the new database once it is complete. */
  readonly check: (context: RunContext, hidden: Connection) => Promise<void>;
  /** The comment of the database from the swap on. @param comment the one that it would have without this work, without the tag of a masked copy */
  readonly comment: (comment: string | null) => string;
}

/** The newest usable backup may have been made after rows were lost. */
function warnOfShrinkage({warn}: RunContext, {id, backup}: RestoreSource): void {
  const losses = backup?.record ? describeLosses(backup.record) : [];
  if (losses.length === 0) return;
  warn(
    `${id} has fewer rows than the backup before it, and the loss was not accepted (${losses.join('; ')}). To restore a backup from before the loss, use --at TIME or its ID.`,
  );
}

/**
 * Reads source and target, and decides on the strategy.
 * @param given the backup, if it was already found elsewhere
 * @param beforeSwap the work of another command on the new database
 * @throws an error for each known reason why the restore would fail, with its own code
 */
export async function planRestore(
  context: RunContext,
  request: RestoreRequest,
  given?: RestoreSource,
  beforeSwap?: BeforeSwap,
): Promise<RestorePlan> {
  const {settings, signal} = context;
  const connection = beforeSwap?.target ?? resolveConnection(settings);
  refuseTransactionPooler(connection);
  const target = withDatabase(connection, request.targetDb ?? connection.database);
  const found = await context.progress.step('Find the backup', async (step) => {
    const source = given ?? (await findRestoreSource(context, request));
    step.note(source.id);
    return source;
  });
  if (found.backup) checkContent(request, found.id, found.backup.content);
  warnOfShrinkage(context, found);
  const tools = await findRestoreTools(context, found);
  const source = await context.progress.step('Check the backup', async (step) => {
    const onBytes = (done: number, total: number): void => step.advance(done, total, 'bytes');
    const checked = isComparedBeforeUse(request) ? await checkSource(context, found, onBytes) : undefined;
    const verified = checked ?? (await verifySource(context, found, onBytes));
    step.note(countOf(verified.tables.length, 'table'));
    try {
      return {
        ...verified,
        definitions: await readDumpDefinitions(verified, tools.pgRestore, signal),
        needs: await readDumpNeeds(verified, tools.pgRestore, signal),
      };
    } catch (error) {
      throw (await findDamage(context, verified, error)) ?? error;
    }
  });
  return context.progress.step('Look at the target', async (step) => {
    const isDiscarded = beforeSwap?.isDiscarded === true;
    const present = isDiscarded ? null : await lookAtTarget(target, signal);
    const isPart = found.backup !== null && found.backup.content !== 'whole';
    if (!present && request.createDb !== true) throw await noSuchDatabase(target, signal);
    const strategy = chooseStrategy(request, target.database, present, isPart);
    const beside = strategies[strategy].isBeside
      ? {
          copied: present ? await checkSwap(context, target, present) : null,
          maintenance: await findMaintenance(connection, target, signal),
        }
      : null;
    if (beside && !present && !isDiscarded) await refuseExisting(beside.maintenance, target.database, signal);
    const session = beside?.maintenance ?? target;
    const {rights, toastCompression} = await withSession(
      session,
      async (open) => {
        await requireWritable(open, cannotRestore);
        return {
          toastCompression: await chooseToastCompression(open, request.toastCompression, beforeSwap),
          rights: await inspectRole(open),
        };
      },
      {signal},
    );
    warnOfOlderTarget(context, source, rights.serverMajor);
    const onlyTables = chooseTables(request, source.tables);
    const selection =
      onlyTables.length > 0 && request.dataOnly !== true
        ? await readTableSelection(source, tools.pgRestore, onlyTables, signal)
        : null;
    if (selection) warnOfLeft(context, selection);
    const contents = await planContents(context, {
      source,
      contents: source,
      pgRestore: tools.pgRestore,
      strategy,
      present,
      session,
      rights,
      request,
      selection,
    });
    const {
      managed: ofPlatform,
      schemas,
      outsideKeys,
      doubtful,
      withDoubtful,
      waiting,
      limits,
      hasOtherOwners,
      options,
      roles,
    } = contents;
    const leftOut = beforeSwap
      ? leaveOutMore(source, contents.leftOut, await beforeSwap.leavesOut(source, tools.pgRestore, signal))
      : contents.leftOut;
    const isChosen = (table: NamedTable): boolean =>
      onlyTables.length === 0 || onlyTables.some(isSame(table));
    const managed = ofPlatform.filter(isChosen);
    const added = request.schemaOnly === true ? [] : managed;
    if (added.length > 0) await requireManagedColumns(target, added, signal);
    const missing =
      added.length > 0
        ? await countMissingRows({source, pgRestore: tools.pgRestore, target, signal}, added)
        : null;
    await requireVisibleRows(target, rights, {
      definitions: selection?.chosen ?? (await readDumpDefinitions(source, tools.pgRestore, signal)),
      tables: source.tables.filter((table) => isChosen(table) && !managed.includes(table)),
      leftOut,
      isRowsAlone: request.dataOnly === true,
      signal,
    });
    const isPartOver =
      strategy === 'clean' &&
      request.dataOnly !== true &&
      found.backup?.record != null &&
      isSelection(found.backup.record);
    const dependents = isPartOver
      ? await planDependents(
          target,
          await readDumpDefinitions(source, tools.pgRestore, signal),
          leftOut,
          signal,
        )
      : [];
    const keyOrder =
      request.dataOnly === true
        ? await orderRows(
            context,
            target,
            source.tables.filter(
              (table) =>
                isChosen(table) &&
                !managed.includes(table) &&
                leftOut.why({...table, type: 'TABLE DATA'}) === undefined,
            ),
            rights,
          )
        : undefined;
    const load: DumpLoad = defined({
      dump: source.dump,
      ...tools,
      target,
      serverMajor: rights.serverMajor,
      isSuperuser: rights.isSuperuser,
      me: rights.name,
      limits,
      hasOtherOwners,
      options: defined({
        ...chooseOptions(context, request, {strategy, source}),
        toastCompression,
        ...options,
      }),
      tables: source.tables,
      encoding: source.encoding,
      sourceDatabase: source.backup?.database,
      onlyTables,
      leftOut,
      schemas,
      outsideKeys,
      doubtful,
      managed,
      replaced: request.replacedRows?.filter((table) =>
        present?.ownership?.relations.some((one) => one.party === 'platform' && isSame(table)(one)),
      ),
      selected: selection ? namesOfSelection(selection, onlyTables) : undefined,
      keyOrder,
    });
    await requireSpace(context, {source, target, present, session, onlyTables, request});
    step.note(
      present
        ? `${target.database}: ${describeObjects(present.objects)}`
        : `${target.database} does not exist yet`,
    );
    return {
      request,
      beforeSwap,
      selection,
      // A dry run does not need them any more, and with very many tables they take most of the memory.
      source:
        request.dryRun === true
          ? defined<RestorePlan['source']>({...source, definitions: undefined})
          : source,
      strategy,
      target,
      beside,
      rights,
      present,
      roles,
      load,
      withDoubtful,
      waiting,
      missing,
      dependents,
      // Both strategies fill a database under a temporary name, which is renamed to the target's name at the end.
      commands: loadCommands(
        beside
          ? {...load, target: withDatabase(target, databaseNameWith(target.database, '_restore_TIME'))}
          : load,
      ),
    };
  });
}

/** Reason for rows that the work before the swap does not need; the comparison expects none of them. */
const notNeeded = 'rows that the copy does not get';

/** Whether the rows of a table are left out by `BeforeSwap.leavesOut`. */
export function isNotNeeded({load}: Pick<RestorePlan, 'load'>, {schema, name}: NamedTable): boolean {
  return load.leftOut.why({type: 'TABLE DATA', schema, name}) === notNeeded;
}

function leaveOutMore(
  source: VerifiedSource,
  leftOut: LeftOutEntries,
  isLeftOut: (entry: Entry) => boolean,
): LeftOutEntries {
  const why = (entry: Entry): string | undefined =>
    leftOut.why(entry) ?? (isLeftOut(entry) ? notNeeded : undefined);
  const rows = dataEntries(source);
  if (!rows.some((entry) => why(entry) === notNeeded)) return leftOut;
  return leaveOut([...(source.definitions ?? []), ...rows], why, why);
}

/** With every strategy, the old rows stay on disk until the new ones are committed. @throws DISK_FULL */
async function requireSpace(
  context: RunContext,
  {
    source,
    target,
    present,
    session,
    onlyTables,
    request,
  }: Pick<RestorePlan, 'source' | 'target' | 'present' | 'request'> & {
    readonly session: Connection;
    readonly onlyTables: readonly NamedTable[];
  },
): Promise<void> {
  const {signal} = context;
  const {dump, sizeBytes, backup} = source;
  const isCompressed = formats[dump.format].compressesInside || dump.compressed;
  const size = estimateRestoredSize(
    backup?.record ?? null,
    {sizeBytes, isCompressed},
    {schemaOnly: request.schemaOnly === true, onlyTables},
  );
  const where = present ? target : session;
  await withSession(
    where,
    (open) =>
      requireServerDisk(context, open, where, {
        what: `Restoring into "${target.database}"`,
        size,
        isLikeCurrent: present !== null,
        hint: 'Free space on the server (destino-db prune --set-aside drops databases that were set aside), or restore on another server.',
      }),
    {signal},
  );
}

/** A dump of a newer server can contain statements that an older one does not support (manual, pg_dump, Notes). */
function warnOfOlderTarget({warn}: RunContext, {dump}: RestoreSource, targetMajor: number): void {
  const major = Number.parseInt(dump.serverVersion ?? '', 10);
  if (!(major > targetMajor)) return;
  warn(
    `The backup is from PostgreSQL ${major}, the target runs ${targetMajor}. If the backup uses features of ${major}, the server refuses them, usually as a syntax error, and the restore is rolled back.`,
  );
}

function warnOfLeft({warn}: RunContext, {left}: TableSelection): void {
  if (left.length === 0) return;
  warn(
    `Chosen tables are restored with the types, sequences, functions and extensions that they need, but without ${listDefinitions(left)}.`,
  );
}

/** @throws TOOL_TOO_OLD if the dump is newer than every installed tool, PG_RESTORE_NOT_FOUND */
export async function findRestoreTools(
  context: RunContext,
  source: RestoreSource,
): Promise<{pgRestore: Tool | null}> {
  if (!formats[source.dump.format].isArchive) return {pgRestore: null};
  const needed = Math.max(majorForArchive(source.dump.archiveVersion ?? '1.14'), source.dump.dumpMajor ?? 0);
  try {
    return {pgRestore: await findTool('pg_restore', context.settings, needed)};
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== 'TOOL_TOO_OLD') throw error;
    const writer = source.dump.dumpVersion === null ? '' : ` (pg_dump ${source.dump.dumpVersion})`;
    throw new AppError(
      'TOOL_TOO_OLD',
      `The backup was written by a newer pg_dump${writer}, archive version ${source.dump.archiveVersion ?? '?'}, than any installed pg_restore can read. The target was not touched.`,
      defined({hint: error.hint, details: [error.message], cause: error}),
    );
  }
}

/** The oldest major version whose pg_restore reads the archive (K_VERS_1_* in src/bin/pg_dump/pg_backup_archiver.h). */
function majorForArchive(version: string): number {
  const minor = Number(version.split('.')[1] ?? '0');
  if (minor >= 17) return 19;
  if (minor === 16) return 17;
  return minor === 15 ? 16 : 12;
}

const cannotRestore = 'Nothing can be restored here';

/** @returns null if the database does not exist */
export async function lookAtTarget(target: Connection, signal: AbortSignal): Promise<PresentDatabase | null> {
  try {
    return await withSession(
      target,
      async (session) => {
        await requireWritable(session, cannotRestore);
        const ownership = await inspectOwnership(session);
        const hasPlatform = ownership.isManaged && ownership.schemas.some(({party}) => party === 'platform');
        return {
          identity: await inspectIdentity(session),
          objects: await countObjects(session),
          ownership: hasPlatform ? ownership : null,
        };
      },
      {signal},
    );
  } catch (error) {
    if (error instanceof AppError && error.code === 'DATABASE_NOT_FOUND') return null;
    throw error;
  }
}

async function noSuchDatabase(target: Connection, signal: AbortSignal): Promise<AppError> {
  const rows = await withMaintenanceSession(
    target,
    (session) =>
      session.query('SELECT datname FROM pg_catalog.pg_database WHERE datallowconn AND NOT datistemplate'),
    {signal},
  );
  return unknownName(
    'DATABASE_NOT_FOUND',
    `The database "${target.database}" does not exist. Nothing was changed.`,
    target.database,
    rows.flatMap(({datname}) => datname ?? []),
    'Check the name, or add --create-db to create it.',
  );
}

export interface ContentsToPlan extends DumpToRestore {
  readonly strategy: RestoreStrategy;
  readonly present: PresentDatabase | null;
  /** Any database of the server. */
  readonly session: Connection;
  readonly rights: RoleRights;
  readonly request: RestoreRequest;
  /** Objects restored with chosen tables; null without chosen tables. */
  readonly selection: TableSelection | null;
}

/**
 * Decides which objects of the backup this role restores into this target.
 * @throws NOT_SUPPORTED_HERE if the restore could only fail, OWNER_NOT_KEPT
 */
export async function planContents(
  context: RunContext,
  plan: ContentsToPlan,
): Promise<WhatToRestore & NeedsFound> {
  const {source, pgRestore, session, rights, request, selection} = plan;
  const what = await decideContents(context, plan, []);
  const {leftOut} = what;
  const needs = await checkNeeds(context, {
    source,
    pgRestore,
    session,
    rights,
    request,
    selection,
    leftOut,
    makesRoles: request.roles !== false,
  });
  return {...what, ...needs};
}

/** @param refused extensions that the server refused @throws NOT_SUPPORTED_HERE */
async function decideContents(
  context: RunContext,
  plan: ContentsToPlan,
  refused: readonly string[],
): Promise<WhatToRestore> {
  const {source, pgRestore, strategy, present, session, rights, request, selection} = plan;
  const isInPlace = !strategies[strategy].isBeside;
  const {unavailable, doubtful} = await findUnavailable(context, source, pgRestore, session, present);
  // Rows alone create nothing.
  const absent = request.dataOnly === true ? doubtful : refused;
  const what = await decideWhatToRestore(
    plan,
    {
      me: rights.name,
      isSuperuser: rights.isSuperuser,
      ownership: isInPlace ? (present?.ownership ?? null) : null,
      unavailable,
      refused: absent,
      doubtful: doubtful.filter((name) => !absent.includes(name)),
      ...(request.dataOnly === true ? {} : {database: isInPlace ? session : null}),
    },
    context.signal,
  );
  requirePossible(what, selection);
  return what;
}

/**
 * Plans a restore in place again after the server refused extensions to the role; dependent objects are left out too.
 * @throws NOT_SUPPORTED_HERE if tables need them
 */
export async function planWithout(
  context: RunContext,
  plan: RestorePlan,
  refused: readonly string[],
): Promise<RestorePlan> {
  const {pgRestore} = plan.load;
  const given = {...plan, pgRestore, contents: plan.source, session: plan.target};
  const {leftOut, managed, schemas, outsideKeys, doubtful, withDoubtful, waiting} = await decideContents(
    context,
    given,
    refused,
  );
  const added = plan.load.managed.filter((table) => managed.includes(table));
  const load = {...plan.load, leftOut, managed: added, schemas, outsideKeys, doubtful};
  return {...plan, load, withDoubtful, waiting};
}

/** For a backup from a service: extensions that only the service can create here, and extensions that it may refuse. */
async function findUnavailable(
  {signal}: RunContext,
  source: RestoreSource,
  pgRestore: Tool | null,
  session: Connection,
  present: PresentDatabase | null,
): Promise<{unavailable: string[]; doubtful: string[]}> {
  if (!isOfPlatform(source.backup?.record)) return {unavailable: [], doubtful: []};
  const {extensions} = await readDumpNeeds(source, pgRestore, signal);
  return withSession(
    session,
    async (open) => {
      const uninstallable = await findUninstallableExtensions(open, extensions);
      if (!present?.ownership) return {unavailable: uninstallable, doubtful: []};
      // A service can allow its users to create extensions that need a superuser elsewhere.
      const unavailable = await findMissingExtensions(open, extensions);
      const there = [...unavailable, ...(await findInstalledExtensions(open, extensions))];
      return {unavailable, doubtful: uninstallable.filter((name) => !there.includes(name))};
    },
    {signal},
  );
}

/** @throws NOT_SUPPORTED_HERE */
function requirePossible(
  {impossible, incomplete}: Pick<WhatToRestore, 'impossible' | 'incomplete'>,
  selection: TableSelection | null,
): void {
  const chosen = selection && new Set(selection.chosen.map(qualifiedName));
  const isChosen = (table: string): boolean => chosen?.has(table.replace(/ \(.*$/, '')) !== false;
  const tables = impossible.filter(isChosen);
  requireComplete(incomplete.filter(isChosen));
  if (tables.length === 0) return;
  throw new AppError(
    'NOT_SUPPORTED_HERE',
    `${countOf(tables.length, 'table')} of the backup need extensions that the role cannot install here: ${tables.join(', ')}. Nothing was changed.`,
    {hint: 'Restore with a role that may install them, on a server that provides them.'},
  );
}

/** @throws NOT_SUPPORTED_HERE */
export function requireComplete(tables: readonly string[]): void {
  if (tables.length === 0) return;
  throw new AppError(
    'NOT_SUPPORTED_HERE',
    `${countOf(tables.length, 'table')} of this partial backup need objects that exist neither in the backup nor in the target: ${tables.join(', ')}. Nothing was changed.`,
    {
      hint: 'Create these objects first, or restore a backup of the whole database with --include-table, which includes the objects that tables need.',
      details: tables,
    },
  );
}

/** @throws NOT_SUPPORTED_HERE, because rows without one of their columns would be different rows */
async function requireManagedColumns(
  target: Connection,
  tables: readonly DumpedTable[],
  signal: AbortSignal,
): Promise<void> {
  const [there, missing] = await withSession(
    target,
    async (session) => {
      const absent = await findMissingTables(session, tables);
      const ones = tables.filter((table) => !absent.includes(table));
      return [ones, await findMissingColumns(session, ones)] as const;
    },
    {signal},
  );
  const lacking = there.flatMap(({schema, name}, index) =>
    (missing[index] ?? []).map((column) => `${schema}.${name}.${column}`),
  );
  if (lacking.length === 0) return;
  throw new AppError(
    'NOT_SUPPORTED_HERE',
    `The platform's tables in the target lack ${countOf(lacking.length, 'column')} of the backup: ${lacking.join(', ')}. Nothing was changed.`,
    {
      hint: 'Upgrade the project to the version of the service that the backup is from, or restore beside it: --target-db NAME --create-db.',
      details: lacking,
    },
  );
}

const isSame =
  (one: NamedTable) =>
  (other: NamedTable): boolean =>
    one.schema === other.schema && one.name === other.name;

async function refuseExisting(maintenance: Connection, database: string, signal: AbortSignal): Promise<void> {
  // A database that refuses connections exists, although the connection to it failed.
  if (await withSession(maintenance, (session) => databaseExists(session, database), {signal})) {
    throw new AppError('TARGET_EXISTS', `The database "${database}" already exists. Nothing was changed.`);
  }
}

/**
 * PostgreSQL before 14 offers no choice, and a server can be built without lz4. Rows that another command reads again several times cost
 * less with lz4, so they get it where the server offers it.
 * @throws NOT_SUPPORTED_HERE
 */
async function chooseToastCompression(
  session: Session,
  wanted: ToastCompression | undefined,
  beforeSwap: BeforeSwap | undefined,
): Promise<ToastCompression | undefined> {
  if (wanted === undefined && !beforeSwap) return undefined;
  const chosen = wanted ?? 'lz4';
  const [row] = await session.query(
    `SELECT 1 FROM pg_catalog.pg_settings WHERE name = 'default_toast_compression' AND $1 = ANY (enumvals)`,
    [chosen],
  );
  if (row) return chosen;
  if (wanted === undefined) return undefined;
  throw new AppError(
    'NOT_SUPPORTED_HERE',
    `The server does not offer ${wanted} for large values. Nothing was changed.`,
    {hint: 'Omit --toast-compression.'},
  );
}

/** The dump's tables that match --include-table: "name", "schema.name", with * and ? as wildcards. @throws PATTERN_MATCHES_NOTHING */
function chooseTables(request: RestoreRequest, tables: readonly NamedTable[]): NamedTable[] {
  const chosen = new Map<string, NamedTable>();
  for (const pattern of request.includeTables ?? []) {
    const expression = wildcard(pattern);
    const matching = tables.filter(
      (table) => expression.test(table.name) || expression.test(qualifiedName(table)),
    );
    if (matching.length === 0) {
      const names = tables.map(qualifiedName);
      throw unknownName(
        'PATTERN_MATCHES_NOTHING',
        `The backup has no table "${pattern}". Nothing was changed.`,
        pattern,
        names,
      );
    }
    for (const table of matching) chosen.set(JSON.stringify([table.schema, table.name]), table);
  }
  return [...chosen.values()];
}

function wildcard(pattern: string): RegExp {
  const source = pattern
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.');
  return new RegExp(`^${source}$`, 's');
}

/** Plans the order in which rows alone are loaded into `tables`. @throws TARGET_NOT_EMPTY, KEY_CIRCLE, RESTORE_FAILED if a table is missing */
async function orderRows(
  context: RunContext,
  target: Connection,
  tables: readonly NamedTable[],
  rights: RoleRights,
): Promise<KeyOrder> {
  return withSession(
    target,
    async (session) => {
      await requireEmptyTables(session, tables);
      return planKeyOrder(context, session, tables, rights);
    },
    {signal: context.signal},
  );
}

/** @throws TARGET_NOT_EMPTY, RESTORE_FAILED if a table is missing */
async function requireEmptyTables(session: Session, wanted: readonly NamedTable[]): Promise<void> {
  const missing = await findMissingTables(session, wanted);
  const filled = missing.length > 0 ? [] : await findFilledTables(session, wanted);
  const names = (list: readonly NamedTable[]): string[] => list.map(qualifiedName);
  if (missing.length > 0) {
    throw new AppError(
      'RESTORE_FAILED',
      `The target lacks ${countOf(missing.length, 'table')} for the rows. Nothing was changed.`,
      {
        details: names(missing),
        hint: 'Restore the schema first (--schema-only), or choose tables with --include-table.',
      },
    );
  }
  if (filled.length > 0) {
    throw new AppError(
      'TARGET_NOT_EMPTY',
      `${countOf(filled.length, 'table')} of the target already contain rows. Nothing was changed.`,
      {
        details: names(filled),
        hint: 'Empty them first, or restore the whole backup instead.',
      },
    );
  }
}

const mostDefaultJobs = 4;

function chooseOptions(
  context: RunContext,
  request: RestoreRequest,
  {strategy, source}: Pick<RestorePlan, 'strategy' | 'source'>,
): Omit<PgRestoreOptions, 'noOwner' | 'noAcl'> {
  const {isBeside: isFresh} = strategies[strategy];
  const {loadsInParallel} = formats[source.dump.format];
  if ((request.parallelJobs ?? 1) > 1 && !(isFresh && loadsInParallel)) {
    context.warn(
      loadsInParallel
        ? '--parallel-jobs is ignored: an existing database is restored in one transaction, so that a failure changes nothing.'
        : '--parallel-jobs is ignored: a plain dump is restored through one connection.',
    );
  }
  const stopsOnError = request.skipErrors !== true;
  return defined({
    jobs:
      isFresh && loadsInParallel && !source.dump.remote
        ? (request.parallelJobs ?? Math.min(context.settings.cores, mostDefaultJobs))
        : 1,
    isSingleTransaction: !isFresh,
    isCleaning: strategy === 'clean',
    schemaOnly: request.schemaOnly ?? false,
    dataOnly: request.dataOnly ?? false,
    stopsOnError,
  });
}
