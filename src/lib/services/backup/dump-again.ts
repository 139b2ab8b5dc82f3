/** Repeats a dump once if other sessions or replication interrupted it. */
import {AppError, messageOf} from '../../base/errors.js';
import type {Session} from '../../postgres/client.js';
import {toolsName} from '../../postgres/connect/connection.js';
import type {LockWatch} from '../../postgres/databases/lock-watch.js';
import {severalServers} from '../../postgres/connect/one-server.js';
import {wasOvertaken} from '../../postgres/tools/pg-dump.js';
import type {RunContext} from '../../run/run-context.js';
import type {BackupPlan} from './plan.js';

/** The cause of an interrupted dump, in messages, and a hint how to avoid it. */
interface Obstacle {
  readonly once: string;
  readonly twice: string;
  readonly hint: string;
}

const changes: Obstacle = {
  once: 'Another session changed tables while pg_dump ran',
  twice: 'Other sessions created, altered or dropped tables during both runs of pg_dump',
  hint: 'Run the backup when no session changes tables, or exclude the tables that come and go: --exclude-schema S, --exclude-table T.',
};
const replay: Obstacle = {
  once: 'The standby cancelled the dump so that replication could continue',
  twice: 'The standby cancelled both attempts so that replication could continue',
  hint: 'Switch hot_standby_feedback on at the standby, or raise its max_standby_streaming_delay above the duration of the dump, or back up from the primary.',
};

function obstacleOf(error: unknown): Obstacle | undefined {
  if (error instanceof AppError && error.code === 'REPLAY_CONFLICT') return replay;
  return wasOvertaken(error) ? changes : undefined;
}

/**
 * @param dump starts from the beginning, in a new snapshot. The second attempt must use one connection: further ones would lock each
 *   table again without waiting
 * @throws the errors of `dump`; after the second attempt, an error that says how to avoid the interruption
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
    context.warn(`${obstacle.once}, so it runs again. ${messageOf(error)}`);
  }
  try {
    return await dump(true);
  } catch (error) {
    const obstacle = obstacleOf(error);
    if (!obstacle || !(error instanceof AppError)) throw error;
    throw new AppError(error.code, `${obstacle.twice}: ${error.message}`, {
      hint: obstacle.hint,
      details: error.details,
      cause: error,
    });
  }
}

/**
 * Runs pg_dump while another session exports its snapshot.
 * @throws the error that ended that session, if pg_dump could not use the snapshot; SEVERAL_SERVERS if pg_dump reached another server
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

/** For pg_dump, whose own limit covers its locks on tables, but not those on the system catalogs. */
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
