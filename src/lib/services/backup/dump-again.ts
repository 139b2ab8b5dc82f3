/** One more attempt at a dump that other sessions, or replication, got in the way of. */
import {AppError, messageOf} from '../../base/errors.js';
import type {Session} from '../../postgres/client.js';
import {toolsName} from '../../postgres/connect/connection.js';
import type {LockWatch} from '../../postgres/databases/lock-watch.js';
import {severalServers} from '../../postgres/connect/one-server.js';
import {wasOvertaken} from '../../postgres/tools/pg-dump.js';
import type {RunContext} from '../../run/run-context.js';
import type {BackupPlan} from './plan.js';

/** What got in the way of a dump, and what keeps it away. */
interface Obstacle {
  readonly said: string;
  readonly both: string;
  readonly hint: string;
}

const changes: Obstacle = {
  said: 'Another session changed tables while pg_dump ran',
  both: 'Other sessions made, altered or dropped tables during both runs of pg_dump',
  hint: 'Run it when nobody does that, or leave out where tables come and go: --exclude-schema S, --exclude-table T.',
};
const replay: Obstacle = {
  said: 'The standby cancelled the dump, as replication had to go on',
  both: 'The standby cancelled both attempts, as replication had to go on',
  hint: 'Switch hot_standby_feedback on at the standby, or raise max_standby_streaming_delay there above the time that the dump takes; or back up from the primary.',
};

function obstacleOf(error: unknown): Obstacle | undefined {
  if (error instanceof AppError && error.code === 'REPLAY_CONFLICT') return replay;
  return wasOvertaken(error) ? changes : undefined;
}

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
    const obstacle = obstacleOf(error);
    if (!obstacle) throw error;
    context.warn(`${obstacle.said}, so it runs once more. ${messageOf(error)}`);
  }
  try {
    return await dump(true);
  } catch (error) {
    const obstacle = obstacleOf(error);
    if (!obstacle || !(error instanceof AppError)) throw error;
    throw new AppError(error.code, `${obstacle.both}: ${error.message}`, {
      hint: obstacle.hint,
      details: error.details,
      cause: error,
    });
  }
}

/**
 * Runs pg_dump beside the session that exports its snapshot.
 * @throws what ended that session, where pg_dump found no snapshot because of it; SEVERAL_SERVERS where pg_dump reached another server
 */
export async function besideSnapshot<T>(
  session: Session,
  {connection}: BackupPlan,
  dump: () => Promise<T>,
): Promise<T> {
  try {
    return await dump();
  } catch (error) {
    const isWithout =
      error instanceof AppError &&
      error.details.some((line) => /invalid snapshot identifier|snapshot "[^"]*" does not exist/.test(line));
    if (!isWithout) throw error;
    await session.query('SELECT 1');
    throw severalServers(connection, error.details);
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
