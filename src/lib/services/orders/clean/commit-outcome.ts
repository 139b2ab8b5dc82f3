/** How a cleaning that failed ended: whether its orders were deleted, and what becomes of its order backup. */
import {rm} from 'node:fs/promises';
import {AppError, messageOf, withState} from '../../../base/errors.js';
import type {Connection} from '../../../postgres/connect/connection.js';
import {outcomeOfTransaction, type TransactionOutcome} from '../../../postgres/transaction-outcome.js';
import type {RunContext} from '../../../run/run-context.js';
import type {OrderBackup} from './write-order-backup.js';

export interface SettledClean {
  /** The error to throw, with what state things are in. */
  readonly error: unknown;
  /** What became of the transaction that deletes. */
  readonly outcome: TransactionOutcome;
}

interface FailedClean {
  readonly error: unknown;
  /** Its id on the server, once COMMIT was to be sent. */
  readonly transaction: string | null;
  readonly backup: OrderBackup | undefined;
  /** Where the order backup has its name already. */
  readonly backupPath: string | null;
}

/**
 * How a transaction that did not end well ended.
 * A backup file claims that its rows were deleted, so it is removed when they were not. When the connection broke during
 * COMMIT only the server knows, and it is asked; where it cannot tell, the file stays.
 */
export async function settleClean(
  context: RunContext,
  connection: Connection,
  {error, transaction, backup, backupPath}: FailedClean,
): Promise<SettledClean> {
  const outcome = transaction === null ? 'aborted' : await outcomeOfTransaction(connection, transaction);
  if (outcome === 'aborted') {
    await backup?.discard();
    // Where it cannot be removed, it does no harm: putting back what is there changes nothing.
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
