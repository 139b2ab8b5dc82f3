/** The transaction that writes rows: its locks, its end, and what is said when it fails. */
import {AppError, withState} from '../../base/errors.js';
import {type Session, withTransaction} from '../../postgres/client.js';
import type {Connection} from '../../postgres/connect/connection.js';
import {lockWaitMsFor, withLockWatch} from '../../postgres/databases/lock-watch.js';
import {quoteQualified} from '../../postgres/quote.js';
import {silenceTriggers} from '../../postgres/silence-triggers.js';
import {
  outcomeOfTransaction,
  type TransactionOutcome,
  transactionId,
} from '../../postgres/transaction-outcome.js';
import type {StagedTable} from '../../rows/staging/staged-table.js';
import {listFiringTriggers} from '../../rows/staging/user-triggers.js';
import type {RunContext} from '../../run/run-context.js';

export const rolledBack = 'Everything was rolled back, nothing was changed.';

export interface WriteOptions {
  readonly connection: Connection;
  readonly firesTriggers: boolean;
  readonly lockWaitMs: number | undefined;
}

export interface TriggerPlan {
  /** Triggers that are switched off meanwhile. */
  readonly off: readonly string[];
  /** Triggers that fire. */
  readonly fire: readonly string[];
}

export interface FoundTriggers {
  readonly plan: TriggerPlan;
  /** What the engine is told: that they fire, or tables (by oid) of other roles that are written without any trigger. */
  readonly mode: 'fire' | ReadonlySet<string>;
}

/** Which user triggers of the tables fire. Those that this role cannot switch off are warned about. */
export async function planTriggers(
  context: RunContext,
  session: Session,
  tables: readonly StagedTable[],
  firesTriggers: boolean,
): Promise<FoundTriggers> {
  const {ours, foreign, foreignTables} = await listFiringTriggers(session, [
    ...new Set(tables.map(({target}) => target.oid)),
  ]);
  if (firesTriggers) return {plan: {off: [], fire: [...ours, ...foreign]}, mode: 'fire'};
  // A service may let its users ask for that, as Supabase does.
  const mayBeSilent =
    foreign.length > 0 &&
    (await withTransaction(session, 'ISOLATION LEVEL READ COMMITTED', () => silenceTriggers(session)));
  if (mayBeSilent) return {plan: {off: [...ours, ...foreign], fire: []}, mode: foreignTables};
  if (foreign.length > 0)
    context.warn(
      `This role does not own the tables of these triggers, so they fire: ${foreign.join(', ')}. A row that they change is noticed, and then nothing is changed.`,
    );
  return {plan: {off: ours, fire: foreign}, mode: new Set()};
}

/**
 * Runs `work` in one transaction that holds the locks of the tables, and commits.
 * @param work is given a signal that is aborted where the run gives way to others
 * @param ended told how the transaction that failed ended
 * @throws LOCK_TIMEOUT, ROWS_RESTORE_FAILED, CONNECTION_LOST and what `work` throws
 */
export async function writeInTransaction<T>(
  context: RunContext,
  session: Session,
  tables: readonly StagedTable[],
  triggers: FoundTriggers,
  {connection, lockWaitMs}: WriteOptions,
  work: (signal: AbortSignal) => Promise<T>,
  ended: (outcome: TransactionOutcome) => Promise<void>,
): Promise<T> {
  let transaction = null as string | null;
  try {
    const limitMs = lockWaitMsFor(lockWaitMs, context.settings.config.orders?.lockWaitSeconds);
    const watch = {connection, ours: [session.backendPid], limitMs, givesWay: true, state: rolledBack};
    return await withLockWatch({...watch, signal: context.signal}, (signal) =>
      withTransaction(session, 'ISOLATION LEVEL READ COMMITTED', async () => {
        await session.query(`SET LOCAL lock_timeout = ${limitMs}`);
        // All locks at once, so that no row is locked while the run still waits for a table. Switching triggers off takes the
        // stronger one (manual, 13.3.1).
        const names = tables.map(({target: {schema, name}}) => quoteQualified(schema, name));
        const mode = triggers.plan.off.length > 0 ? 'SHARE ROW EXCLUSIVE' : 'ROW EXCLUSIVE';
        if (names.length > 0)
          await session.query(`LOCK TABLE ${[...new Set(names)].join(', ')} IN ${mode} MODE`);
        await context.checkpoint('rows.locked');
        const result = await work(signal);
        await context.checkpoint('rows.written');
        signal.throwIfAborted();
        transaction = await transactionId(session);
        return result;
      }),
    );
  } catch (error) {
    const outcome = transaction === null ? 'aborted' : await outcomeOfTransaction(connection, transaction);
    await ended(outcome);
    throw describeFailure(error, outcome);
  }
}

function describeFailure(error: unknown, outcome: TransactionOutcome): unknown {
  if (!(error instanceof AppError)) return error;
  if (outcome === 'committed') return withState(error, 'The rows had been written before that.');
  if (outcome === 'unknown')
    return withState(error, 'Whether the rows were written is not known; a preview shows it.');
  if (/nothing was changed\.$/i.test(error.message)) return error;
  if (error.code !== 'QUERY_FAILED') return withState(error, rolledBack);
  return new AppError(
    'ROWS_RESTORE_FAILED',
    `The rows could not be written. ${error.message} ${rolledBack}`,
    {
      hint: 'If another session changed these tables in the meantime, run the preview again: it shows the new conflicts.',
      details: error.details,
      cause: error,
    },
  );
}
