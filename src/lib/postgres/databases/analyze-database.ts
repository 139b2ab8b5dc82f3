/** Collects planner statistics of a whole database in several sessions; dumps up to PostgreSQL 17 contain none. */
import {z} from 'zod';
import {AppError} from '../../base/errors.js';
import {type Session, withSession} from '../client.js';
import type {Connection} from '../connect/connection.js';
import {parseRows} from '../inspect/inspect-database.js';
import {quoteQualified} from '../quote.js';

const relationRow = z.object({schema: z.string(), name: z.string()});

/**
 * Analyzes every table and materialized view, largest first. ANALYZE of a partitioned table includes its partitions
 * (manual, ANALYZE), so these are not listed. The server skips tables that the role may not analyze with a warning.
 * @param sessions maximum number of concurrent tables; fewer if the server has no more connections
 */
export async function analyzeDatabase(
  connection: Connection,
  sessions: number,
  signal: AbortSignal,
): Promise<void> {
  await withSession(
    connection,
    async (leader) => {
      const queue = parseRows(
        relationRow,
        await leader.query(`
          SELECT n.nspname AS schema, c.relname AS name
            FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
           WHERE c.relkind IN ('r', 'm', 'p') AND c.relpersistence <> 't' AND NOT c.relispartition
             AND n.nspname !~ '^pg_toast'
           ORDER BY c.relkind = 'p' DESC, pg_catalog.pg_relation_size(c.oid) DESC`),
      );
      const work = async (session: Session): Promise<void> => {
        try {
          for (let next = queue.shift(); next; next = queue.shift())
            await session.query(`ANALYZE ${quoteQualified(next.schema, next.name)}`);
        } finally {
          queue.length = 0; // after an error the others stop too
        }
      };
      const follow = (): Promise<void> =>
        withSession(connection, work, {signal}).catch((error: unknown) => {
          if (!(error instanceof AppError && error.code === 'TOO_MANY_CONNECTIONS')) throw error;
        });
      const followers = Array.from({length: Math.min(sessions, queue.length) - 1}, follow);
      const outcomes = await Promise.allSettled([work(leader), ...followers]);
      const failed = outcomes.find((outcome) => outcome.status === 'rejected');
      if (failed) throw failed.reason;
    },
    {signal},
  );
}
