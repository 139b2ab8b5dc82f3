/** Sessions like those of an application. */
import {type Session, type SessionOptions, withSession} from '../../src/lib/postgres/client.js';
import type {Connection} from '../../src/lib/postgres/connect/connection.js';

/** Like the program's own sessions, but names are looked up in the role's search_path: tables of "public" need no schema. */
export async function withAppSession<T>(
  connection: Connection,
  work: (session: Session) => Promise<T>,
  options: SessionOptions = {},
): Promise<T> {
  return withSession(
    connection,
    async (session) => {
      await session.query('RESET search_path');
      return work(session);
    },
    options,
  );
}
