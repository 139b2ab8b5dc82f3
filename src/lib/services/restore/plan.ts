/** Decides how a backup is to be restored, by reading only: source, target, tools, rights and what would stand in the way. */
import {qualifiedName} from '../../base/qualified-name.js';
import {formats} from '../../base/formats.js';
import {listDefinitions} from '../../dump/compare-definitions.js';
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
import type {RolesToMake} from '../../postgres/databases/make-roles.js';
import type {Dependent} from '../../postgres/inspect/inspect-dependents.js';
import {inspectOwnership} from '../../postgres/inspect/platform-objects.js';
import type {PgRestoreOptions, ToastCompression} from '../../postgres/tools/pg-restore.js';
import {requireWritable} from '../../postgres/inspect/writable.js';
import {isOfPlatform, isSelection} from '../../catalog/backup-record.js';
import {estimateRestoredSize} from '../../catalog/restored-size.js';
import type {RunContext} from '../../run/run-context.js';
import {checkNeeds, type NeedsFound} from './requirements.js';
import {countMissingRows} from './diff-live.js';
import {requireServerDisk} from '../guards/server-disk.js';
import {type CarriedOver, checkSwap, type PresentDatabase} from './can-swap.js';
import {planDependents} from './dependents.js';
import {type KeyOrder, planKeyOrder} from './load/key-order.js';
import {type DumpLoad, loadCommands} from './load/load-dump.js';
import {checkContent, type RestoreRequest} from './options.js';
import {chooseStrategy, isComparedBeforeUse, type RestoreStrategy, strategies} from './strategy.js';
import {decideWhatToRestore, type DumpToRestore, type WhatToRestore} from './what-to-restore.js';
import {withMaintenanceSession} from '../../postgres/databases/maintenance.js';
import {findMaintenance} from '../../postgres/databases/maintenance-database.js';
import {
  checkSource,
  findDamage,
  findRestoreSource,
  proveSource,
  readDumpDefinitions,
  readDumpNeeds,
  readTableSelection,
  type ProvenSource,
  type RestoreSource,
} from './source.js';
import {unknownName} from '../../base/unknown-name.js';
import {requireVisibleRows} from './visible-rows.js';
import {describeLosses} from '../../catalog/shrink-alarm.js';

export interface RestorePlan extends Pick<WhatToRestore, 'withDoubtful' | 'waiting'> {
  readonly request: RestoreRequest;
  /** What comes with chosen tables; null where everything is restored, or rows alone. */
  readonly selection: TableSelection | null;
  readonly source: ProvenSource;
  readonly strategy: RestoreStrategy;
  readonly target: Connection;
  /** For the strategies that fill a database beside the target; null for the others. */
  readonly beside: {
    /** Another database of the same server, to make and rename databases from. */
    readonly maintenance: Connection;
    /** Carried over from the database that is replaced; null where there is none. */
    readonly carried: CarriedOver | null;
  } | null;
  readonly rights: RoleRights;
  /** What stands in the target now; null when it does not exist. */
  readonly present: PresentDatabase | null;
  /** What the server lacks and the restore makes first. */
  readonly roles: RolesToMake | undefined;
  readonly load: DumpLoad;
  /** How many rows of each of the platform's tables, "schema.name", the target lacks and gets; null where none are added. */
  readonly missing: ReadonlyMap<string, number> | null;
  /** What outside of a backup of a part depends on what is replaced. */
  readonly dependents: readonly Dependent[];
  /** The command lines, without secrets. */
  readonly commands: readonly string[];
}

/** A backup that was made after the damage is the newest good one all the same. */
function warnOfShrinkage({warn}: RunContext, {id, backup}: RestoreSource): void {
  const losses = backup?.record ? describeLosses(backup.record) : [];
  if (losses.length === 0) return;
  warn(
    `${id} lost rows against the backup before it, and nobody accepted that (${losses.join('; ')}). To take one from before the loss: --at TIME, or its ID.`,
  );
}

/**
 * Reads source and target and decides.
 * @param given the backup, where it was found elsewhere already
 * @throws whatever would make the restore fail, with its own code
 */
export async function planRestore(
  context: RunContext,
  request: RestoreRequest,
  given?: RestoreSource,
): Promise<RestorePlan> {
  const {settings, signal} = context;
  const connection = resolveConnection(settings);
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
    const proven = checked ?? (await proveSource(context, found, onBytes));
    step.note(countOf(proven.tables.length, 'table'));
    try {
      return {
        ...proven,
        definitions: await readDumpDefinitions(proven, tools.pgRestore, signal),
        needs: await readDumpNeeds(proven, tools.pgRestore, signal),
      };
    } catch (error) {
      throw (await findDamage(context, proven, error)) ?? error;
    }
  });
  return context.progress.step('Look at the target', async (step) => {
    const present = await lookAtTarget(target, signal);
    const isPart = found.backup !== null && found.backup.content !== 'whole';
    if (!present && request.createDb !== true) throw await noSuchDatabase(target, signal);
    const strategy = chooseStrategy(request, target.database, present, isPart);
    const beside = strategies[strategy].isBeside
      ? {
          carried: present ? await checkSwap(context, target, present) : null,
          maintenance: await findMaintenance(connection, target, signal),
        }
      : null;
    if (beside && !present) await refuseExisting(beside.maintenance, target.database, signal);
    const session = beside?.maintenance ?? target;
    const rights = await withSession(
      session,
      async (open) => {
        await requireWritable(open, cannotRestore);
        if (request.toastCompression !== undefined)
          await requireToastCompression(open, request.toastCompression);
        return inspectRole(open);
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
      leftOut,
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
      options: {...chooseOptions(context, request, {strategy, source}), ...options},
      tables: source.tables,
      encoding: source.encoding,
      sourceDatabase: source.backup?.database,
      onlyTables,
      leftOut,
      schemas,
      outsideKeys,
      doubtful,
      managed,
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
      selection,
      // Nobody asks for them any more, and of very many tables they are what takes most memory.
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
      // Both strategies fill a database under a name of its own, which the target's becomes at the end.
      commands: loadCommands(
        beside ? {...load, target: withDatabase(target, `${target.database}_restore_TIME`)} : load,
      ),
    };
  });
}

/** Whatever the strategy: the old rows stay until the new ones are committed. @throws DISK_FULL */
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
        hint: 'Free space on the server (destino-db prune --set-aside drops databases set aside), or restore on another server.',
      }),
    {signal},
  );
}

/** What pg_dump writes for a newer server may be what an older one does not know (manual, pg_dump, Notes). */
function warnOfOlderTarget({warn}: RunContext, {dump}: RestoreSource, targetMajor: number): void {
  const major = Number.parseInt(dump.serverVersion ?? '', 10);
  if (!(major > targetMajor)) return;
  warn(
    `The backup is of PostgreSQL ${major}, the target runs ${targetMajor}: what only ${major} knows is refused there, usually as a syntax error, and the restore is rolled back.`,
  );
}

function warnOfLeft({warn}: RunContext, {left}: TableSelection): void {
  if (left.length === 0) return;
  warn(
    `Chosen tables come with the types, sequences, functions and extensions that they need, and without ${listDefinitions(left)}.`,
  );
}

/** @throws TOOL_TOO_OLD when the dump is newer than every installed tool, PG_RESTORE_NOT_FOUND */
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
      `The backup was written by a newer pg_dump${writer}, archive version ${source.dump.archiveVersion ?? '?'}, than any installed pg_restore reads; the target was not touched.`,
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

/** @returns null where the database does not exist */
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
    `The database "${target.database}" does not exist; nothing was changed.`,
    target.database,
    rows.flatMap(({datname}) => datname ?? []),
    'Check the name, or add --create-db to make it.',
  );
}

export interface ContentsToPlan extends DumpToRestore {
  readonly strategy: RestoreStrategy;
  readonly present: PresentDatabase | null;
  /** Any database of the server. */
  readonly session: Connection;
  readonly rights: RoleRights;
  readonly request: RestoreRequest;
  /** Where chosen tables are restored: what comes with them. */
  readonly selection: TableSelection | null;
}

/**
 * What of the backup goes back into this target as this role.
 * @throws NOT_SUPPORTED_HERE when the restore could only fail, OWNER_NOT_KEPT
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
 * The plan of a restore in place where the server refused extensions to the role: what needs them is left out as well.
 * @throws NOT_SUPPORTED_HERE where tables need them
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

/** Of a backup of a project at a service, which extensions nobody but the service can create here, and which it may refuse. */
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
      // A service may let its users create what elsewhere only superusers create.
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
    `${countOf(tables.length, 'table')} of the backup need extensions that the role cannot install here: ${tables.join(', ')}; nothing was changed.`,
    {hint: 'Restore with a role that may install them, on a server that has them.'},
  );
}

/** @throws NOT_SUPPORTED_HERE */
export function requireComplete(tables: readonly string[]): void {
  if (tables.length === 0) return;
  throw new AppError(
    'NOT_SUPPORTED_HERE',
    `${countOf(tables.length, 'table')} of the backup, which is of a part of its database, cannot be made without what neither it nor the target has: ${tables.join(', ')}; nothing was changed.`,
    {
      hint: 'Create that first, or restore a backup of the whole database with --include-table, which brings what tables need.',
      details: tables,
    },
  );
}

/** @throws NOT_SUPPORTED_HERE: rows that came without a column would be others */
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
    `The platform's tables in the target lack ${countOf(lacking.length, 'column')} of the backup: ${lacking.join(', ')}; nothing was changed.`,
    {
      hint: 'Bring the project to the version of the service that the backup is from, or restore beside it: --target-db NAME --create-db.',
      details: lacking,
    },
  );
}

const isSame =
  (one: NamedTable) =>
  (other: NamedTable): boolean =>
    one.schema === other.schema && one.name === other.name;

async function refuseExisting(maintenance: Connection, database: string, signal: AbortSignal): Promise<void> {
  // Connecting to it failed with "does not exist", which a database that refuses connections does not say.
  if (await withSession(maintenance, (session) => databaseExists(session, database), {signal})) {
    throw new AppError('TARGET_EXISTS', `The database "${database}" exists already; nothing was changed.`);
  }
}

/** @throws NOT_SUPPORTED_HERE: PostgreSQL before 14 has no choice, and a server can be built without lz4 */
async function requireToastCompression(session: Session, wanted: ToastCompression): Promise<void> {
  const [row] = await session.query(
    `SELECT 1 FROM pg_catalog.pg_settings WHERE name = 'default_toast_compression' AND $1 = ANY (enumvals)`,
    [wanted],
  );
  if (row) return;
  throw new AppError(
    'NOT_SUPPORTED_HERE',
    `The server does not offer ${wanted} for large values; nothing was changed.`,
    {hint: 'Leave out --toast-compression.'},
  );
}

/** The tables of the dump that --include-table names: "name", "schema.name", with * and ? as wildcards. @throws PATTERN_MATCHES_NOTHING */
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
        `The backup has no table "${pattern}"; nothing was changed.`,
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

/** How rows alone go into `tables`. @throws TARGET_NOT_EMPTY, KEY_CIRCLE, RESTORE_FAILED when a table is not there */
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

/** @throws TARGET_NOT_EMPTY, RESTORE_FAILED when a table is not there */
async function requireEmptyTables(session: Session, wanted: readonly NamedTable[]): Promise<void> {
  const missing = await findMissingTables(session, wanted);
  const filled = missing.length > 0 ? [] : await findFilledTables(session, wanted);
  const names = (list: readonly NamedTable[]): string[] => list.map(qualifiedName);
  if (missing.length > 0) {
    throw new AppError(
      'RESTORE_FAILED',
      `The target lacks ${countOf(missing.length, 'table')} for the rows; nothing was changed.`,
      {
        details: names(missing),
        hint: 'Restore the schema first (--schema-only), or choose tables with --include-table.',
      },
    );
  }
  if (filled.length > 0) {
    throw new AppError(
      'TARGET_NOT_EMPTY',
      `${countOf(filled.length, 'table')} of the target hold rows already; nothing was changed.`,
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
        ? '--parallel-jobs is left out: into a database that exists, everything goes in one transaction, so that a failure leaves it as it was.'
        : '--parallel-jobs is left out: a plain dump goes through one connection.',
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
    toastCompression: request.toastCompression,
  });
}
