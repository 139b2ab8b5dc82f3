/** The foreign keys of tables. A partitioned table and its partitions count as one table, identified by the topmost's oid. */
import {z} from 'zod';
import type {NamedTable} from '../quote.js';
import type {Session} from '../client.js';
import {parseRows, pgBoolean} from './inspect-database.js';

const topRow = z.object({position: z.string().transform(Number), top: z.string()});

/** The topmost table of each of `tables`; undefined if it does not exist. */
export async function findTopTables(
  session: Session,
  tables: readonly NamedTable[],
): Promise<(string | undefined)[]> {
  const rows = parseRows(
    topRow,
    await session.query(
      `SELECT w.position, coalesce(pg_catalog.pg_partition_root(c.oid)::pg_catalog.oid, c.oid)::text AS top
         FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS w (schema, name, position)
         JOIN pg_catalog.pg_namespace n ON n.nspname = w.schema
         JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = w.name AND c.relkind IN ('r', 'p')`,
      [tables.map((table) => table.schema), tables.map((table) => table.name)],
    ),
  );
  const tops = new Map(rows.map((row) => [row.position, row.top]));
  return tables.map((_table, index) => tops.get(index + 1));
}

const keyRow = z.object({
  child: z.string(),
  parent: z.string(),
  child_label: z.string(),
  parent_label: z.string(),
  name: z.string(),
  is_deferrable: pgBoolean,
  is_valid: pgBoolean,
});
/** `child` refers to `parent`, both topmost tables; the labels name the tables of the key. */
export type TableKey = z.infer<typeof keyRow>;

/** The foreign keys of the topmost tables `tops` and their partitions. From 18 on, a key may be NOT ENFORCED. */
export async function readTableKeys(session: Session, tops: readonly string[]): Promise<TableKey[]> {
  return parseRows(
    keyRow,
    await session.query(
      `WITH relations AS (
         SELECT c.oid, coalesce(pg_catalog.pg_partition_root(c.oid)::pg_catalog.oid, c.oid) AS top, n.nspname || '.' || c.relname AS label
           FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p'))
       SELECT child.top::text AS child, parent.top::text AS parent, child.label AS child_label, parent.label AS parent_label,
              k.conname AS name, k.condeferrable AS is_deferrable, k.convalidated AS is_valid
         FROM pg_catalog.pg_constraint k
         JOIN relations child ON child.oid = k.conrelid JOIN relations parent ON parent.oid = k.confrelid
        WHERE k.contype = 'f' AND k.conparentid = 0 AND child.top = ANY ($1::pg_catalog.oid[])
          AND coalesce((pg_catalog.to_jsonb(k) ->> 'conenforced')::pg_catalog.bool, true)
        ORDER BY child.label, k.conname`,
      [tops],
    ),
  );
}
