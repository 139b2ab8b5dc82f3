/** Prepared transactions: they hold their locks without a session, until they are ended by name (manual, PREPARE TRANSACTION). */
import type {Session} from '../client.js';

export const preparedHint =
  "End them in their database, as their owner or a superuser: COMMIT PREPARED 'NAME' or ROLLBACK PREPARED 'NAME'. Then run again.";

/** Prepared transactions of the databases, a line each. */
export async function listPrepared(session: Session, databases: readonly string[]): Promise<string[]> {
  const rows = await session.query(
    `SELECT pg_catalog.format('%s: prepared transaction %L of %s, prepared %s', database, gid, owner,
              pg_catalog.to_char(prepared, 'YYYY-MM-DD"T"HH24:MI:SS"Z"')) AS line
       FROM pg_catalog.pg_prepared_xacts WHERE database = ANY ($1) ORDER BY prepared`,
    [databases],
  );
  return rows.map(({line}) => line ?? '');
}
