/** The columns of every table, for comparisons with a dump, and the primary key. */
import {z} from 'zod';
import type {Session} from '../client.js';
import {jsonText, parseRows} from './inspect-database.js';

const names = jsonText(z.array(z.string()));
const tableRow = z.object({schema: z.string(), name: z.string(), columns: names, key: names, times: names});

export interface TableColumns {
  readonly schema: string;
  readonly name: string;
  /** In the table's order, without generated columns, which are not in a dump. */
  readonly columns: readonly string[];
  /** Columns of the primary key; empty if there is none. */
  readonly key: readonly string[];
  /** Columns of a type with date and time. */
  readonly times: readonly string[];
}

/** Tables with their own rows in user schemas; of those of extensions, only tables whose rows pg_dump writes. */
export async function inspectColumns(session: Session): Promise<TableColumns[]> {
  return parseRows(
    tableRow,
    await session.query(`
      SELECT n.nspname AS schema, c.relname AS name,
             (SELECT coalesce(json_agg(a.attname ORDER BY a.attnum), '[]') FROM pg_catalog.pg_attribute a
               WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '')::text AS columns,
             (SELECT coalesce(json_agg(a.attname ORDER BY k.position), '[]')
                FROM pg_catalog.pg_index i CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, position)
                JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum
               WHERE i.indrelid = c.oid AND i.indisprimary AND k.position <= i.indnkeyatts)::text AS key,
             (SELECT coalesce(json_agg(a.attname ORDER BY a.attnum), '[]') FROM pg_catalog.pg_attribute a
               WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
                 AND a.atttypid IN ('timestamp'::regtype, 'timestamptz'::regtype))::text AS times
        FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
       WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
         AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                          WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
                            AND NOT EXISTS (SELECT FROM pg_catalog.pg_extension e WHERE c.oid = ANY (e.extconfig)))
       ORDER BY 1, 2`),
  );
}
