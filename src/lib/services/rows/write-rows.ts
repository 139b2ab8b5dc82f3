/** The transaction that writes rows: its locks, its outcome, and its errors. */
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
  /** Triggers that are switched off during the run. */
  readonly off: readonly string[];
  /** Triggers that fire. */
  readonly fire: readonly string[];
}

export interface FoundTriggers {
  readonly plan: TriggerPlan;
  /** The mode for `rows/staging`: triggers fire, or the oids of other roles' tables that are written without triggers. */
  readonly mode: 'fire' | ReadonlySet<string>;
}

/** Decides which user triggers of the tables fire, and warns about triggers that this role cannot switch off. */
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
  // Some services allow it to their users, such as Supabase.
  const mayBeSilent =
    foreign.length > 0 &&
    (await withTransaction(session, 'ISOLATION LEVEL READ COMMITTED', () => silenceTriggers(session)));
  if (mayBeSilent) return {plan: {off: [...ours, ...foreign], fire: []}, mode: foreignTables};
  if (foreign.length > 0)
    context.warn(
      `These triggers fire, because this role does not own their tables: ${foreign.join(', ')}. If one changes a written row, everything is rolled back.`,
    );
  return {plan: {off: ours, fire: foreign}, mode: new Set()};
}

/**
 * Runs `work` in one transaction that holds the locks of the tables, and commits.
 * @param work receives a signal that is aborted if the run gives way to other sessions
 * @param ended receives the outcome of a failed transaction
 * @throws LOCK_TIMEOUT, ROWS_RESTORE_FAILED, CONNECTION_LOST and the errors of `work`
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
        // All locks at once, so that no row is locked while the run still waits for a table. Switching triggers off needs the
        // stronger lock (manual, 13.3.1).
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
  if (outcome === 'committed') return withState(error, 'The rows were already written and committed.');
  if (outcome === 'unknown')
    return withState(error, 'It is not known whether the rows were written; a preview shows it.');
  if (/nothing was changed\.$/i.test(error.message)) return error;
  if (error.code !== 'QUERY_FAILED') return withState(error, rolledBack);
  return new AppError(
    'ROWS_RESTORE_FAILED',
    `The rows could not be written. ${error.message} ${rolledBack}`,
    {
      hint: 'If another session changed these tables in the meantime, run the preview again to see the new conflicts.',
      details: error.details,
      cause: error,
    },
  );
}
