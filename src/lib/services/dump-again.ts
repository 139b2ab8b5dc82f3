/** One more attempt at a dump that other sessions got in the way of. */
import {AppError} from '../errors.js';
import {toolsName} from '../postgres/connection.js';
import type {LockWatch} from '../postgres/lock-watch.js';
import {wasOvertaken} from '../postgres/pg-dump.js';
import type {RunContext} from '../run-context.js';
import type {BackupPlan} from './plan-backup.js';

/**
 * @param dump from the beginning, in a new snapshot; the second time one connection has to do it, as more would lock each table
 *   twice, without waiting
 * @throws what `dump` throws; after the second time what stood in the way and when it would work
 */
export async function dumpAgainOnce<T>(
  context: RunContext,
  dump: (isSecond: boolean) => Promise<T>,
): Promise<T> {
  try {
    return await dump(false);
  } catch (error) {
    if (!wasOvertaken(error)) throw error;
    context.warn(`Another session changed tables while pg_dump ran, so it runs once more. ${error.message}`);
  }
  try {
    return await dump(true);
  } catch (error) {
    if (!wasOvertaken(error)) throw error;
    throw new AppError(
      error.code,
      `Other sessions made, altered or dropped tables during both runs of pg_dump: ${error.message}`,
      {
        hint: 'Run it when nobody does that, or leave out where tables come and go: --exclude-schema S, --exclude-table T.',
        details: error.details,
        cause: error,
      },
    );
  }
}

/** For pg_dump, whose own limit holds for its locks on tables and not for those on the system catalogs. */
export function dumpWatch({signal}: RunContext, {connection, options}: BackupPlan): LockWatch {
  return {
    connection,
    ours: toolsName,
    limitMs: options.lockWaitMs,
    state: '',
    hint: 'Wait for that session to end, or end it (SELECT pg_terminate_backend(PID), ROLLBACK PREPARED); backup.lockWaitSeconds in the config waits longer.',
    signal,
  };
}
