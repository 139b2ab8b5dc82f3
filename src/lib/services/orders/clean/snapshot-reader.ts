/** A second session that reads the rows of a cleaning in the state before the deletion. */
import {beginCopy} from '../../../postgres/copy-into.js';
import {copyOut} from '../../../postgres/copy-out.js';
import {type Session, withSession} from '../../../postgres/client.js';
import type {Connection} from '../../../postgres/connect/connection.js';
import {quoteLiteral} from '../../../postgres/quote.js';
import {createRowLists, type RowList, type RowLists} from './collect-rows.js';

export interface Reader {
  readonly session: Session;
  /**
   * Begins its transaction with ACCESS SHARE locks on the tables, without waiting: while this program waits for one session, the other must
   * not wait for a lock.
   * @param tables in SQL
   * @throws LOCK_TIMEOUT if another session blocks it
   */
  lock(tables: readonly string[]): Promise<void>;
  /** Ends its transaction, so that `lock` can be retried. */
  unlock(): Promise<void>;
  /**
   * Uses the snapshot of `session` from now on (manual, 9.28.5) and copies its row lists, so that one session can read while the other
   * deletes.
   * @param session in a transaction, which must stay open
   */
  follow(session: Session): Promise<void>;
}

/** Opens a second session that can read the listed rows in the state before the deletion. */
export async function withReader<T>(
  connection: Connection,
  rowLists: RowLists,
  signal: AbortSignal,
  work: (reader: Reader) => Promise<T>,
): Promise<T> {
  return withSession(
    connection,
    async (session) => {
      await createRowLists(session, rowLists);
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
          for (const listed of [...rowLists.deleted, ...rowLists.unlinked])
            await copyRowList(leader, session, listed);
        },
      });
    },
    {signal},
  );
}

async function copyRowList(session: Session, reader: Session, {sql, stored}: RowList): Promise<void> {
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
