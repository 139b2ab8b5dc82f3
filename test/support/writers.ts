/** Sessions that write to the shop as fast as they can, and remember what the server acknowledged. */
import type {Session} from '../../src/lib/postgres/client.js';
import {withAppSession} from './app-session.js';
import type {Connection} from '../../src/lib/postgres/connect/connection.js';
import type {FaultServer} from './fault-server.js';
import {until} from './observe.js';

export interface Writers {
  /** Resolves when each has had this many more writes acknowledged. */
  untilEachHasWritten(more: number): Promise<void>;
  /** "writer-number" of every acknowledged write so far. */
  acknowledged(): ReadonlySet<string>;
  /** Ends them all. */
  stop(): Promise<ReadonlySet<string>>;
}

/** Starts `count` of them; each goes on in a new session when its own was ended. */
export function startWriters(shop: Connection, count: number): Writers {
  const done = new Set<string>();
  const counts = Array.from({length: count}, () => 0);
  let isOver = false;
  const write = async (writer: number): Promise<void> => {
    let n = 0;
    while (!isOver) {
      // The swap ends sessions, and for a moment nobody gets in.
      await withAppSession(shop, async (session) => {
        while (!isOver) {
          n += 1;
          await writeOnce(session, writer, n);
          done.add(`${writer}-${n}`);
          counts[writer] = (counts[writer] ?? 0) + 1;
        }
      }).catch(() => undefined);
    }
  };
  const all = Promise.all(counts.map((_count, writer) => write(writer)));
  return {
    untilEachHasWritten: async (more) => {
      const wanted = counts.map((written) => written + more);
      await until('every writer has written', () =>
        counts.every((written, at) => written >= (wanted[at] ?? 0)),
      );
    },
    acknowledged: () => new Set(done),
    stop: async () => {
      isOver = true;
      await all;
      return done;
    },
  };
}

/** One transaction over three tables: a moment that holds a part of it is no moment of the database. */
async function writeOnce(session: Session, writer: number, n: number): Promise<void> {
  await session.query('BEGIN');
  await session.query('INSERT INTO ledger_a VALUES ($1, $2)', [writer, n]);
  await session.query(
    `INSERT INTO orders (total, "customerName", email, phone, notes, "updatedAt")
     VALUES (10, 'Grace', 'grace@church.org', '-', $1, now())`,
    [`written ${writer}-${n}`],
  );
  await session.query('INSERT INTO ledger_b VALUES ($1, $2)', [writer, n]);
  await session.query('COMMIT');
}

export interface Look {
  readonly writes: ReadonlySet<string>;
  readonly isOneMoment: boolean;
}

/** What a database holds of the writes, and whether that is all of each and nothing between. */
export async function lookAt(connection: Connection): Promise<Look> {
  return withAppSession(connection, async (session) => {
    const of = async (sql: string): Promise<Set<string>> =>
      new Set((await session.query(sql)).map(({write}) => write ?? ''));
    const a = await of(`SELECT writer || '-' || n AS write FROM ledger_a`);
    const b = await of(`SELECT writer || '-' || n AS write FROM ledger_b`);
    const orders = await of(`SELECT substr(notes, 9) AS write FROM orders WHERE notes LIKE 'written %'`);
    const isOneMoment = [b, orders].every(
      (set) => set.size === a.size && [...a].every((write) => set.has(write)),
    );
    return {writes: a, isOneMoment};
  });
}

/** The shop, and the databases that a swap set aside. */
export async function databasesOfShop(host: FaultServer): Promise<string[]> {
  return withAppSession(host.server, async (session) => {
    const rows = await session.query(
      `SELECT datname FROM pg_database WHERE datname = 'shop' OR datname LIKE 'shop\\_before\\_%'`,
    );
    return rows.map(({datname}) => datname ?? '');
  });
}
