/** The outcome of a transaction whose COMMIT got no answer. */
import {type Session, withSession} from './client.js';
import type {Connection} from './connect/connection.js';

export type TransactionOutcome = 'committed' | 'aborted' | 'unknown';

/** The id by which the server identifies the open transaction afterwards (manual, 9.27.8). */
export async function transactionId(session: Session): Promise<string | null> {
  const [row] = await session.query('SELECT pg_catalog.pg_current_xact_id()::text AS id');
  return row?.['id'] ?? null;
}

/** Asks the server in a new session; unknown if it cannot answer. */
export async function outcomeOfTransaction(connection: Connection, id: string): Promise<TransactionOutcome> {
  try {
    return await withSession(connection, async (session) => {
      const [row] = await session.query('SELECT pg_catalog.pg_xact_status($1::xid8) AS status', [id]);
      const status = row?.['status'];
      return status === 'committed' || status === 'aborted' ? status : 'unknown';
    });
  } catch {
    return 'unknown'; // the server does not answer; the caller reports the original error
  }
}
