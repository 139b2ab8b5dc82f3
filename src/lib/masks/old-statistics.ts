/** The planner's statistics of rows before the masks: a server that runs autovacuum can have collected them meanwhile. */
import {z} from 'zod';
import {AppError} from '../base/errors.js';
import {qualifiedName} from '../base/qualified-name.js';
import type {Session} from '../postgres/client.js';
import {parseRows, pgBoolean} from '../postgres/inspect/inspect-database.js';
import {quoteQualified} from '../postgres/quote.js';
import {hasSqlState} from '../postgres/sql-state.js';

const statisticsRow = z.object({
  schema: z.string(),
  name: z.string(),
  inherited: pgBoolean,
  can_clear: pgBoolean,
});

/**
 * Removes the statistics of tables that have no rows now. They contain values of the rows before, and ANALYZE keeps them.
 * @param session in a database that nobody else uses
 * @throws MASK_INCOMPLETE if this role may not remove them
 */
export async function dropOldStatistics(session: Session): Promise<void> {
  const found = parseRows(
    statisticsRow,
    await session.query(
      `SELECT DISTINCT s.schemaname AS schema, s.tablename AS name, s.inherited,
              pg_catalog.current_setting('server_version_num')::int >= 180000 AS can_clear
         FROM pg_catalog.pg_stats s WHERE s.schemaname !~ '^pg_' AND s.schemaname <> 'information_schema'`,
    ),
  );
  const left: string[] = [];
  for (const {schema, name, inherited, can_clear: canClear} of found) {
    const table = quoteQualified(schema, name);
    const [row] = await session.query(`SELECT 1 FROM ${inherited ? '' : 'ONLY '}${table} LIMIT 1`);
    if (row) continue;
    try {
      await session.query(
        canClear
          ? `SELECT pg_catalog.pg_clear_attribute_stats(s.schemaname::text, s.tablename::text, s.attname::text, s.inherited)
               FROM pg_catalog.pg_stats s WHERE s.schemaname = $1 AND s.tablename = $2 AND s.inherited = $3`
          : `DELETE FROM pg_catalog.pg_statistic s USING pg_catalog.pg_class c, pg_catalog.pg_namespace n
              WHERE c.oid = s.starelid AND n.oid = c.relnamespace AND n.nspname = $1 AND c.relname = $2 AND s.stainherit = $3`,
        [schema, name, inherited],
      );
    } catch (error) {
      if (!hasSqlState(error, insufficientPrivilege)) throw error;
      left.push(qualifiedName({schema, name}));
    }
  }
  if (left.length === 0) return;
  const tables = [...new Set(left)].sort().join(', ');
  throw new AppError(
    'MASK_INCOMPLETE',
    `The masked copy has no rows of ${tables}, but the server keeps statistics with values of those before, which this role may not remove.`,
    {
      hint: 'Give these tables "none" under "subset" in the config file, so that their rows are not restored, or use a superuser.',
    },
  );
}

const insufficientPrivilege = '42501';
