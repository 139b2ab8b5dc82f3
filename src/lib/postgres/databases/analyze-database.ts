/** Collects planner statistics of a whole database in several sessions; those in a dump are not restored. */
import {z} from 'zod';
import {withSession} from '../client.js';
import type {Connection} from '../connect/connection.js';
import {inSessions} from '../in-sessions.js';
import {parseRows, pgBoolean} from '../inspect/inspect-database.js';
import {quoteQualified} from '../quote.js';

const relationRow = z.object({schema: z.string(), name: z.string(), is_small: pgBoolean});

/** Small relations in one statement, which saves round trips; other sessions take the next ones meanwhile. */
const smallAtOnce = 16;

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
  const relations = await withSession(
    connection,
    async (session) =>
      parseRows(
        relationRow,
        await session.query(`
          SELECT n.nspname AS schema, c.relname AS name,
                 c.relkind <> 'p' AND (pg_catalog.pg_relation_size(c.oid) > 1024 * 1024) IS NOT TRUE AS is_small
            FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
           WHERE c.relkind IN ('r', 'm', 'p') AND c.relpersistence <> 't' AND NOT c.relispartition
             AND n.nspname !~ '^pg_toast'
           ORDER BY c.relkind = 'p' DESC, pg_catalog.pg_relation_size(c.oid) DESC`),
      ),
    {signal},
  );
  const small = relations.filter(({is_small: isSmall}) => isSmall);
  const statements = [
    ...relations.filter(({is_small: isSmall}) => !isSmall).map((one) => [one]),
    ...Array.from({length: Math.ceil(small.length / smallAtOnce)}, (_, index) =>
      small.slice(index * smallAtOnce, (index + 1) * smallAtOnce),
    ),
  ];
  await inSessions(
    {connection, sessions, signal},
    statements.map((some) => async (session) => {
      await session.query(`ANALYZE ${some.map(({schema, name}) => quoteQualified(schema, name)).join(', ')}`);
    }),
  );
}
