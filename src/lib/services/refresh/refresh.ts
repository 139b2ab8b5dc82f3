/** Implements `refresh`: replaces a database of another environment by a masked copy of a backup. */
import {formats} from '../../base/formats.js';
import {defined} from '../../base/defined.js';
import {qualifiedName} from '../../base/qualified-name.js';
import {AppError, messageOf} from '../../base/errors.js';
import {formatBytes, formatTime} from '../../base/format.js';
import {estimateRestoredSize} from '../../catalog/restored-size.js';
import type {LoadedOriginals} from '../../masks/originals.js';
import {withSession} from '../../postgres/client.js';
import type {Connection} from '../../postgres/connect/connection.js';
import {formatMaskedComment} from '../../postgres/inspect/masked-comment.js';
import {describeObjects} from '../../postgres/inspect/inspect-target.js';
import type {RunContext} from '../../run/run-context.js';
import {type BackupSource, withFetchedFolder} from '../../storage/fetch-backup.js';
import {isSystemDatabase} from '../../catalog/replacing-flags.js';
import {requireServerDisk} from '../guards/server-disk.js';
import {dropOlderSetAside} from '../prune/prune-databases.js';
import type {RestoreResult} from '../restore/execute.js';
import type {RestoreRequest} from '../restore/options.js';
import type {PresentDatabase} from '../restore/can-swap.js';
import {type BeforeSwap, lookAtTarget, type RestorePlan} from '../restore/plan.js';
import {chooseStrategy} from '../restore/strategy.js';
import {readDependencies, readDumpDefinitions} from '../restore/source.js';
import {rowsNotLoaded} from './rows-not-loaded.js';
import {describeRoles} from '../restore/plan-roles.js';
import {restoreFrom} from '../restore/restore.js';
import {type InPlace, restoreInPlace} from './in-place.js';
import {writeMaskedDump} from './masked-dump.js';
import {
  explainFailure,
  loadOriginals,
  type Masked,
  maskDatabase,
  type MaskingPlan,
  planMasking,
  proveDatabase,
  type Unproven,
} from './masking.js';
import {
  refuseProduction,
  refuseSource,
  scratchFlagsFor,
  targetOf,
  type TargetRequest,
  withoutForeignSettings,
} from './target.js';

export interface RefreshRequest
  extends
    TargetRequest,
    Pick<
      RestoreRequest,
      | 'backupFile'
      | 'at'
      | 'parallelJobs'
      | 'roles'
      | 'allowOwnerChange'
      | 'dryRun'
      | 'waitMs'
      | 'lockWaitMs'
      | 'command'
    > {
  /** Number of set-aside databases of the target to keep. */
  readonly keepSetAside: number;
}

export interface RefreshResult
  extends
    Pick<
      RestoreResult,
      | 'mode'
      | 'backup'
      | 'backupPath'
      | 'backupCreatedAt'
      | 'target'
      | 'host'
      | 'present'
      | 'duration'
      | 'setAside'
      | 'safetyBackup'
      | 'notes'
      | 'notCompared'
      | 'warnings'
    >,
    Omit<MaskingPlan, 'rules' | 'keys' | 'finder' | 'unchangedIndexes'> {
  /** The tables of the backup. */
  readonly tables: readonly {readonly table: string; readonly rows: number}[];
  /** Estimated space on the server's disk, bytes. */
  readonly estimatedSize: number;
  /** The outcome of the masks and of their checks; null in a dry run. */
  readonly masked: Masked | null;
  /** Whether the content was replaced in one transaction, because the database cannot be swapped. */
  readonly isInPlace: boolean;
  /** Names of older set-aside databases that were dropped. */
  readonly dropped: readonly string[];
}

/**
 * Replaces the target by a masked copy of a backup, or with `dryRun` reports what would be done.
 * @throws GUARD for a production target or the backup's own source; PERSONAL_DATA; MASK_INVALID; MASKS_NOT_PROVEN;
 *   and the errors of a restore; the target is unchanged after all of them
 */
export async function refresh(
  context: RunContext,
  source: BackupSource,
  request: RefreshRequest,
): Promise<RefreshResult> {
  const target = targetOf(context, request);
  const {database, host, port} = target;
  context.record({database: {name: database, systemIdentifier: null, host, port}});
  await refuseProduction(context, target);
  // The name of such a database cannot change, so its content is replaced.
  const isInPlace = isSystemDatabase(database);
  if (isInPlace && request.dryRun !== true)
    return withFetchedFolder(context, (folder) => refreshTarget(context, source, request, target, {folder, name: 'masked.sql.gz'})); // prettier-ignore
  return refreshTarget(context, source, request, target, isInPlace ? 'preview' : undefined);
}

/** @param inPlace the file for the masked rows of a database that cannot be swapped; undefined for a swap */
async function refreshTarget(
  context: RunContext,
  source: BackupSource,
  request: RefreshRequest,
  target: Connection,
  inPlace: InPlace['file'] | 'preview' | undefined,
): Promise<RefreshResult> {
  const {database, host} = target;
  const there = inPlace === undefined ? null : await lookInPlace(context, target);
  let masking: MaskingPlan | undefined;
  let loaded: LoadedOriginals | undefined;
  let unproven: Unproven | undefined;
  let masked: Masked | null = null;
  let estimatedSize = 0;
  let backup = '';
  let planned: RestorePlan | undefined;
  const at = context.clock.now().toISOString();
  const beforeSwap: BeforeSwap = defined<BeforeSwap>({
    target,
    leavesOut: async (from, pgRestore, signal) => {
      const definitions = await readDumpDefinitions(from, pgRestore, signal);
      return rowsNotLoaded(definitions, context.settings.config, () =>
        readDependencies(from, pgRestore, definitions, from.encoding, signal),
      );
    },
    properties: (ctx, given) => {
      const {properties, left} = withoutForeignSettings(given);
      if (left.length > 0)
        ctx.warn(
          `Not copied, because they belong to the environment of the backup: ${left.join(', ')}. Set them with ALTER DATABASE if the copy needs them.`,
        );
      return properties;
    },
    scratchFlags: scratchFlagsFor(context.settings, request.targetUrlEnv),
    isDiscarded: inPlace === undefined ? undefined : true,
    review: async (ctx, plan) => {
      planned = plan;
      backup = plan.source.id;
      await refuseSource(ctx, target, plan.source.backup?.record ?? null);
      masking = await planMasking(ctx, plan, request.dryRun === true);
      estimatedSize = await requireSpace(ctx, plan, masking);
      if (request.dryRun !== true)
        await confirm(ctx, plan, masking, {there, keepSetAside: request.keepSetAside});
    },
    takerOf: (table, encoding) => masking?.finder.takerOf(table, encoding),
    builtWithRows: () => masking?.unchangedIndexes ?? new Set(),
    beforeRows: async (ctx, hidden) => {
      if (masking) loaded = await loadOriginals(ctx, hidden, masking);
    },
    change: async (ctx, hidden, tables) => {
      if (!masking) throw new AppError('UNEXPECTED', 'The masks were not planned.');
      const compared = new Map(tables.map(({table, rows}) => [table, rows]));
      unproven = await maskDatabase(ctx, hidden, masking, {loaded, compared}, request.parallelJobs);
    },
    explain: (ctx, hidden, error) =>
      masking ? explainFailure(ctx, hidden, error, {masking, loaded, unproven}) : Promise.resolve(error),
    check: async (ctx, hidden) => {
      if (!unproven) throw new AppError('UNEXPECTED', 'The database was not masked.');
      masked = withRowsOfBackup(await proveDatabase(ctx, hidden, unproven, request.parallelJobs), planned);
      if (planned && typeof inPlace === 'object') {
        const [plan, file] = [planned, inPlace];
        await ctx.progress.step('Write the masked copy', () => writeMaskedDump(ctx, plan, hidden, file));
      }
    },
    comment: (comment) => formatMaskedComment({at, backup, comment}),
  });
  const filled = await restoreFrom(
    context,
    source,
    defined<RestoreRequest>({
      ...request,
      targetDb: database,
      isLatest: request.backupFile === undefined && request.at === undefined ? true : undefined,
      createDb: true,
      dropExisting: true,
    }),
    beforeSwap,
  );
  if (!masking || !planned) throw new AppError('UNEXPECTED', 'The masks were not planned.');
  const {source: from} = planned;
  const restored =
    typeof inPlace === 'object'
      ? await restoreInPlace(context, request, {target, source: from, file: inPlace, rules: masking.rules, tag: {at, backup}, checkCommand: planned.request.checkCommand}) // prettier-ignore
      : filled;
  const dropped = restored.setAside === null ? [] : await dropOlder(context, target, request.keepSetAside);
  const {setAside, safetyBackup, notes, notCompared} = restored;
  const {mode, backupPath, backupCreatedAt, warnings} = filled;
  const present = there === null ? filled.present : describeObjects(there.objects);
  const duration = filled.duration + (restored === filled ? 0 : restored.duration);
  const {rules: _rules, keys: _keys, finder: _finder, unchangedIndexes: _indexes, ...shown} = masking;
  return {
    mode,
    backup,
    backupPath,
    backupCreatedAt,
    target: database,
    host,
    present,
    tables: restored.tables.map(({table, rows}) => ({table, rows})),
    ...shown,
    estimatedSize,
    masked,
    duration,
    isInPlace: inPlace !== undefined,
    setAside,
    safetyBackup,
    dropped,
    notes,
    notCompared,
    warnings,
  };
}

/** Tables without rows were not loaded, so the backup knows how many they had. */
function withRowsOfBackup(masked: Masked, plan: RestorePlan | undefined): Masked {
  const rows = new Map(plan?.source.tables.map((table) => [qualifiedName(table), table.rows]));
  const reduced = masked.reduced.map((one) =>
    one.before === 0 ? {...one, before: rows.get(one.table) ?? 0} : one,
  );
  return {...masked, reduced};
}

/** @throws DATABASE_NOT_FOUND, NOT_SUPPORTED_HERE for a template */
async function lookInPlace(context: RunContext, target: Connection): Promise<PresentDatabase> {
  const {database} = target;
  const present = await lookAtTarget(target, context.signal);
  if (!present)
    throw new AppError(
      'DATABASE_NOT_FOUND',
      `The database "${database}" does not exist. Nothing was changed.`,
    );
  chooseStrategy({clean: true}, database, present, false);
  return present;
}

/** Every masked row is written a second time, and one of the masking program a third time. @returns bytes @throws DISK_FULL */
async function requireSpace(
  context: RunContext,
  {source, beside, target}: RestorePlan,
  {maskProgram}: MaskingPlan,
): Promise<number> {
  const {dump, sizeBytes, backup} = source;
  const isCompressed = formats[dump.format].compressesInside || dump.compressed;
  const size = estimateRestoredSize(
    backup?.record ?? null,
    {sizeBytes, isCompressed},
    {schemaOnly: false, onlyTables: []},
  );
  const bytes = size.bytes * (maskProgram === null ? 2 : 3);
  const where = beside?.maintenance ?? target;
  await withSession(
    where,
    (session) =>
      requireServerDisk(context, session, where, {
        what: `Restoring into "${target.database}" and masking it`,
        size: {...size, bytes},
        isLikeCurrent: false,
        hint: 'Free space on the server: destino-db prune --set-aside drops databases that were set aside.',
      }),
    {signal: context.signal},
  );
  return bytes;
}

async function confirm(
  context: RunContext,
  {source, target, present, roles}: RestorePlan,
  masking: MaskingPlan,
  {there, keepSetAside}: {readonly there: PresentDatabase | null; readonly keepSetAside: number},
): Promise<void> {
  const replaced = there ?? present;
  if (!replaced && !roles) return;
  const {database, host} = target;
  await context.confirm({
    action: `Replace the database "${database}" by a masked copy of the backup ${source.id}.`,
    host,
    database,
    isProduction: false,
    plan: [
      `backup  ${source.path}, made ${formatTime(source.createdAt.toISOString())}`,
      `masks  ${masking.masks.length === 0 ? 'none' : masking.masks.map(({column, mask}) => `${column} (${mask})`).join(', ')}`,
      `there now  ${replaced ? describeObjects(replaced.objects) : 'nothing'}`,
      there
        ? 'how  the backup is restored beside it, masked and checked; then a safety backup is made, and the masked copy replaces the content in one transaction'
        : `how  the backup is restored beside it, masked and checked; then the names are swapped, and the old database is kept (the newest ${keepSetAside}; older ones are dropped)`,
      ...(roles ? [`created first  ${describeRoles(roles)}`] : []),
    ],
  });
}

/** The refresh is done: a set-aside database that cannot be dropped is only a warning. */
async function dropOlder(context: RunContext, target: Connection, count: number): Promise<readonly string[]> {
  try {
    const {removed} = await context.progress.step('Drop older set-aside databases', async (step) => {
      const result = await dropOlderSetAside(context, target, count);
      const freed = result.removed.reduce((sum, {size}) => sum + (size ?? 0), 0);
      if (result.removed.length === 0) step.skip('there are none');
      else step.note(`${result.removed.length}, ${formatBytes(freed)}`);
      return result;
    });
    return removed.map(({id}) => id);
  } catch (error) {
    context.signal.throwIfAborted();
    context.warn(`Older set-aside databases of "${target.database}" were not dropped: ${messageOf(error)}`);
    return [];
  }
}
