/** What became of a transaction whose COMMIT got no answer. */
import {type Session, withSession} from './client.js';
import type {Connection} from './connect/connection.js';

export type TransactionFate = 'committed' | 'aborted' | 'unknown';

/** The id by which the server knows the open transaction afterwards (manual, 9.27.8). */
export async function transactionId(session: Session): Promise<string | null> {
  const [row] = await session.query('SELECT pg_catalog.pg_current_xact_id()::text AS id');
  return row?.['id'] ?? null;
}

/** Only the server knows, and it is asked in a new session; unknown where it cannot tell. */
export async function fateOfTransaction(connection: Connection, id: string): Promise<TransactionFate> {
  try {
    return await withSession(connection, async (session) => {
      const [row] = await session.query('SELECT pg_catalog.pg_xact_status($1::xid8) AS status', [id]);
      const status = row?.['status'];
      return status === 'committed' || status === 'aborted' ? status : 'unknown';
    });
  } catch {
    return 'unknown'; // the server cannot be asked; the error that brought us here is told
  }
}
