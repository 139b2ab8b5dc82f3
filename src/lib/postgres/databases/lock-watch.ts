/**
 * Limits waiting for locks. `lock_timeout` limits one wait on the server; the watch adds up all waits of a run, including those of
 * client tools, which disable the timeout (pg_restore writes SET lock_timeout = 0). It names the holder of the lock while
 * the run still waits, because this is impossible afterwards.
 */
import {setTimeout as delay} from 'node:timers/promises';
import {z} from 'zod';
import {defined} from '../../base/defined.js';
import {AppError, systemErrorCode} from '../../base/errors.js';
import {formatDuration} from '../../base/format.js';
import {type Session, withSession} from '../client.js';
import type {Connection} from '../connect/connection.js';
import {parseRows, pgBoolean} from '../inspect/inspect-database.js';

/** How long a command waits for locks that others queue for, ms. */
const defaultLockWaitMs = 10_000;

/** In ms, from --lock-wait, else from the config file, else the default. */
export function lockWaitMsFor(flagMs: number | undefined, configSeconds?: number): number {
  return flagMs ?? (configSeconds === undefined ? defaultLockWaitMs : configSeconds * 1000);
}

export interface LockWatch {
  readonly connection: Connection;
  /** The sessions of the run: process ids of the server, or the application name of its tools. */
  readonly ours: readonly number[] | string;
  /** Limit for all waits of these sessions together, ms. */
  readonly limitMs: number;
  /** Whether the run also ends if another session has waited that long for its locks. */
  readonly givesWay?: boolean;
  /** The state after the error, as a sentence. */
  readonly state: string;
  readonly hint?: string;
  readonly signal: AbortSignal;
}

/** The blocking sessions of a run, as lines. */
interface Seen {
  blockers: string[];
}

/**
 * Runs `work`; ends it if its sessions have waited for locks longer than the limit.
 * @param work ends when its signal is aborted; running statements of sessions given by process id are cancelled
 * @throws LOCK_TIMEOUT naming the holders of the locks, or the waiting sessions; the errors of `work`
 */
export async function withLockWatch<T>(
  watch: LockWatch,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const seen: Seen = {blockers: []};
  const stop = new AbortController();
  const over = new AbortController();
  // Opened in advance: if the system catalogs are locked, a new session cannot start. Without it, the limits of the sessions still apply.
  let ready = (): void => undefined;
  const isReady = new Promise<void>((resolve) => (ready = resolve));
  let astray: AppError | undefined;
  const watching = withSession(watch.connection, (session) =>
    keepWatch(session, watch, {seen, stop, over: over.signal, ready}),
  )
    .catch((error: unknown) => {
      if (error instanceof AppError && error.code === 'SEVERAL_SERVERS') astray = error;
    })
    .finally(() => ready());
  await isReady;
  if (astray) throw astray;
  try {
    return await work(AbortSignal.any([watch.signal, stop.signal]));
  } catch (error) {
    watch.signal.throwIfAborted();
    if (stop.signal.aborted) throw stop.signal.reason;
    throw named(watch, seen, error);
  } finally {
    over.abort();
    await watching;
  }
}

/** The error with the names of the blocking sessions; a deadlock and a tool's failure keep their own messages. */
function named(watch: LockWatch, seen: Readonly<Seen>, error: unknown): unknown {
  if (!(error instanceof AppError) || error.code !== 'LOCK_TIMEOUT') return error;
  const isWait = systemErrorCode(error.cause) === '55P03'; // lock_not_available
  if (isWait) return blocked(watch, seen, error);
  return new AppError(
    'LOCK_TIMEOUT',
    error.message,
    defined({
      hint: error.hint,
      details: [...seen.blockers, ...error.details],
      cause: error.cause,
    }),
  );
}

function blocked(watch: LockWatch, seen: Readonly<Seen>, cause?: unknown): AppError {
  return new AppError(
    'LOCK_TIMEOUT',
    `Another session kept a lock for longer than ${formatDuration(watch.limitMs)}. ${watch.state}`.trim(),
    {
      hint:
        watch.hint ??
        'Wait for that session to end, or end it (SELECT pg_terminate_backend(PID), ROLLBACK PREPARED); --lock-wait 1m waits longer.',
      details: seen.blockers,
      cause,
    },
  );
}

const waitRow = z.object({
  key: z.string(),
  pid: z.string(),
  is_ours: pgBoolean,
});

/** Waiting sessions of this run, and sessions that wait for it. VACUUM and CREATE INDEX CONCURRENTLY may wait: nobody queues for them. */
const waitsSql = `
  WITH ours AS (
    SELECT a.pid FROM pg_catalog.pg_stat_get_activity(NULL) a
     WHERE a.pid = ANY ($1::pg_catalog.int4[]) OR a.application_name = $2),
  waits AS (
    SELECT l.pid, pg_catalog.concat_ws(' ', l.pid, l.locktype, l.relation, l.page, l.tuple, l.transactionid, l.objid) AS key,
           l.pid IN (SELECT pid FROM ours) AS is_ours, l.locktype, l.mode
      FROM pg_catalog.pg_locks l WHERE NOT l.granted AND l.pid IS NOT NULL AND l.locktype <> 'advisory')
  SELECT w.key, w.pid::pg_catalog.text AS pid, w.is_ours FROM waits w
   WHERE w.is_ours
      OR (w.locktype <> 'virtualxid' AND w.mode <> 'ShareUpdateExclusiveLock' AND EXISTS (SELECT FROM ours o WHERE o.pid = ANY (pg_catalog.pg_blocking_pids(w.pid))))`;

interface Watching {
  readonly seen: Seen;
  /** Aborts the work. */
  readonly stop: AbortController;
  /** Whether the work has ended. */
  readonly over: AbortSignal;
  readonly ready: () => void;
}

async function keepWatch(
  session: Session,
  watch: LockWatch,
  {seen, stop, over, ready}: Watching,
): Promise<void> {
  const {ours, limitMs} = watch;
  const isNamed = typeof ours === 'string';
  const everyMs = Math.min(Math.max(limitMs / 20, 20), 1000);
  await session.query(`SET lock_timeout = ${Math.ceil(limitMs)}`);
  // Ending the work, and the rollback, takes a moment too.
  const enoughMs = limitMs - 2 * everyMs;
  const waitingSince = new Map<string, number>();
  let spentMs = 0;
  let described = '';
  let last = performance.now();
  while (!over.aborted) {
    const rows = parseRows(
      waitRow,
      await session.query(waitsSql, [isNamed ? [] : ours.map(String), isNamed ? ours : null]),
    );
    ready();
    const now = performance.now();
    const mine = rows.filter((row) => row.is_ours);
    const keys = mine.map((row) => row.key).join('\n');
    if (mine.length > 0) spentMs += now - last;
    if (keys !== '' && keys !== described) {
      const lines = await describe(session, blockersSql, mine);
      if (lines.length > 0) seen.blockers = lines;
    }
    described = keys;
    last = now;
    const others = rows.filter((row) => !row.is_ours);
    for (const key of waitingSince.keys())
      if (!others.some((row) => row.key === key)) waitingSince.delete(key);
    for (const {key} of others) if (!waitingSince.has(key)) waitingSince.set(key, now);
    const longest = Math.max(0, ...[...waitingSince.values()].map((since) => now - since));
    const isBlocked = spentMs > enoughMs;
    if (isBlocked || (watch.givesWay === true && longest > enoughMs)) {
      stop.abort(
        isBlocked ? blocked(watch, seen) : gaveWay(watch, await describe(session, waitersSql, others)),
      );
      if (!isNamed)
        await session.query(
          'SELECT pg_catalog.pg_cancel_backend(p) FROM pg_catalog.unnest($1::pg_catalog.int4[]) p',
          [ours.map(String)],
        );
      return;
    }
    await delay(everyMs, undefined, {signal: over}).catch(() => undefined); // the work has ended
  }
}

function gaveWay(watch: LockWatch, waiters: readonly string[]): AppError {
  return new AppError(
    'LOCK_TIMEOUT',
    `Another session waited for longer than ${formatDuration(watch.limitMs)} for locks of this run, so the run was ended. ${watch.state}`,
    {
      hint: 'Run it at a quieter time or for fewer orders (--from, --to), or let others wait longer: --lock-wait 1m.',
      details: waiters,
    },
  );
}

const lineRow = z.object({line: z.string()});

async function describe(session: Session, sql: string, rows: readonly {pid: string}[]): Promise<string[]> {
  const pids = [...new Set(rows.map(({pid}) => pid))];
  return parseRows(lineRow, await session.query(sql, [pids])).map(({line}) => line);
}

/** SQL: the object of a lock `l` of pg_locks, in words. */
const objectSql = `CASE
    WHEN l.locktype IN ('relation', 'extend', 'page', 'tuple') AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
      THEN l.relation::pg_catalog.regclass::pg_catalog.text
    WHEN l.locktype = 'object' AND l.classid = 'pg_catalog.pg_database'::pg_catalog.regclass
      THEN coalesce('the database ' || (SELECT datname FROM pg_catalog.pg_database WHERE oid = l.objid), 'a database')
    WHEN l.locktype = 'transactionid' THEN 'rows that its transaction changed'
    ELSE l.locktype END`;

/** SQL: a session `a`, in words. */
const sessionSql = `pg_catalog.format('server process %s (user %s, %s, %s)', a.pid, coalesce(a.usename, 'unknown'),
    coalesce(nullif(a.application_name, ''), 'an unnamed program'), coalesce(a.state, 'in an unknown state'))`;
const statementSql = `coalesce(pg_catalog.format('; statement of %s: %s', pg_catalog.to_char(a.query_start, 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
    pg_catalog.left(pg_catalog.regexp_replace(a.query, '\\s+', ' ', 'g'), 120)), '')`;

/** Sessions and prepared transactions (which have no process) that block the processes $1. */
const blockersSql = `
  WITH waiting AS (SELECT * FROM pg_catalog.pg_locks WHERE NOT granted AND pid = ANY ($1::pg_catalog.int4[])),
  held AS (
    SELECT l.*, w.pid AS waiter FROM waiting w JOIN pg_catalog.pg_locks l
      ON (l.locktype, l.database, l.relation, l.page, l.tuple, l.virtualxid, l.transactionid, l.classid, l.objid, l.objsubid)
         IS NOT DISTINCT FROM
         (w.locktype, w.database, w.relation, w.page, w.tuple, w.virtualxid, w.transactionid, w.classid, w.objid, w.objsubid)
     WHERE l.pid IS DISTINCT FROM w.pid AND coalesce(l.pid, 0) = ANY (pg_catalog.pg_blocking_pids(w.pid)))
  SELECT DISTINCT CASE WHEN l.granted THEN 'held by ' ELSE 'asked for before by ' END || ${sessionSql}
         || pg_catalog.format(': %s on %s', l.mode, ${objectSql}) || ${statementSql} AS line
    FROM held l JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
  UNION
  SELECT pg_catalog.format('held by the prepared transaction %L of %s, prepared %s: %s on %s', p.gid, p.owner,
         pg_catalog.to_char(p.prepared, 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), l.mode, ${objectSql}) AS line
    FROM held l JOIN pg_catalog.pg_locks x ON x.pid IS NULL AND x.locktype = 'transactionid' AND x.granted
                                          AND x.virtualtransaction = l.virtualtransaction
    JOIN pg_catalog.pg_prepared_xacts p ON p.transaction = x.transactionid
   WHERE l.pid IS NULL
   ORDER BY line`;

const waitersSql = `
  SELECT DISTINCT ${sessionSql} || pg_catalog.format(' waited for %s on %s', l.mode, ${objectSql}) || ${statementSql} AS line
    FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
   WHERE NOT l.granted AND l.pid = ANY ($1::pg_catalog.int4[]) ORDER BY line`;
