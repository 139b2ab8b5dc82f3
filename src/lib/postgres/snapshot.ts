/** One snapshot of a database, shared by several readers (manual, 9.28.5). */
import {type Session, withSession} from './client.js';
import type {Connection} from './connect/connection.js';

/**
 * Opens a read-only transaction with one snapshot and keeps it open while `work` runs.
 * @param work receives the session and the snapshot's name for pg_dump --snapshot
 */
export async function withSnapshot<T>(
  connection: Connection,
  signal: AbortSignal,
  work: (session: Session, snapshot: string) => Promise<T>,
): Promise<T> {
  return withSession(
    connection,
    async (session) => {
      await session.query('BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY');
      const [row] = await session.query('SELECT pg_catalog.pg_export_snapshot() AS snapshot');
      return work(session, row?.['snapshot'] ?? '');
    },
    {signal},
  );
}

/**
 * The transactions that a statement sees, as text. Equal texts of two statements: no other transaction committed between them, so
 * that the catalogs are the same (manual, "Transaction ID and Snapshot Information Functions"; this name exists in every supported version).
 */
export async function visibleTransactions(session: Session): Promise<string> {
  const [row] = await session.query('SELECT pg_catalog.txid_current_snapshot()::pg_catalog.text AS visible');
  return row?.['visible'] ?? '';
}

/**
 * Reads in the open transaction without keeping its locks: others could queue for them while this program
 * waits for a tool that queues after those.
 */
export async function readWithoutLocks<T>(session: Session, read: () => Promise<T>): Promise<T> {
  await session.query('SAVEPOINT destino_db_read');
  const result = await read();
  await session.query('ROLLBACK TO SAVEPOINT destino_db_read');
  return result;
}
