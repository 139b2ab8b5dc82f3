/** Implements `orders:restore`: restores the rows that orders:clean deleted, or previews that. */
import {stat} from 'node:fs/promises';
import {elapsedMs} from '../../../base/clock.js';
import {AppError, withState} from '../../../base/errors.js';
import {silentStep} from '../../../progress/progress.js';
import {countOf, formatCount} from '../../../base/format.js';
import {findOrderBackup, openOrderFile} from '../../../rows/file/open-order-file.js';
import type {OrderFile} from '../../../rows/file/order-file.js';
import {ordersProfile} from '../rules/profile.js';
import {putBackOrders} from '../../../rows/staging/insert-rows.js';
import type {StagedOrders} from '../../../rows/staging/stage-orders.js';
import {listFiringTriggers} from '../../../rows/staging/user-triggers.js';
import {withAdvisoryLock} from '../../../postgres/databases/advisory-lock.js';
import {type Session, withSession, withTransaction} from '../../../postgres/client.js';
import {lockWaitMsFor, withLockWatch} from '../../../postgres/databases/lock-watch.js';
import {quoteQualified} from '../../../postgres/quote.js';
import {type Connection, refuseTransactionPooler} from '../../../postgres/connect/connection.js';
import {resolveConnection} from '../../../postgres/connect/resolve-connection.js';
import {type DatabaseIdentity, inspectIdentity} from '../../../postgres/inspect/inspect-database.js';
import {
  outcomeOfTransaction,
  type TransactionOutcome,
  transactionId,
} from '../../../postgres/transaction-outcome.js';
import {
  inspectComment,
  parseMaskedComment,
  removeMaskedTag,
  warningOfMasked,
} from '../../../postgres/inspect/masked-comment.js';
import {requireWritable} from '../../../postgres/inspect/writable.js';
import type {RunContext} from '../../../run/run-context.js';
import {isProductionDatabase} from '../../guards/production.js';
import {requireServerDisk} from '../../guards/server-disk.js';
import {planRestoreOrders, type RestorableOrders, type RestoreOrdersPlan} from './plan.js';
import {someOf} from '../../../base/some-of.js';

export interface RestoreOrdersOptions {
  /** A path, the name of a file in the backups folder, or "latest". */
  readonly backupFile: string | undefined;
  readonly execute: boolean;
  readonly failOnConflicts: boolean;
  /** Keys of the orders to restore; all if empty. */
  readonly onlyOrders: readonly string[];
  /** How long to wait for another run on the same database, ms. */
  readonly waitMs?: number;
  /** How long to wait for locks, and to let others wait for ours, ms; by default that of the config. */
  readonly lockWaitMs?: number;
}

export interface RestoreOrdersResult extends RestorableOrders {
  readonly mode: 'preview' | 'execute';
  readonly database: string;
  /** Sequences that were behind the restored ids and were advanced. */
  readonly sequences: readonly string[];
  /** ms */
  readonly duration: number;
}

/**
 * @throws USAGE, BACKUP_NOT_FOUND, ORDER_BACKUP_INVALID before the database is changed; CONFLICTS with `failOnConflicts`; ROW_SECURITY;
 *   LOCKED; ORDERS_RESTORE_FAILED after everything was rolled back
 */
export async function restoreOrders(
  ctx: RunContext,
  options: RestoreOrdersOptions,
): Promise<RestoreOrdersResult> {
  const startedMs = ctx.clock.now().getTime();
  const connection = resolveConnection(ctx.settings);
  refuseTransactionPooler(connection);
  const path = await findOrderBackup(ctx.settings, options.backupFile);
  const schema = connection.schema ?? 'public';
  // An execution asks between reading and writing, and no progress may be on the screen then.
  const step: RunContext['progress']['step'] = options.execute
    ? (_title, work) => work(silentStep)
    : (title, work) => ctx.progress.step(title, work);
  if (!options.execute) ctx.progress.plan(['Read and check the order backup', 'Compare with the database']);

  const file = await step('Read and check the order backup', () => openOrderFile(path, schema, ctx.signal));
  if (file.kind !== 'order-backup')
    throw new AppError('USAGE', `${path} is the undo file of restore:rows, not an order backup.`, {
      hint: `Restore it with: destino-db restore:rows --undo ${path}`,
    });
  return withSession(
    connection,
    async (session) => {
      const identity = await inspectIdentity(session);
      ctx.checkName({database: identity.database});
      ctx.record({
        mode: options.execute ? 'execute' : 'preview',
        database: {
          name: identity.database,
          systemIdentifier: identity.systemIdentifier,
          host: connection.host,
          port: connection.port,
        },
      });
      const ofMasked = (await isOfMasked(session, file, identity)) ? [] : await warningOfMasked(session, identity.database); // prettier-ignore
      for (const warning of [...originWarnings(file, identity), ...ofMasked]) ctx.warn(warning);
      // A preview needs temporary tables too.
      await requireWritable(session, 'Orders cannot be restored here');
      // The rows are first in temporary tables and then in their own tables.
      const bytes = 2 * (await stat(path)).size;
      await requireServerDisk(ctx, session, connection, {
        what: 'Restoring these orders',
        size: {bytes, largestTableBytes: 0},
        isLikeCurrent: true,
        hint: 'Free space on the server, then run again.',
        warnsFrom: 2 ** 30,
      });
      const work = async (): Promise<RestoreOrdersResult> => {
        const {softLinks} = ordersProfile(ctx.settings.config.orders ?? {}, schema);
        const plan = await step('Compare with the database', () =>
          planRestoreOrders(session, file, softLinks, options.onlyOrders),
        );
        await ctx.checkpoint('orders.staged');
        const triggers = await triggersOf(ctx, session, plan.staged);
        const result = {...plan.result, mode: 'preview' as const, database: identity.database, sequences: []};
        const sequences = options.execute
          ? await execute(ctx, session, {connection, options, plan, triggers, identity})
          : undefined;
        const duration = elapsedMs(ctx.clock, startedMs);
        return sequences === undefined
          ? {...result, duration}
          : {...result, mode: 'execute', sequences, duration};
      };
      return options.execute
        ? withAdvisoryLock(
            session,
            {purpose: 'change', database: identity.database, waitMs: options.waitMs ?? 0, signal: ctx.signal},
            work,
          )
        : work();
    },
    {signal: ctx.signal},
  );
}

/** Whether the order backup was taken from this masked copy itself, so that its rows are masked. */
async function isOfMasked(session: Session, file: OrderFile, identity: DatabaseIdentity): Promise<boolean> {
  const tag = parseMaskedComment(await inspectComment(session, identity.database));
  const isOwn = file.database !== undefined && originWarnings(file, identity).length === 0;
  return tag !== undefined && isOwn && Date.parse(file.timestamp) > Date.parse(tag.at);
}

/** Warnings about a file from another database. */
function originWarnings(file: OrderFile, identity: DatabaseIdentity): string[] {
  if (!file.database) return [];
  const {name, systemIdentifier} = file.database;
  const isOtherServer =
    systemIdentifier !== null &&
    identity.systemIdentifier !== null &&
    systemIdentifier !== identity.systemIdentifier;
  if (name === identity.database && !isOtherServer) return [];
  return [
    `The order backup was taken from the database "${name}"${isOtherServer ? ' of another server' : ''}; this is "${identity.database}".`,
  ];
}

/** Triggers that will be disabled meanwhile; warns of those that cannot be. */
async function triggersOf(
  ctx: RunContext,
  session: Session,
  {tables, links}: StagedOrders,
): Promise<readonly string[]> {
  const oids = [...tables, ...links].map(({target}) => target.oid);
  const {ours, foreign} = await listFiringTriggers(session, oids);
  if (foreign.length > 0) {
    ctx.warn(
      `This role does not own the tables of these triggers, so they fire while rows are restored: ${foreign.join(', ')}. ` +
        'If they change rows, nothing is restored.',
    );
  }
  return ours;
}

interface Execution {
  readonly connection: Connection;
  readonly options: RestoreOrdersOptions;
  readonly plan: RestoreOrdersPlan;
  readonly triggers: readonly string[];
  readonly identity: DatabaseIdentity;
}

/** @returns the sequences that were advanced */
async function execute(ctx: RunContext, session: Session, execution: Execution): Promise<string[]> {
  const {plan, options, connection, identity, triggers} = execution;
  const {conflicts, conflictCount} = plan.result;
  if (options.failOnConflicts && conflictCount > 0) {
    throw new AppError(
      'CONFLICTS',
      `${countOf(conflictCount, 'row')} of the order backup cannot be restored; nothing was changed.`,
      {
        hint: 'Without --fail-on-conflicts they are skipped, with all rows that depend on them.',
        details: someOf(
          conflicts.map(({table, key, reason}) => `${table} ${key}: ${reason}`),
          20,
          conflictCount,
        ),
      },
    );
  }
  if (plan.rows + plan.links === 0) return [];
  await ctx.confirm({
    action: `Restore ${countOf(plan.rows, 'row')}${plan.links > 0 ? ` and ${countOf(plan.links, 'link')}` : ''} of ${plan.result.backupPath}.`,
    host: connection.host,
    database: identity.database,
    isProduction: await isProductionDatabase(ctx, connection),
    plan: [
      ...originWarnings(plan.staged.file, identity),
      ...Object.entries(plan.result.tables).map(
        ([table, {restored, relinked, skipped}]) =>
          `${table}: ${formatCount(restored)} rows${relinked > 0 ? `, ${formatCount(relinked)} links` : ''}${skipped > 0 ? `, ${formatCount(skipped)} skipped` : ''}`,
      ),
      ...(triggers.length > 0 ? [`disabled meanwhile: ${triggers.join(', ')}`] : []),
    ],
  });
  return ctx.progress.step('Restore the rows and compare them', async (progress) => {
    let done = 0;
    let transaction = null as string | null;
    try {
      const limitMs = lockWaitMsFor(options.lockWaitMs, ctx.settings.config.orders?.lockWaitSeconds);
      const watch = {connection, ours: [session.backendPid], limitMs, givesWay: true, state: rolledBack};
      const sequences = await withLockWatch({...watch, signal: ctx.signal}, (signal) =>
        withTransaction(session, 'ISOLATION LEVEL READ COMMITTED', async () => {
          await session.query(`SET LOCAL lock_timeout = ${limitMs}`);
          await lockTables(session, plan.staged, triggers.length > 0);
          if (!(await isOfMasked(session, plan.staged.file, identity)))
            await removeMaskedTag(session, identity.database);
          const moved = await putBackOrders(session, plan.staged, plan.restored, {
            inserted: (_table, rows) => progress.advance((done += rows), plan.rows, 'rows'),
          });
          await ctx.checkpoint('orders.inserted');
          signal.throwIfAborted();
          transaction = await transactionId(session);
          return moved;
        }),
      );
      ctx.record({
        restoredRows: plan.rows,
        orders: Object.values(plan.result.orders).reduce((a, b) => a + b, 0),
      });
      await ctx.checkpoint('orders.committed');
      return sequences;
    } catch (error) {
      const outcome = transaction === null ? null : await outcomeOfTransaction(connection, transaction);
      throw describeFailure(error, outcome);
    }
  });
}

const rolledBack = 'Everything was rolled back; nothing was changed.';

/** Takes all locks at once, parents first, so that no row is locked while the run still waits for a table. */
async function lockTables(
  session: Session,
  {tables, links}: StagedOrders,
  hasTriggers: boolean,
): Promise<void> {
  const names = [...tables, ...links].map(({target: {schema, name}}) => quoteQualified(schema, name));
  // Disabling triggers takes the stronger one (manual, 13.3.1).
  const mode = hasTriggers ? 'SHARE ROW EXCLUSIVE' : 'ROW EXCLUSIVE';
  await session.query(`LOCK TABLE ${[...new Set(names)].join(', ')} IN ${mode} MODE`);
}

/**
 * Any error of the server is a failed restore, and the transaction is rolled back.
 * @param outcome of the transaction, if the connection broke during the commit
 */
function describeFailure(error: unknown, outcome: TransactionOutcome | null): unknown {
  if (!(error instanceof AppError) || error.code === 'ORDERS_RESTORE_FAILED') return error;
  if (outcome === 'committed') return withState(error, 'The orders were restored before that.');
  if (outcome === 'unknown')
    return withState(error, 'Whether the orders were restored is not known; a preview shows it.');
  if (error.code === 'LOCK_TIMEOUT' && error.message.endsWith(rolledBack)) return error;
  if (error.code !== 'QUERY_FAILED') return withState(error, rolledBack);
  return new AppError(
    'ORDERS_RESTORE_FAILED',
    `The orders could not be restored. ${error.message} ${rolledBack}`,
    {
      hint: 'If another session changed these tables in the meantime, run the preview again: it shows the new conflicts.',
      details: error.details,
      cause: error,
    },
  );
}
