/** A second session that sees the rows of a cleaning as they are before any is deleted. */
import {beginCopy} from '../../../postgres/copy-into.js';
import {copyOut} from '../../../postgres/copy-out.js';
import {type Session, withSession} from '../../../postgres/client.js';
import type {Connection} from '../../../postgres/connect/connection.js';
import {quoteLiteral} from '../../../postgres/quote.js';
import {createNotes, type NotedRows, type Notes} from './collect-rows.js';

export interface Reader {
  readonly session: Session;
  /**
   * Begins its transaction with ACCESS SHARE locks on the tables, without waiting: while this program waits for one session,
   * the other must not wait for a lock.
   * @param tables in SQL
   * @throws LOCK_TIMEOUT where another session is in the way
   */
  lock(tables: readonly string[]): Promise<void>;
  /** Ends its transaction, so that `lock` can be tried again. */
  unlock(): Promise<void>;
  /**
   * Sees from now on what `session` sees (manual, 9.28.5) and gets its row lists, whatever is deleted meanwhile. So one
   * session can read while the other deletes.
   * @param session in a transaction, which must stay open
   */
  follow(session: Session): Promise<void>;
}

/** Opens a second session that can read the rows of the notes as they are before any is deleted. */
export async function withReader<T>(
  connection: Connection,
  notes: Notes,
  signal: AbortSignal,
  work: (reader: Reader) => Promise<T>,
): Promise<T> {
  return withSession(
    connection,
    async (session) => {
      await createNotes(session, notes);
      return work({
        session,
        lock: async (tables) => {
          await session.query('BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY');
          await session.query(`LOCK TABLE ${tables.join(', ')} IN ACCESS SHARE MODE NOWAIT`);
        },
        unlock: async () => {
          await session.query('ROLLBACK');
        },
        follow: async (leader) => {
          const [row] = await leader.query('SELECT pg_catalog.pg_export_snapshot() AS snapshot');
          await session.query(`SET TRANSACTION SNAPSHOT ${quoteLiteral(row?.['snapshot'] ?? '')}`);
          for (const noted of [...notes.deleted, ...notes.unlinked]) await handOver(leader, session, noted);
        },
      });
    },
    {signal},
  );
}

async function handOver(session: Session, reader: Session, {sql, stored}: NotedRows): Promise<void> {
  const columns = ['part', 'tid', 'ver', 'round', ...stored.map((_name, index) => `k${index}`)].join(', ');
  const input = await beginCopy(reader, `COPY ${sql} (${columns}) FROM STDIN`);
  try {
    await copyOut(session, `COPY ${sql} (${columns}) TO STDOUT`, (chunk) => input.write(chunk));
  } catch (error) {
    await input.abandon();
    throw error;
  }
  await input.end();
  await reader.query(`ANALYZE ${sql}`);
}
