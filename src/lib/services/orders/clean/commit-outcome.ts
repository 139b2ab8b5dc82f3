/** The outcome of a failed cleaning: whether its orders were deleted, and whether its order backup is kept. */
import {rm} from 'node:fs/promises';
import {AppError, messageOf, withState} from '../../../base/errors.js';
import type {Connection} from '../../../postgres/connect/connection.js';
import {outcomeOfTransaction, type TransactionOutcome} from '../../../postgres/transaction-outcome.js';
import type {RunContext} from '../../../run/run-context.js';
import type {OrderBackup} from './write-order-backup.js';

export interface ResolvedClean {
  /** The error to throw, including the state of the data. */
  readonly error: unknown;
  /** The outcome of the deleting transaction. */
  readonly outcome: TransactionOutcome;
}

interface FailedClean {
  readonly error: unknown;
  /** Its id on the server, once COMMIT was about to be sent. */
  readonly transaction: string | null;
  readonly backup: OrderBackup | undefined;
  /** The path of the order backup, if it already has its final name. */
  readonly backupPath: string | null;
}

/**
 * Finds out how the transaction of a failed cleaning ended.
 * An order backup states that its rows were deleted, so it is removed if they were not. If the connection broke during COMMIT, the server is
 * asked; if it cannot answer, the file is kept.
 */
export async function resolveFailedClean(
  context: RunContext,
  connection: Connection,
  {error, transaction, backup, backupPath}: FailedClean,
): Promise<ResolvedClean> {
  const outcome = transaction === null ? 'aborted' : await outcomeOfTransaction(connection, transaction);
  if (outcome === 'aborted') {
    await backup?.discard();
    // A file that cannot be removed does no harm: restoring existing rows changes nothing.
    if (backupPath !== null) await rm(backupPath, {force: true}).catch(() => undefined);
    if (error instanceof AppError && ['DISK_FULL', 'FOLDER_NOT_WRITABLE'].includes(error.code)) {
      return {error: withState(error, 'No order was deleted.'), outcome};
    }
    if (context.signal.aborted || (error instanceof AppError && error.code !== 'QUERY_FAILED'))
      return {error, outcome};
    const failed = new AppError(
      'CLEAN_FAILED',
      `Everything was rolled back and nothing was changed. ${messageOf(error)}`,
      {
        details: error instanceof AppError ? error.details : [],
        cause: error,
      },
    );
    return {error: failed, outcome};
  }
  const failure =
    error instanceof AppError ? error : new AppError('CONNECTION_LOST', messageOf(error), {cause: error});
  const file = backupPath === null ? '' : ` The order backup is ${backupPath}.`;
  const state =
    outcome === 'committed'
      ? `The orders were deleted before that.${file}`
      : `Whether the orders were deleted is not known.${file}`;
  return {error: withState(failure, state), outcome};
}
