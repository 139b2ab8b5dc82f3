/** Sessions that write to the shop as fast as possible, and record what the server acknowledged. */
import type {Session} from '../../src/lib/postgres/client.js';
import {withAppSession} from './app-session.js';
import type {Connection} from '../../src/lib/postgres/connect/connection.js';
import type {FaultServer} from './fault-server.js';
import {until} from './observe.js';

export interface Writers {
  /** Resolves when each has this many more acknowledged writes. */
  untilEachHasWritten(more: number): Promise<void>;
  /** "writer-number" of every acknowledged write so far. */
  acknowledged(): ReadonlySet<string>;
  /** Ends them all. */
  stop(): Promise<ReadonlySet<string>>;
}

/** Starts `count` of them; each continues in a new session if its own was ended. */
export function startWriters(shop: Connection, count: number): Writers {
  const done = new Set<string>();
  const counts = Array.from({length: count}, () => 0);
  let isOver = false;
  const write = async (writer: number): Promise<void> => {
    let n = 0;
    while (!isOver) {
      // The swap ends sessions, and for a moment nobody can connect.
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

/** One transaction over three tables: a snapshot with a part of it is not a state of the database. */
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

/** The writes in a database, and whether each of them is complete. */
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
