/** One run per database whichever machine it starts from: advisory locks on the server (manual, 13.3.5). */
import {createHash} from 'node:crypto';
import {setTimeout as delay} from 'node:timers/promises';
import {z} from 'zod';
import {AppError} from '../../base/errors.js';
import {formatDuration} from '../../base/format.js';
import {type Session, withSession} from '../client.js';
import type {Connection} from '../connect/connection.js';
import {parseOnlyRow, parseRows, pgBoolean} from '../inspect/inspect-database.js';

/**
 * First key: the ASCII codes of "dst" and one of these. Runs of the same purpose exclude each other; `change` is for
 * everything that replaces or deletes rows, so restore, undo and clean exclude each other too.
 */
const purposes = {backup: 1, change: 2} as const;
export type LockPurpose = keyof typeof purposes;

/**
 * The two keys for `database`: the second is the first four bytes of the SHA-256 of its name. Advisory locks hold within
 * the database of their session only, so every run that wants one connects to the same database of the server.
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
  readonly waitMs?: number | undefined;
  readonly signal?: AbortSignal;
}

/**
 * Runs `work` while `session` holds the lock; the server lets go of it when the session ends, however that happens.
 * @param session a session of its own, in the database that all runs of this purpose use
 * @throws LOCKED naming the session that holds it, after `waitMs`
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
    // A broken session has lost the lock already; the error of the work is the one to tell.
    await session.query('SELECT pg_catalog.pg_advisory_unlock($1, $2)', keys).catch(() => undefined);
  }
}

/**
 * Before a dangerous step after long work elsewhere: a session that was idle meanwhile may have been ended by an
 * administrator or a firewall, and the lock with it. It is then taken again in a new session.
 * @param session the one that took the lock, of `connection`
 * @param work gets the session that holds the lock now
 * @throws LOCKED when another run has it by now
 */
export async function stillLocked<T>(
  connection: Connection,
  session: Session,
  lock: AdvisoryLock,
  work: (session: Session) => Promise<T>,
): Promise<T> {
  const isThere = await session.query('SELECT 1').then(
    () => true,
    () => false, // whatever it is, the lock cannot be counted on
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
    `Another run is at work on the database "${lock.database}" (${who}); nothing was done.${waited}`,
    {hint: 'Run again when it has ended, or wait for it with --wait SECONDS.'},
  );
}
