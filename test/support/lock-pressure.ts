/** Sessions that lock the shop's tables in every way, including an application, and a record of who waits for whom. */
import {setTimeout as delay} from 'node:timers/promises';
import type {Session} from '../../src/lib/postgres/client.js';
import type {Connection} from '../../src/lib/postgres/connect/connection.js';
import {withAppSession} from './app-session.js';

export interface Application {
  /** Of all statements so far, ms. */
  longestMs(): number;
  stop(): Promise<void>;
}

/** Repeats each statement, in a session each; resolves when each has run once. */
export async function startApplication(
  connection: Connection,
  statements: readonly string[],
): Promise<Application> {
  let longest = 0;
  let isOver = false;
  const running: Promise<void>[] = [];
  const begun = statements.map(
    (sql) =>
      new Promise<void>((resolve, reject) => {
        const loop = withAppSession(connection, async (session) => {
          while (!isOver) {
            const since = performance.now();
            await session.query(sql);
            longest = Math.max(longest, performance.now() - since);
            resolve();
          }
        });
        loop.catch(reject);
        running.push(loop);
      }),
  );
  await Promise.all(begun);
  return {
    longestMs: () => longest,
    stop: async () => {
      isOver = true;
      await Promise.all(running);
    },
  };
}

const tables = [
  'orders', 'order_items', 'payments', 'refunds', 'catering_orders', 'catering_order_items', 'products', 'profiles',
]; // prettier-ignore
const modes = [
  'ACCESS SHARE',
  'ROW EXCLUSIVE',
  'SHARE',
  'SHARE ROW EXCLUSIVE',
  'EXCLUSIVE',
  'ACCESS EXCLUSIVE',
];

export type Random = () => number;

function pick<T>(random: Random, values: readonly T[]): T {
  const value = values[Math.floor(random() * values.length)];
  if (value === undefined) throw new Error('nothing to pick from');
  return value;
}

/** Operations of other sessions on tables; each ends itself, or waits as long as the server allows. */
const disturbances: Readonly<
  Record<string, (session: Session, table: string, random: Random) => Promise<unknown>>
> = {
  'ALTER TABLE': (session, table) => session.query(`ALTER TABLE ${table} ALTER COLUMN id SET NOT NULL`),
  'ADD COLUMN': async (session, table) => {
    await session.query(`ALTER TABLE ${table} ADD COLUMN pressure integer`);
    await session.query(`ALTER TABLE ${table} DROP COLUMN pressure`);
  },
  'VACUUM FULL': (session, table) => session.query(`VACUUM FULL ${table}`),
  'CREATE INDEX': async (session, table) => {
    await session.query(`CREATE INDEX IF NOT EXISTS pressure_${table} ON ${table} (id)`);
    await session.query(`DROP INDEX IF EXISTS pressure_${table}`);
  },
  REINDEX: (session, table) => session.query(`REINDEX TABLE ${table}`),
  REFRESH: (session) => session.query('REFRESH MATERIALIZED VIEW totals'),
  'LOCK TABLE': async (session, table, random) => {
    await session.query('BEGIN');
    await session.query(`LOCK TABLE ${table} IN ${pick(random, modes)} MODE`);
    await session.query(`SELECT pg_sleep(${random() * 0.5})`);
    await session.query('ROLLBACK');
  },
  'idle in transaction': async (session, table, random) => {
    await session.query('BEGIN');
    await session.query(`SELECT * FROM ${table} ORDER BY id LIMIT 3 FOR UPDATE`);
    await session.query(`SELECT pg_sleep(${random() * 2})`);
    await session.query('ROLLBACK');
  },
  'prepared transaction': async (session, table, random) => {
    const gid = `pressure ${session.backendPid}`;
    await session.query('BEGIN');
    await session.query(`SELECT * FROM ${table} ORDER BY id LIMIT 3 FOR UPDATE`);
    await session.query(`PREPARE TRANSACTION '${gid}'`);
    await session.query(`SELECT pg_sleep(${random()})`);
    await session.query(`ROLLBACK PREPARED '${gid}'`);
  },
};

/** Ends prepared transactions of a session that a swap ended, which would block all later ones. */
async function endPrepared(session: Session): Promise<void> {
  for (const {gid} of await session.query(
    'SELECT gid FROM pg_prepared_xacts WHERE database = current_database()',
  ))
    await session.query(`ROLLBACK PREPARED '${gid ?? ''}'`);
}

/** The statements of the application; each is timed. */
const application: readonly ((random: Random) => string)[] = [
  (random) => `SELECT count(*) FROM ${pick(random, tables)}`,
  () =>
    `UPDATE orders SET notes = 'seen' WHERE id = (SELECT id FROM orders WHERE email !~ 'test' ORDER BY id LIMIT 1)`,
  () => `INSERT INTO orders (total, "customerName", email, phone, "updatedAt")
         VALUES (10, 'Test', 'qa@test.com', '-', now())`,
  () =>
    `UPDATE orders SET notes = 'seen' WHERE id = (SELECT max(id::text)::uuid FROM orders WHERE email = 'qa@test.com')`,
];

/** The sessions that wait because of one of ours, also indirectly, and whether ours waits itself or is working. */
const chainsSql = `
  WITH RECURSIVE chain(waiter, pid) AS (
    SELECT a.pid, b.pid FROM pg_stat_activity a, unnest(pg_blocking_pids(a.pid)) b(pid)
     WHERE a.application_name = 'shop' AND a.wait_event_type = 'Lock'
    UNION SELECT c.waiter, b.pid FROM chain c, unnest(pg_blocking_pids(c.pid)) b(pid))
  SELECT c.waiter || ' ' || w.query_start AS statement, bool_or(a.wait_event_type = 'Lock') AS ours_waits
    FROM chain c JOIN pg_stat_activity w ON w.pid = c.waiter JOIN pg_stat_activity a ON a.pid = c.pid
   WHERE a.application_name LIKE 'destino-db%' GROUP BY 1`;

export interface Felt {
  /** Statements of the application. */
  readonly statements: number;
  /** The longest of them, for any reason, ms. */
  readonly longestMs: number;
  /** The longest time that the application needed to connect, ms. */
  readonly connectMs: number;
  /** The longest wait for a session of ours that was waiting itself, ms. */
  readonly behindWaitingMs: number;
  /** The longest wait for a session of ours, waiting or working, by the current operation, ms. */
  readonly behindUsMs: Readonly<Record<string, number>>;
  /** How often each disturbance was completed. */
  readonly disturbances: Readonly<Record<string, number>>;
}

export interface Pressure {
  /** Sets the name of the current operation. */
  running(command: string): void;
  stop(): Promise<Felt>;
}

const lookEveryMs = 50;

/** @param watched a connection to another database of the server, which no swap ends */
export function startPressure(shop: Connection, watched: Connection, random: Random): Pressure {
  let isOver = false;
  let command = '';
  let statements = 0;
  let longestMs = 0;
  let connectMs = 0;
  let behindWaitingMs = 0;
  const behindUsMs: Record<string, number> = {};
  const counts: Record<string, number> = {};
  const loop = async (name: string, step: (session: Session) => Promise<void>): Promise<void> => {
    while (!isOver) {
      // A swap ends sessions; a deadlock, a dropped table or an existing column are errors of the disturber itself.
      await withAppSession(shop, async (session) => {
        await session.query(`SET application_name = '${name}'`);
        await session.query('SET lock_timeout = 0');
        if (name === 'migration') await endPrepared(session);
        while (!isOver) await step(session);
      }).catch(() => undefined);
    }
  };
  const disturb = () =>
    loop('migration', async (session) => {
      const name = pick(random, Object.keys(disturbances));
      await disturbances[name]?.(session, pick(random, tables), random);
      counts[name] = (counts[name] ?? 0) + 1;
    });
  const use = (statement: (random: Random) => string) =>
    loop('shop', async (session) => {
      const since = performance.now();
      await session.query(statement(random));
      longestMs = Math.max(longestMs, performance.now() - since);
      statements += 1;
      await session.query('SELECT pg_sleep(0.02)');
    });
  const connect = async (): Promise<void> => {
    while (!isOver) {
      const since = performance.now();
      // A swap may end sessions that wait for it.
      await withAppSession(shop, async () => Promise.resolve()).catch(() => undefined);
      connectMs = Math.max(connectMs, performance.now() - since);
      await delay(lookEveryMs);
    }
  };
  const look = withAppSession(watched, async (session) => {
    const since = new Map<string, {any: number; waiting: number | undefined}>();
    while (!isOver) {
      const rows = await session.query(chainsSql);
      const now = performance.now();
      const found = new Map(rows.map((row) => [row['statement'] ?? '', row['ours_waits'] === 't']));
      for (const statement of since.keys()) if (!found.has(statement)) since.delete(statement);
      for (const [statement, isWaiting] of found) {
        const before = since.get(statement) ?? {any: now, waiting: undefined};
        const waiting = isWaiting ? (before.waiting ?? now) : undefined;
        since.set(statement, {any: before.any, waiting});
        behindUsMs[command] = Math.max(behindUsMs[command] ?? 0, now - before.any);
        if (waiting !== undefined) behindWaitingMs = Math.max(behindWaitingMs, now - waiting);
      }
      await delay(lookEveryMs);
    }
  });
  const all = [disturb(), disturb(), ...application.map(use), connect(), look];
  return {
    running: (name) => (command = name),
    stop: async () => {
      isOver = true;
      await Promise.all(all);
      return {statements, longestMs, connectMs, behindWaitingMs, behindUsMs, disturbances: counts};
    },
  };
}
