/** Implements `orders:clean`: find testing orders, ask, back up every row that will change, delete, check, commit. */
import {elapsedMs} from '../../../base/clock.js';
import {AppError} from '../../../base/errors.js';
import {countOf} from '../../../base/format.js';
import {countLeaves} from './count-plan.js';
import {collectRows} from './collect-rows.js';
import type {SelectionFlags} from '../rules/criteria.js';
import {findSlowLinks, refuseUnseenEffects} from './delete-effects.js';
import {joinedTables} from '../rules/order-graph.js';
import {type DeletedLeaf, deleteRows, type Deletion, differs} from './delete-rows.js';
import {refuseSlowLinks, withMissingIndexes} from './missing-indexes.js';

import {relationSql} from '../rules/relation-sql.js';
import {mostRowBytes} from './row-size.js';
import {type Reader, withReader} from './snapshot-reader.js';
import {guardCustomers, lockCandidates, selectCandidatesInParallel} from './select-orders.js';
import type {LeafRows} from './write-order-snapshot.js';
import {withAdvisoryLock} from '../../../postgres/databases/advisory-lock.js';
import {lockWaitMsFor, withLockWatch} from '../../../postgres/databases/lock-watch.js';
import {transactionId} from '../../../postgres/transaction-outcome.js';
import type {RunContext} from '../../../run/run-context.js';
import {resolveConnection} from '../../../postgres/connect/resolve-connection.js';
import {isProductionDatabase} from '../../guards/production.js';
import {openJournal} from '../../../run/journal.js';
import {backUpOrders, type OrderBackup} from './write-order-backup.js';
import type {Encryption} from '../../../encryption/settings.js';
import {
  type Cleaning,
  type CleanPlan,
  completePlan,
  describeFound,
  findOrders,
  type FindOptions,
  type FoundPlan,
  refuseOtherTables,
  withCleaning,
} from './plan.js';
import {encryptOrders} from '../../../rows/file/encrypt.js';
import {resolveFailedClean} from './commit-outcome.js';

export interface CleanRequest {
  readonly selection: SelectionFlags;
  readonly execute: boolean;
  /** The hash of a preview; the execution refuses if the rows to change have another hash. */
  readonly plan: string | undefined;
  readonly backup: boolean;
  /** Parent rows in one statement, and therefore the maximum number of orders. */
  readonly batchSize: number | undefined;
  readonly createMissingIndexes: boolean;
  /** Whether to list every order instead of a sample. */
  readonly details?: boolean | undefined;
  /** How long to wait for another run on the same database, ms. */
  readonly waitMs: number | undefined;
  /** How long to wait for locks, and to let others wait for ours, ms; by default that of the config. */
  readonly lockWaitMs?: number;
  /** The largest row that an order backup can contain, bytes: the server's limit, or less in tests. */
  readonly rowLimit?: number;
  /** Encryption of the order backup; unencrypted without it. */
  readonly encryption?: Encryption;
  /** Called before the error if the connection broke and the orders are, or may be, deleted; receives the order backup's path. */
  readonly onDeletedDespiteError?: (outcome: 'committed' | 'unknown', backupPath: string | null) => void;
}

export interface CleanResult extends CleanPlan {
  readonly mode: 'preview' | 'execute';
  /** Absolute path of the order backup; null for a preview, without a backup, and if nothing matched. */
  readonly backupPath: string | null;
  /** Changes by triggers beyond the orders. */
  readonly sideEffects: readonly string[];
}

const defaultBatchSize = 10_000;

/**
 * Previews, or with `execute` asks and cleans.
 * @throws the errors of `planClean` and `executeClean`; NOT_CONFIRMED, CONFIRMATION_NEEDED
 */
export async function cleanOrders(context: RunContext, request: CleanRequest): Promise<CleanResult> {
  const {progress} = context;
  const options = {...findOptionsOf(request), isExecuting: request.execute};
  return withCleaning(context, request.selection, options, async (cleaning) => {
    context.checkName({database: cleaning.connection.database});
    if (request.execute && (await isAnswered(context, request, cleaning)))
      return executeClean(context, request, cleaning, undefined);
    const plan = await progress.step('Find the orders', () => findOrders(cleaning));
    if (!request.execute) return {mode: 'preview', ...plan, backupPath: null, sideEffects: []};
    await confirmClean(context, request, plan);
    return executeClean(context, request, cleaning, plan);
  });
}

/**
 * Whether no plan has to be shown before the execution: flags answer every question, there is no plan hash to compare, and no index to
 * create. The orders are then found only once, in the transaction that deletes them.
 */
async function isAnswered(
  context: RunContext,
  request: CleanRequest,
  {connection}: Cleaning,
): Promise<boolean> {
  return (
    request.plan === undefined &&
    !request.createMissingIndexes &&
    context.isConfirmed({
      database: connection.database,
      isProduction: await isProductionDatabase(context, connection),
      isIrreversible: !request.backup,
    })
  );
}

/** Options for `planClean`: without an order backup, rows of any size can be deleted. */
export function findOptionsOf({
  backup,
  rowLimit = mostRowBytes,
  details,
}: Pick<CleanRequest, 'backup' | 'rowLimit' | 'details'>): FindOptions {
  return {rowLimit: backup ? rowLimit : undefined, listsAll: details};
}

/** Finds the orders again and cleans without asking: for a plan that was confirmed earlier. */
export async function cleanConfirmed(context: RunContext, request: CleanRequest): Promise<CleanResult> {
  const options = {...findOptionsOf(request), isExecuting: true};
  return withCleaning(context, request.selection, options, (cleaning) =>
    executeClean(context, request, cleaning, undefined),
  );
}

/**
 * Asks for confirmation, and again for the name if the orders could not be restored.
 * @throws PLAN_CHANGED, GUARD, NOT_CONFIRMED, CONFIRMATION_NEEDED
 */
export async function confirmClean(
  context: RunContext,
  request: CleanRequest,
  plan: CleanPlan,
  hasBackup = request.backup,
): Promise<void> {
  refuseChangedPlan(request, plan);
  if (plan.totalRows === 0) return;
  refuseUnseenEffects(plan.unseen);
  if (!request.createMissingIndexes) refuseSlowLinks(plan.slowLinks, context.warn);
  const orders = countOf(ordersIn(plan), 'order');
  const target = {
    host: plan.host,
    database: plan.database,
    isProduction: await isProductionDatabase(context, resolveConnection(context.settings)),
  };
  await context.confirm({
    action: `Delete ${orders} with everything that belongs to them: ${countOf(plan.totalRows, 'row')}.`,
    ...target,
    plan: planLines(plan),
  });
  if (request.backup || hasBackup) return;
  await context.confirm({
    action: `Delete ${orders} WITHOUT an order backup: they cannot be restored.`,
    ...target,
    isIrreversible: true,
    plan: [],
  });
}

/** The number of orders of all kinds that a plan deletes. */
export function ordersIn(plan: Pick<CleanPlan, 'roots'>): number {
  return Object.values(plan.roots).reduce((sum, count) => sum + count, 0);
}

function planLines(plan: CleanPlan): string[] {
  const tables = Object.entries(plan.tables).flatMap(([label, {deleted, relinked}]) => [
    ...(deleted > 0 ? [`${label}: ${countOf(deleted, 'row')} deleted`] : []),
    ...(relinked > 0 ? [`${label}: ${countOf(relinked, 'row')} kept, without their link`] : []),
  ]);
  return [`plan      ${plan.plan}`, ...tables];
}

function refuseChangedPlan(request: CleanRequest, found: Pick<CleanPlan, 'plan'>): void {
  if (request.plan === undefined || request.plan === found.plan) return;
  throw new AppError(
    'PLAN_CHANGED',
    `The plan is now ${found.plan}, not ${request.plan}: the rows to change are different from the preview. Nothing was changed.`,
    {hint: 'Preview again with the same flags and check the differences.'},
  );
}

/**
 * Does everything in one transaction; after any error the database is unchanged.
 * @param seen the plan of the row lists in the session, if it was shown before
 * @throws LOCKED, LOCK_TIMEOUT naming the blocker, PLAN_CHANGED, GUARD, CLEAN_FAILED, DISK_FULL and the codes of connections
 */
async function executeClean(
  context: RunContext,
  request: CleanRequest,
  cleaning: Cleaning,
  seen: CleanPlan | undefined,
): Promise<CleanResult> {
  if (seen && ordersIn(seen) === 0) return {mode: 'execute', ...seen, backupPath: null, sideEffects: []};
  const {session, connection, selection} = cleaning;
  context.progress.plan([
    'Lock the orders',
    ...(request.backup ? ['Back up the rows', 'Check the order backup'] : []),
    'Delete the rows',
  ]);
  const lock = {
    purpose: 'change',
    database: connection.database,
    waitMs: request.waitMs ?? 0,
    signal: context.signal,
  } as const;
  const result = await withAdvisoryLock(session, lock, async () => {
    const slow =
      seen && request.createMissingIndexes
        ? await findSlowLinks(session, selection.graph, (label) => seen.tables[label]?.deleted ?? 0)
        : [];
    const links = slow.map(({link}) => link);
    const journal = openJournal(context, 'orders:clean');
    const server = {host: connection.host, port: connection.port};
    const begin = (index: string) =>
      journal.begin({kind: 'temporary-index', server, database: connection.database, index});
    try {
      return await withMissingIndexes(session, links, {warn: context.warn, begin}, async () => {
        await context.checkpoint('clean.indexed');
        return cleanInTransaction(context, request, cleaning, seen);
      });
    } finally {
      await journal.close();
    }
  });
  context.record({orders: ordersIn(result), deletedRows: result.totalRows});
  return result;
}

/**
 * Our sessions never wait for each other: the deleting session first locks all tables, waiting if necessary, while no other one has locks;
 * then the reader takes its locks without waiting. Only the deleting session locks rows after that.
 * docs/architecture.md, "Locks", lists the order for every command.
 */
async function cleanInTransaction(
  context: RunContext,
  request: CleanRequest,
  cleaning: Cleaning,
  seen: CleanPlan | undefined,
): Promise<CleanResult> {
  const {session, connection, rowLists, selection} = cleaning;
  const limitMs = lockWaitMsFor(request.lockWaitMs, selection.config.lockWaitSeconds);
  const watched = (reader: Reader | undefined): Promise<CleanResult> => {
    const ours = [session, ...(reader ? [reader.session] : [])].map(({backendPid}) => backendPid);
    const watch = {connection, ours, limitMs, givesWay: true, state: 'Nothing was changed.'};
    return withLockWatch({...watch, signal: context.signal}, (signal) =>
      cleanLocked({...context, signal}, request, {cleaning, seen, reader, limitMs}),
    );
  };
  return request.backup ? withReader(connection, rowLists, context.signal, watched) : watched(undefined);
}

interface LockedCleaning {
  readonly cleaning: Cleaning;
  readonly seen: CleanPlan | undefined;
  /** Undefined without an order backup. */
  readonly reader: Reader | undefined;
  readonly limitMs: number;
}

async function cleanLocked(
  context: RunContext,
  request: CleanRequest,
  {cleaning, seen, reader, limitMs}: LockedCleaning,
): Promise<CleanResult> {
  const {session} = cleaning;
  let backup: OrderBackup | undefined;
  let backupPath: string | null = null;
  let transaction: string | null = null;
  try {
    const found = await lockOrders(context, cleaning, {seen, reader, limitMs});
    if (ordersIn(found.found) === 0) {
      await session.query('ROLLBACK');
      const plan = completePlan(cleaning, found, new Map());
      refuseChangedPlan(request, plan);
      return {mode: 'execute', ...plan, backupPath, sideEffects: []};
    }
    refuseUnseenEffects(found.unseen);
    if (!seen && !request.createMissingIndexes) refuseSlowLinks(found.slowLinks, context.warn);
    const {plan, sideEffects} = reader
      ? await deleteWithBackup(context, request, {cleaning, reader, found}, (made) => (backup = made))
      : await deleteWithoutBackup(context, request, cleaning, found);
    for (const effect of sideEffects) context.warn(`A trigger did more than the deletion: ${effect}.`);
    await context.checkpoint('clean.deleted');
    if (backup) backupPath = await backup.publish();
    if (backupPath !== null && request.encryption)
      backupPath = await encryptOrders(context, backupPath, request.encryption);
    await context.checkpoint('clean.file-named');
    context.signal.throwIfAborted();
    transaction = await transactionId(session);
    await session.query('COMMIT');
    await context.checkpoint('clean.committed');
    return {mode: 'execute', ...plan, backupPath, sideEffects};
  } catch (error) {
    await session.query('ROLLBACK').catch(() => undefined); // report the first error
    const failed = {error, transaction, backup, backupPath};
    const resolved = await resolveFailedClean(context, cleaning.connection, failed);
    if (resolved.outcome !== 'aborted') request.onDeletedDespiteError?.(resolved.outcome, backupPath);
    throw resolved.error;
  }
}

async function lockOrders(
  context: RunContext,
  cleaning: Cleaning,
  {seen, reader, limitMs}: Pick<LockedCleaning, 'seen' | 'reader' | 'limitMs'>,
): Promise<FoundPlan> {
  const {session, selection, rowLists} = cleaning;
  return context.progress.step('Lock the orders', async (step) => {
    await lockTables(context, cleaning, {reader, limitMs});
    await refuseOtherTables(cleaning);
    if (!seen) await selectCandidatesInParallel(session, selection);
    await lockCandidates(session, selection);
    await guardCustomers(session, selection);
    // Children are collected after their parents are locked, so no new ones can appear.
    await collectRows(session, selection, rowLists, true);
    const found = await describeFound(cleaning);
    step.note(countOf(ordersIn(found.found), 'order'));
    return found;
  });
}

/** 0 would mean no limit. */
const shortestWaitMs = 100;

/** Begins both transactions with locks on every table in which rows are deleted or unlinked, parents first. */
async function lockTables(
  {clock}: RunContext,
  {session, selection: {graph}}: Cleaning,
  {reader, limitMs}: Pick<LockedCleaning, 'reader' | 'limitMs'>,
): Promise<void> {
  const tables = [...new Set([...graph.tables, ...graph.unlinks.map(({child}) => child)])].map(relationSql);
  const joined = joinedTables(graph).map(relationSql);
  const startedMs = clock.now().getTime();
  for (;;) {
    await session.query('BEGIN ISOLATION LEVEL READ COMMITTED, READ WRITE');
    await session.query(`SET LOCAL lock_timeout = ${limitMs}`);
    // Orders usually refer to these tables. The lock keeps their definitions; their rows are read when the orders are locked.
    if (joined.length > 0) await session.query(`LOCK TABLE ${joined.join(', ')} IN ACCESS SHARE MODE`);
    await session.query(`LOCK TABLE ${tables.join(', ')} IN ROW EXCLUSIVE MODE`);
    // Other sessions may have waited for these tables meanwhile; only the remaining time is left for row locks.
    const leftMs = Math.max(shortestWaitMs, limitMs - elapsedMs(clock, startedMs));
    await session.query(`SET LOCAL lock_timeout = ${leftMs}`);
    if (!reader) return;
    try {
      await reader.lock(tables);
      await reader.session.query(`SET LOCAL lock_timeout = ${leftMs}`);
      return;
    } catch (error) {
      const isBlocked = error instanceof AppError && error.code === 'LOCK_TIMEOUT';
      if (!isBlocked || elapsedMs(clock, startedMs) > limitMs) throw error;
    }
    // A session that requested a table between the two locks goes first.
    await reader.unlock();
    await session.query('ROLLBACK');
  }
}

interface Deleted {
  readonly plan: CleanPlan;
  readonly sideEffects: readonly string[];
}

/**
 * Backs up and deletes in parallel: a second session reads the previous state of the rows, so only the commit waits for the file. The
 * listed rows are the same versions in both sessions; for leaf tables the versions are compared.
 */
async function deleteWithBackup(
  context: RunContext,
  request: CleanRequest,
  {cleaning, reader, found}: {cleaning: Cleaning; reader: Reader; found: FoundPlan},
  onBackup: (backup: OrderBackup) => void,
): Promise<Deleted> {
  const {session} = cleaning;
  await reader.follow(session);
  await context.checkpoint('clean.locked');
  const stop = new AbortController();
  const signal = AbortSignal.any([context.signal, stop.signal]);
  const reporter: {onRows: (rows: number) => void} = {onRows: () => undefined};
  const deleting = deleteRows(session, {
    ...deletionOf(request, cleaning, found),
    signal,
    onRows: (rows) => reporter.onRows(rows),
  });
  deleting.catch((error: unknown) => stop.abort(error));
  try {
    const backup = await backUpOrders(context, cleaning, reader.session, found, signal);
    onBackup(backup);
    refuseChangedPlan(request, backup.plan);
    const {leaves, sideEffects} = await context.progress.step('Delete the rows', (step) => {
      reporter.onRows = (rows) => step.advance(rows, backup.plan.totalRows, 'rows');
      return deleting;
    });
    refuseOtherRows(leaves, backup.leaves);
    return {plan: backup.plan, sideEffects};
  } catch (error) {
    stop.abort(error);
    await deleting.catch(() => undefined); // already reported, or stopped because of the reported error
    const reason: unknown = stop.signal.reason;
    throw reason instanceof Error ? reason : error;
  }
}

async function deleteWithoutBackup(
  context: RunContext,
  request: CleanRequest,
  cleaning: Cleaning,
  found: FoundPlan,
): Promise<Deleted> {
  const {session, rowLists} = cleaning;
  await context.checkpoint('clean.locked');
  const plan = completePlan(cleaning, found, await countLeaves(session, rowLists));
  refuseChangedPlan(request, plan);
  const {leaves, sideEffects} = await context.progress.step('Delete the rows', (step) =>
    deleteRows(session, {
      ...deletionOf(request, cleaning, found),
      signal: context.signal,
      onRows: (rows) => step.advance(rows, plan.totalRows, 'rows'),
    }),
  );
  for (const [label, {rows}] of leaves) refuseOtherCount(label, plan.tables[label]?.deleted ?? 0, rows);
  return {plan, sideEffects};
}

function deletionOf(
  request: CleanRequest,
  {selection: {graph}, rowLists}: Cleaning,
  {found, triggers, rules}: FoundPlan,
): Pick<Deletion, 'graph' | 'rowLists' | 'batchSize' | 'found' | 'runsCode'> {
  const runsCode = triggers.length + rules.length > 0;
  return {graph, rowLists, batchSize: request.batchSize ?? defaultBatchSize, found, runsCode};
}

/** @throws CLEAN_FAILED unless the deleted row versions of every leaf table are those in the backup */
function refuseOtherRows(
  deleted: ReadonlyMap<string, DeletedLeaf>,
  backedUp: ReadonlyMap<string, LeafRows>,
): void {
  for (const [label, {rows, versions}] of deleted) {
    const saved = backedUp.get(label);
    refuseOtherCount(label, saved?.rows ?? 0, rows);
    if (saved?.versions === versions || rows === 0) continue;
    throw new AppError(
      'CLEAN_FAILED',
      `${label}: another session changed rows while they were backed up and deleted; everything was rolled back and nothing was changed.`,
      {hint: 'Run it again.'},
    );
  }
}

function refuseOtherCount(label: string, wanted: number, got: number): void {
  if (got !== wanted) throw differs(label, wanted, got);
}
