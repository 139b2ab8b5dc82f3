// Sessions as applications have them: unlike in the program's own, tables of "public" need no schema.
import {withSession as withProgramSession} from '../dist/lib/postgres/client.js';

export function withSession(connection, work, options = {}) {
  return withProgramSession(
    connection,
    async (session) => {
      await session.query('RESET search_path');
      return work(session);
    },
    options,
  );
}
