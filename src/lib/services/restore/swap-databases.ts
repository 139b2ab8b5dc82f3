/** Replaces a database by another one by renaming both in one transaction. */
import {setTimeout as delay} from 'node:timers/promises';
import {AppError, systemErrorCode} from '../../base/errors.js';
import type {Checkpoint} from '../../run/fault-points.js';
import {type Session, withSession, withTransaction} from '../../postgres/client.js';
import {withLockWatch} from '../../postgres/databases/lock-watch.js';
import type {Connection} from '../../postgres/connect/connection.js';
import {
  databaseNameWith,
  formatOwnerComment,
  type OwnerComment,
  timeForDatabaseName,
} from '../../postgres/databases/owner-comment.js';
import {databaseExists} from '../../postgres/inspect/inspect-target.js';
import {listPrepared, preparedHint} from '../../postgres/databases/prepared-transactions.js';
import {quoteIdentifier, quoteLiteral} from '../../postgres/quote.js';

export interface Swap {
  /** The name to take over; the database that has it now is set aside. */
  readonly name: string;
  /** The database that gets the name. */
  readonly incoming: string;
  /** New name of the present database; null if no database has the name. */
  readonly setAside: string | null;
  /** The owner comment of the database that is set aside. */
  readonly ownerComment: OwnerComment;
  /** The comment of the incoming database afterwards. */
  readonly comment: string | null;
  /** How long connecting clients may wait for the swap, ms. */
  readonly lockWaitMs: number;
}

const terminateEveryMs = 50;
/** A rename waits 5 s for sessions to leave (CountOtherDBBackends in src/backend/storage/ipc/procarray.c). */
const attempts = 3;

/** An unused name like "shop_before_20261122_031005". */
export async function freeDatabaseName(
  session: Session,
  name: string,
  word: string,
  at: Date,
): Promise<string> {
  for (let number = 1; ; number++) {
    const suffix = `_${word}_${timeForDatabaseName(at)}${number === 1 ? '' : `_${number}`}`;
    const candidate = databaseNameWith(name, suffix);
    if (!(await databaseExists(session, candidate))) return candidate;
  }
}

/**
 * Renames both databases in one transaction, so the name refers to all of the old or all of the new content, even if this process
 * or the server dies. The rename locks the database: new sessions wait, and a second session ends the open ones. (ALLOW_CONNECTIONS
 * false would have to be committed before, and a crash would leave a database that nobody can connect to.)
 * @param session of `maintenance`; it holds the lock against other runs, and the transaction ends with it
 * @throws RESTORE_FAILED naming the sessions that could not be ended, LOCK_TIMEOUT naming the session that alters one of the
 *   databases; nothing is changed then
 */
export async function swapDatabases(
  checkpoint: Checkpoint,
  maintenance: Connection,
  session: Session,
  swap: Swap,
): Promise<void> {
  const names = [swap.incoming, ...(swap.setAside === null ? [] : [swap.name])];
  const statements = [
    ...(swap.setAside === null
      ? []
      : [
          `ALTER DATABASE ${quoteIdentifier(swap.name)} RENAME TO ${quoteIdentifier(swap.setAside)}`,
          `COMMENT ON DATABASE ${quoteIdentifier(swap.setAside)} IS ${quoteLiteral(formatOwnerComment(swap.ownerComment))}`,
        ]),
    `ALTER DATABASE ${quoteIdentifier(swap.incoming)} RENAME TO ${quoteIdentifier(swap.name)}`,
    `COMMENT ON DATABASE ${quoteIdentifier(swap.name)} IS ${swap.comment === null ? 'NULL' : quoteLiteral(swap.comment)}`,
  ];
  await checkpoint('swap.begun');
  await refusePrepared(maintenance, names);
  const limitMs = Math.ceil(swap.lockWaitMs);
  const watch = {
    connection: maintenance,
    ours: [session.backendPid],
    limitMs,
    state: 'The databases keep their names.',
    signal: new AbortController().signal, // a swap is not interrupted once it has started
  };
  for (let attempt = 1; ; attempt++) {
    try {
      await withLockWatch(watch, () =>
        withSessionsEnded(maintenance, names, () =>
          withTransaction(session, '', async () => {
            await session.query(`SET LOCAL lock_timeout = ${Math.ceil(limitMs * 0.9)}`);
            // A rename also waits for sessions to end, and connecting clients wait for the rename.
            await session.query(`SET LOCAL statement_timeout = ${limitMs}`);
            for (const statement of statements) await session.query(statement);
            await checkpoint('swap.renamed');
          }),
        ),
      );
      await checkpoint('swap.committed');
      return;
    } catch (error) {
      // After a connection broke during the COMMIT, it is unknown whether the server executed it.
      if (await hasHappened(maintenance, swap)) return;
      if (isInUse(error) && attempt < attempts) continue;
      throw isInUse(error) ? await explainInUse(maintenance, names, error) : error;
    }
  }
}

async function hasHappened(maintenance: Connection, swap: Swap): Promise<boolean> {
  try {
    return await withSession(
      maintenance,
      async (session) =>
        !(await databaseExists(session, swap.incoming)) && (await databaseExists(session, swap.name)),
    );
  } catch {
    return false; // the server is unreachable; the error of the swap is reported
  }
}

function isInUse(error: unknown): boolean {
  // object_in_use, or query_canceled by statement_timeout, independent of the server's language
  return error instanceof AppError && ['55006', '57014'].includes(systemErrorCode(error.cause) ?? '');
}

/** Ends the sessions in `databases` repeatedly while `work` runs. */
async function withSessionsEnded<T>(
  maintenance: Connection,
  databases: readonly string[],
  work: () => Promise<T>,
): Promise<T> {
  return withSession(maintenance, async (session) => {
    let isOver = false;
    const ending = (async () => {
      while (!isOver) {
        // Sessions of stronger roles remain; the rename then fails with an error that names them.
        await session
          .query(
            `SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity
              WHERE datname = ANY ($1) AND pid <> pg_catalog.pg_backend_pid()
                AND (pg_catalog.pg_has_role(usesysid, 'MEMBER') OR pg_catalog.pg_has_role('pg_signal_backend', 'MEMBER'))
                AND NOT (SELECT r.rolsuper AND NOT me.rolsuper FROM pg_catalog.pg_roles r, pg_catalog.pg_roles me
                          WHERE r.oid = usesysid AND me.rolname = current_user)`,
            [databases],
          )
          .catch(() => undefined);
        await delay(terminateEveryMs);
      }
    })();
    try {
      return await work();
    } finally {
      isOver = true;
      await ending;
    }
  });
}

/** Refuses prepared transactions, because a swap cannot end them. A rename would wait 5 s for them, and clients for the rename. */
async function refusePrepared(maintenance: Connection, databases: readonly string[]): Promise<void> {
  const prepared = await withSession(maintenance, (session) => listPrepared(session, databases));
  if (prepared.length === 0) return;
  throw new AppError(
    'RESTORE_FAILED',
    'The databases cannot be renamed while they have prepared transactions.',
    {hint: preparedHint, details: prepared},
  );
}

async function explainInUse(
  maintenance: Connection,
  databases: readonly string[],
  cause: unknown,
): Promise<AppError> {
  const lines = await withSession(maintenance, async (session) => {
    const rows = await session.query(
      `SELECT pg_catalog.format('%s: session %s of %s (%s) from %s', datname, pid, usename, application_name,
                coalesce(client_addr::pg_catalog.text, 'the server')) AS who
         FROM pg_catalog.pg_stat_activity WHERE datname = ANY ($1)`,
      [databases],
    );
    return [...rows.map((row) => row['who'] ?? ''), ...(await listPrepared(session, databases))];
  });
  return new AppError('RESTORE_FAILED', 'Could not rename the databases: sessions are still connected.', {
    details: lines,
    hint: 'End these sessions and prepared transactions (a superuser can), then run again.',
    cause,
  });
}
