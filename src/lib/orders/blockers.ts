/** Names the sessions that hold a lock which a statement waits for. */
import {z} from 'zod';
import {AppError} from '../errors.js';
import {type Session, withSession} from '../postgres/client.js';
import type {Connection} from '../postgres/connection.js';
import {parseRows} from '../postgres/inspect-database.js';

const blockerRow = z.object({
  pid: z.string(),
  application: z.string(),
  state: z.string(),
  since: z.string(),
  query: z.string(),
});

/**
 * Runs `work`; when it fails because a lock was not to be had, the error names who held it.
 * The waiting session cannot ask for itself, so a second one looks while it waits.
 * @param lockWaitMs the session's lock_timeout
 */
export async function namingBlockers<T>(
  connection: Connection,
  session: Session,
  lockWaitMs: number,
  work: () => Promise<T>,
): Promise<T> {
  let seen: string[] = [];
  let looking = Promise.resolve();
  const look = async (): Promise<void> => {
    const found = await describeBlockers(connection, session.backendPid);
    if (found.length > 0) seen = found;
  };
  const timer = setInterval(() => {
    // Without the name the error is still right; the look must not hide it.
    looking = looking.then(look).catch(() => undefined);
  }, lockWaitMs / 3);
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== 'LOCK_TIMEOUT') throw error;
    await looking;
    throw new AppError(
      'LOCK_TIMEOUT',
      `Another session holds a lock on rows of the orders for longer than ${lockWaitMs / 1000} s; nothing was changed.`,
      {
        hint: 'Wait for that session to end, or end it with SELECT pg_terminate_backend(PID), then run again.',
        details: seen,
        cause: error,
      },
    );
  } finally {
    clearInterval(timer);
  }
}

async function describeBlockers(connection: Connection, pid: number): Promise<string[]> {
  return withSession(connection, async (session) => {
    const rows = parseRows(
      blockerRow,
      await session.query(
        `SELECT a.pid::text AS pid, coalesce(nullif(a.application_name, ''), 'an unnamed program') AS application,
                coalesce(a.state, 'in an unknown state') AS state,
                coalesce(pg_catalog.to_char(a.xact_start, 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), 'an unknown time') AS since,
                coalesce(pg_catalog.left(pg_catalog.regexp_replace(a.query, '\\s+', ' ', 'g'), 120), '') AS query
           FROM pg_catalog.unnest(pg_catalog.pg_blocking_pids($1)) b(pid) JOIN pg_catalog.pg_stat_activity a ON a.pid = b.pid`,
        [pid],
      ),
    );
    return rows.map(
      (row) =>
        `held by server process ${row.pid} (${row.application}, ${row.state}), in a transaction since ${row.since}: ${row.query}`,
    );
  });
}
