/** The story of `orders:clean`: find testing orders, ask, back up every row that will change, delete, prove, commit. */
import {rm} from 'node:fs/promises';
import {AppError, messageOf, withState} from '../errors.js';
import {countOf} from '../format.js';
import {namingBlockers} from '../orders/blockers.js';
import {collectRows} from '../orders/collect-rows.js';
import type {SelectionFlags} from '../orders/criteria.js';
import {findSlowLinks} from '../orders/delete-effects.js';
import {deleteRows} from '../orders/delete-rows.js';
import {refuseSlowLinks, withMissingIndexes} from '../orders/missing-indexes.js';
import {candidatesTable, relationSql, selectCandidates} from '../orders/select-orders.js';
import {withAdvisoryLock} from '../postgres/advisory-lock.js';
import {withSession} from '../postgres/client.js';
import {quoteIdentifier} from '../postgres/quote.js';
import type {RunContext} from '../run-context.js';
import {isProduction} from '../settings/production.js';
import {openJournal} from '../watch/journal.js';
import {backUpOrders} from './back-up-orders.js';
import type {Encryption} from './encryption.js';
import {type Cleaning, type CleanPlan, describePlan, findOrders, withCleaning} from './plan-clean.js';
import {sealOrders} from './seal-orders.js';

export interface CleanRequest {
  readonly selection: SelectionFlags;
  readonly execute: boolean;
  /** The hash of a preview; execution refuses when what would be touched has another. */
  readonly plan: string | undefined;
  readonly backup: boolean;
  /** Rows of a table that one statement deletes, and so at most as many orders. */
  readonly batchSize: number | undefined;
  readonly createMissingIndexes: boolean;
  /** How long to wait for another run on the same database, ms. */
  readonly waitMs: number | undefined;
  /** Of the order backup; plain without it. */
  readonly encryption?: Encryption | undefined;
}

export interface CleanResult extends CleanPlan {
  readonly mode: 'preview' | 'execute';
  /** The order backup, absolute; null for a preview, without a backup, and when nothing matched. */
  readonly backupPath: string | null;
  /** What triggers changed beside the orders. */
  readonly sideEffects: readonly string[];
}

const defaultBatchSize = 10_000;
const defaultLockWaitSeconds = 10;

/**
 * Previews, or with `execute` asks and cleans.
 * @throws what `planClean` and `executeClean` throw; NOT_CONFIRMED, CONFIRMATION_NEEDED
 */
export async function cleanOrders(context: RunContext, request: CleanRequest): Promise<CleanResult> {
  const {progress} = context;
  return withCleaning(context, request.selection, request.execute, async (cleaning) => {
    const plan = await progress.step('Find the orders', () => findOrders(cleaning));
    if (!request.execute) return {mode: 'preview', ...plan, backupPath: null, sideEffects: []};
    await confirmClean(context, request, plan);
    return executeClean(context, request, cleaning, plan);
  });
}

/** Finds the orders anew and cleans without asking: for a plan that was confirmed some time ago. */
export async function cleanConfirmed(context: RunContext, request: CleanRequest): Promise<CleanResult> {
  return withCleaning(context, request.selection, true, async (cleaning) => {
    const plan = await context.progress.step('Find the orders again', () => findOrders(cleaning));
    return executeClean(context, request, cleaning, plan);
  });
}

/**
 * Asks; a second time, for the name, when nothing could bring the orders back.
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
  if (!request.createMissingIndexes) refuseSlowLinks(plan.slowLinks, context.warn);
  const orders = countOf(ordersIn(plan), 'order');
  const target = {
    host: plan.host,
    database: plan.database,
    isProduction: isProduction(context.settings, plan),
  };
  await context.confirm({
    action: `Delete ${orders} with everything that belongs to them: ${countOf(plan.totalRows, 'row')}.`,
    ...target,
    plan: planLines(plan),
  });
  if (request.backup || hasBackup) return;
  await context.confirm({
    action: `Delete ${orders} WITHOUT an order backup: they cannot be put back.`,
    ...target,
    isIrreversible: true,
    plan: [],
  });
}

/** Orders that a plan deletes, of all kinds. */
export function ordersIn(plan: CleanPlan): number {
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
    `The plan is now ${found.plan}, not ${request.plan}: what would be touched has changed since the preview. Nothing was changed.`,
    {hint: 'Preview again with the same flags and look at what is new.'},
  );
}

/**
 * Does everything in one transaction; on any error the database is as it was.
 * @param found the plan of what is noted in the session
 * @throws LOCKED, LOCK_TIMEOUT naming the blocker, PLAN_CHANGED, CLEAN_FAILED, DISK_FULL and the codes of connections
 */
async function executeClean(
  context: RunContext,
  request: CleanRequest,
  cleaning: Cleaning,
  found: CleanPlan,
): Promise<CleanResult> {
  if (ordersIn(found) === 0) return {mode: 'execute', ...found, backupPath: null, sideEffects: []};
  const {session, connection, selection} = cleaning;
  context.progress.plan([
    'Lock the orders',
    ...(request.backup ? ['Back up the rows', 'Check the order backup'] : []),
    'Delete the rows',
  ]);
  const lock = {
    purpose: 'change',
    database: connection.database,
    waitMs: request.waitMs,
    signal: context.signal,
  } as const;
  const result = await withAdvisoryLock(session, lock, async () => {
    const slow = request.createMissingIndexes
      ? await findSlowLinks(session, selection.graph, found.tables)
      : [];
    const links = slow.map(({link}) => link);
    const journal = openJournal(context, 'orders:clean');
    const server = {host: connection.host, port: connection.port};
    const begin = (index: string) =>
      journal.begin({kind: 'temporary-index', server, database: connection.database, index});
    try {
      return await withMissingIndexes(session, links, {warn: context.warn, begin}, async () => {
        await context.reach('clean.indexed');
        return cleanInTransaction(context, request, cleaning);
      });
    } finally {
      await journal.close();
    }
  });
  context.record({orders: ordersIn(result), deletedRows: result.totalRows});
  return result;
}

async function cleanInTransaction(
  context: RunContext,
  request: CleanRequest,
  cleaning: Cleaning,
): Promise<CleanResult> {
  const {session, connection, selection, notes} = cleaning;
  const {progress} = context;
  let backupPath: string | null = null;
  let transaction: string | null = null;
  await session.query('BEGIN ISOLATION LEVEL READ COMMITTED, READ WRITE');
  try {
    const plan = await progress.step('Lock the orders', async (step) => {
      const lockWaitMs = (selection.config.lockWaitSeconds ?? defaultLockWaitSeconds) * 1000;
      await session.query(`SET LOCAL lock_timeout = ${lockWaitMs}`);
      await namingBlockers(connection, session, lockWaitMs, () => lockAndCollect(cleaning));
      const found = await describePlan(cleaning);
      step.note(`${countOf(ordersIn(found), 'order')}, ${countOf(found.totalRows, 'row')}`);
      return found;
    });
    refuseChangedPlan(request, plan);
    await context.reach('clean.locked');
    if (request.backup && plan.totalRows > 0) backupPath = await backUpOrders(context, cleaning, plan);
    if (backupPath !== null && request.encryption)
      backupPath = await sealOrders(context, backupPath, request.encryption);
    await context.reach('clean.file-named');
    const {sideEffects} = await progress.step('Delete the rows', (step) =>
      deleteRows(
        session,
        selection.graph,
        notes,
        request.batchSize ?? defaultBatchSize,
        plan.tables,
        (rows) => step.advance(rows, plan.totalRows, 'rows'),
      ),
    );
    for (const effect of sideEffects) context.warn(`A trigger did more than the deletion: ${effect}.`);
    await context.reach('clean.deleted');
    context.signal.throwIfAborted();
    const [row] = await session.query('SELECT pg_catalog.pg_current_xact_id()::text AS id');
    transaction = row?.['id'] ?? null;
    await session.query('COMMIT');
    await context.reach('clean.committed');
    return {mode: 'execute', ...plan, backupPath, sideEffects};
  } catch (error) {
    await session.query('ROLLBACK').catch(() => undefined); // the first error is the one to tell
    throw await settle(context, cleaning, error, transaction, backupPath);
  }
}

/**
 * Locks the chosen orders and chooses among the locked ones again: an order that changed since it was found is judged as
 * it is now. Children are collected after their parents are locked, so none can slip in.
 */
async function lockAndCollect({session, selection, notes}: Cleaning): Promise<void> {
  const locked = (index: number): string => `pg_temp."destino_db_locked_${index}"`;
  for (const [index, {table, profile}] of selection.graph.roots.entries()) {
    const keys = profile.key.map((_name, position) => `k${position}`);
    await session.query(
      `CREATE TEMPORARY TABLE ${locked(index)} ON COMMIT DROP AS
         SELECT ${keys.join(', ')} FROM ${candidatesTable(index)} WHERE guards = '{}'`,
    );
    await session.query(`ANALYZE ${locked(index)}`);
    const join = profile.key.map((name, position) => `t.${quoteIdentifier(name)} = l.k${position}`);
    await session.query(
      `SELECT count(*) FROM (SELECT 1 FROM ${relationSql(table)} t JOIN ${locked(index)} l ON ${join.join(' AND ')} FOR UPDATE OF t) x`,
    );
    // What only a guard keeps stays counted.
    await session.query(`DELETE FROM ${candidatesTable(index)} WHERE guards = '{}'`);
  }
  await selectCandidates(session, selection, locked);
  await collectRows(session, selection, notes, true);
}

/**
 * The error of a transaction that did not end well, with what state things are in.
 * A backup file claims that its rows were deleted, so it is removed when they were not. When the connection broke during
 * COMMIT only the server knows, and it is asked (manual, 9.27.8); where it cannot tell, the file stays.
 */
async function settle(
  context: RunContext,
  {connection}: Cleaning,
  error: unknown,
  transaction: string | null,
  backupPath: string | null,
): Promise<unknown> {
  const outcome = transaction === null ? 'aborted' : await fateOfTransaction(connection, transaction);
  if (outcome === 'aborted') {
    // Where it cannot be removed, it does no harm: putting back what is there changes nothing.
    if (backupPath !== null) await rm(backupPath, {force: true}).catch(() => undefined);
    if (error instanceof AppError && ['DISK_FULL', 'FOLDER_NOT_WRITABLE'].includes(error.code)) {
      return withState(error, 'No order was deleted.');
    }
    if (context.signal.aborted || (error instanceof AppError && error.code !== 'QUERY_FAILED')) return error;
    return new AppError(
      'CLEAN_FAILED',
      `Everything was rolled back and nothing was changed. ${messageOf(error)}`,
      {
        details: error instanceof AppError ? error.details : [],
        cause: error,
      },
    );
  }
  const failure =
    error instanceof AppError ? error : new AppError('CONNECTION_LOST', messageOf(error), {cause: error});
  const file = backupPath === null ? '' : ` The order backup is ${backupPath}.`;
  return withState(
    failure,
    outcome === 'committed'
      ? `The orders were deleted before that.${file}`
      : `Whether the orders were deleted is not known.${file}`,
  );
}

async function fateOfTransaction(
  connection: Cleaning['connection'],
  transaction: string,
): Promise<'committed' | 'aborted' | 'unknown'> {
  try {
    return await withSession(connection, async (session) => {
      const [row] = await session.query('SELECT pg_catalog.pg_xact_status($1::xid8) AS status', [
        transaction,
      ]);
      const status = row?.['status'];
      return status === 'committed' || status === 'aborted' ? status : 'unknown';
    });
  } catch {
    return 'unknown'; // the server cannot be asked; the error that brought us here is told
  }
}
