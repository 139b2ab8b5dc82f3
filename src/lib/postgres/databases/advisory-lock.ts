/** One run per database, on whichever machine it starts: advisory locks on the server (manual, 13.3.5). */
import {createHash} from 'node:crypto';
import {setTimeout as delay} from 'node:timers/promises';
import {z} from 'zod';
import {AppError} from '../../base/errors.js';
import {formatDuration} from '../../base/format.js';
import {type Session, withSession} from '../client.js';
import type {Connection} from '../connect/connection.js';
import {parseOnlyRow, parseRows, pgBoolean} from '../inspect/inspect-database.js';

/**
 * First key: the ASCII codes of "dst" and one of these. Runs with the same purpose exclude each other. `change` is for
 * everything that replaces or deletes rows, so restore, undo and clean exclude each other too.
 */
const purposes = {backup: 1, change: 2} as const;
export type LockPurpose = keyof typeof purposes;

/**
 * The two keys for `database`: the second is the first four bytes of the SHA-256 of its name. Advisory locks are local to
 * the database of their session, so every run connects to the same database of the server.
 */
export function advisoryKeys(purpose: LockPurpose, database: string): [number, number] {
  const name = createHash('sha256').update(database, 'utf8').digest().readInt32BE(0);
  return [Buffer.from([0x64, 0x73, 0x74, purposes[purpose]]).readInt32BE(0), name];
}

const pollMs = 250;

const holderRow = z.object({pid: z.string(), address: z.string(), since: z.string()});

export interface AdvisoryLock {
  readonly purpose: LockPurpose;
  readonly database: string;
  readonly waitMs?: number;
  readonly signal?: AbortSignal;
}

/**
 * Runs `work` while `session` holds the lock; the server releases it when the session ends, for whatever reason.
 * @param session a separate session, in the database that all runs with this purpose use
 * @throws LOCKED naming the session with the lock, after `waitMs`
 */
export async function withAdvisoryLock<T>(
  session: Session,
  lock: AdvisoryLock,
  work: () => Promise<T>,
): Promise<T> {
  const keys = advisoryKeys(lock.purpose, lock.database);
  const end = performance.now() + (lock.waitMs ?? 0);
  while (!(await tryLock(session, keys))) {
    lock.signal?.throwIfAborted();
    if (performance.now() >= end) throw await describeHolder(session, keys, lock);
    await delay(pollMs);
  }
  try {
    return await work();
  } finally {
    // A broken session has already lost the lock; report the error of `work`.
    await session.query('SELECT pg_catalog.pg_advisory_unlock($1, $2)', keys).catch(() => undefined);
  }
}

/**
 * Call before a dangerous step after long work elsewhere: an administrator or a firewall may have ended the idle session,
 * and the lock with it. It is then taken again in a new session.
 * @param session the one that took the lock, of `connection`
 * @param work receives the session that holds the lock now
 * @throws LOCKED if another run has it now
 */
export async function stillLocked<T>(
  connection: Connection,
  session: Session,
  lock: AdvisoryLock,
  work: (session: Session) => Promise<T>,
): Promise<T> {
  const isThere = await session.query('SELECT 1').then(
    () => true,
    () => false, // after any error, the lock is unreliable
  );
  if (isThere) return work(session);
  return withSession(connection, (again) => withAdvisoryLock(again, lock, () => work(again)));
}

async function tryLock(session: Session, keys: [number, number]): Promise<boolean> {
  return parseOnlyRow(
    z.object({locked: pgBoolean}),
    await session.query('SELECT pg_catalog.pg_try_advisory_lock($1, $2) AS locked', keys),
  ).locked;
}

async function describeHolder(
  session: Session,
  keys: [number, number],
  lock: AdvisoryLock,
): Promise<AppError> {
  const [holder] = parseRows(
    holderRow,
    await session.query(
      `SELECT l.pid, coalesce(host(a.client_addr), 'the server itself') AS address,
              coalesce(to_char(a.backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), 'an unknown time') AS since
         FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
        WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2
          AND l.classid = ($1::int8 & 4294967295)::oid AND l.objid = ($2::int8 & 4294967295)::oid
          AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())`,
      keys,
    ),
  );
  const who = holder
    ? `server process ${holder.pid} from ${holder.address}, since ${holder.since}`
    : 'it has just ended';
  const waited = (lock.waitMs ?? 0) > 0 ? ` It did not end within ${formatDuration(lock.waitMs ?? 0)}.` : '';
  return new AppError(
    'LOCKED',
    `Another run is using the database "${lock.database}" (${who}). Nothing was done.${waited}`,
    {hint: 'Run again when it has ended, or wait for it with --wait SECONDS.'},
  );
}
