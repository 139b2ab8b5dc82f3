/** Lets a database take the place of another by renaming both in one transaction. */
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
  /** The name that stays; its present database is set aside. */
  readonly name: string;
  /** The database that takes the name. */
  readonly incoming: string;
  /** What the present database is called afterwards; null when none bears the name. */
  readonly setAside: string | null;
  /** The mark of the database that is set aside. */
  readonly mark: OwnerComment;
  /** The comment that the incoming database has afterwards. */
  readonly comment: string | null;
  /** How long clients that connect may wait for the names to change, ms. */
  readonly lockWaitMs: number;
}

const terminateEveryMs = 50;
/** A rename waits 5 s for sessions to leave (CountOtherDBBackends in src/backend/storage/ipc/procarray.c). */
const attempts = 3;

/** A name like "shop_before_20261122_031005" that no database bears yet. */
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
 * Renames both databases in one transaction, so the name leads to all of the old or all of the new content whenever
 * this process or the server dies. The rename itself locks the database: from then on new sessions wait, while those that
 * are open are ended from a second session. (ALLOW_CONNECTIONS false would have to be committed before, and a crash would
 * leave a database that answers nobody.)
 * @param session of `maintenance`; it holds the lock that keeps other runs away, and where it ends so does the transaction
 * @throws RESTORE_FAILED naming who could not be disconnected, LOCK_TIMEOUT naming who alters one of the databases; nothing is
 *   changed then
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
          `COMMENT ON DATABASE ${quoteIdentifier(swap.setAside)} IS ${quoteLiteral(formatOwnerComment(swap.mark))}`,
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
    signal: new AbortController().signal, // a swap that has begun is finished
  };
  for (let attempt = 1; ; attempt++) {
    try {
      await withLockWatch(watch, () =>
        withSessionsEnded(maintenance, names, () =>
          withTransaction(session, '', async () => {
            await session.query(`SET LOCAL lock_timeout = ${Math.ceil(limitMs * 0.9)}`);
            // A rename also waits for sessions to leave, and clients that connect wait for the rename.
            await session.query(`SET LOCAL statement_timeout = ${limitMs}`);
            for (const statement of statements) await session.query(statement);
            await checkpoint('swap.renamed');
          }),
        ),
      );
      await checkpoint('swap.committed');
      return;
    } catch (error) {
      // A connection that broke while the COMMIT was on its way leaves open whether it arrived.
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
    return false; // the server is gone; the error of the swap is the one to tell
  }
}

function isInUse(error: unknown): boolean {
  // object_in_use, or query_canceled by statement_timeout, in whatever language
  return error instanceof AppError && ['55006', '57014'].includes(systemErrorCode(error.cause) ?? '');
}

/** Ends the sessions in `databases` again and again while `work` runs. */
async function withSessionsEnded<T>(
  maintenance: Connection,
  databases: readonly string[],
  work: () => Promise<T>,
): Promise<T> {
  return withSession(maintenance, async (session) => {
    let isOver = false;
    const ending = (async () => {
      while (!isOver) {
        // Sessions of stronger roles stay; the rename then fails and says so.
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

/** No session can end them; a rename would wait 5 s for that, and clients that connect for the rename. */
async function refusePrepared(maintenance: Connection, databases: readonly string[]): Promise<void> {
  const prepared = await withSession(maintenance, (session) => listPrepared(session, databases));
  if (prepared.length === 0) return;
  throw new AppError(
    'RESTORE_FAILED',
    'The databases cannot change names while they have prepared transactions.',
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
  return new AppError('RESTORE_FAILED', 'The databases could not change names: somebody stays connected.', {
    details: lines,
    hint: 'End these sessions and prepared transactions (a superuser can), then run again.',
    cause,
  });
}
