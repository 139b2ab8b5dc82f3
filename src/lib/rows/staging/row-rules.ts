/** The rules for rows of a table, and its kind of relation, from the catalog before anything is staged. */
import {z} from 'zod';
import type {Session} from '../../postgres/client.js';
import {jsonText, parseRows, pgBoolean} from '../../postgres/inspect/inspect-database.js';

const named = z.object({schema: z.string(), name: z.string()});

const rulesRow = z.object({
  kind: z.string(),
  has_children: pgBoolean,
  /** Tables that contain the rows: its partitions, or itself. */
  parts: jsonText(z.array(named)),
  checks: jsonText(z.array(z.object({name: z.string(), expression: z.string()}))),
  /** The bound of each partition; null for one that takes every row. */
  bounds: jsonText(z.array(z.string().nullable())),
  times: jsonText(z.array(z.int())),
  domains: jsonText(z.array(z.int())),
  enums: jsonText(z.array(z.int())),
});
export type RowRules = z.infer<typeof rulesRow>;

/** Constraints that are not enforced came with 18, so the column is read through JSON. */
const rulesSql = `
  SELECT c.relkind AS kind,
         c.relkind = 'r' AND EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE i.inhparent = c.oid) AS has_children,
         (SELECT pg_catalog.json_agg(pg_catalog.json_build_object('schema', ln.nspname, 'name', l.relname) ORDER BY ln.nspname, l.relname)
            FROM (SELECT c.oid WHERE c.relkind <> 'p'
                  UNION SELECT tree.relid::pg_catalog.oid FROM pg_catalog.pg_partition_tree(c.oid) tree WHERE c.relkind = 'p' AND tree.isleaf) own(oid)
            JOIN pg_catalog.pg_class l ON l.oid = own.oid JOIN pg_catalog.pg_namespace ln ON ln.oid = l.relnamespace)::text AS parts,
         (SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_object('name', k.conname,
                   'expression', pg_catalog.pg_get_expr(k.conbin, k.conrelid)) ORDER BY k.conname), '[]')
            FROM pg_catalog.pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'c'
             AND coalesce((pg_catalog.to_jsonb(k) ->> 'conenforced')::boolean, true))::text AS checks,
         (SELECT coalesce(pg_catalog.json_agg(pg_catalog.pg_get_partition_constraintdef(tree.relid)), '[]')
            FROM pg_catalog.pg_partition_tree(c.oid) tree WHERE tree.isleaf AND c.relkind IN ('p', 'r') AND (c.relkind = 'p' OR c.relispartition))::text AS bounds,
         (SELECT coalesce(pg_catalog.json_agg(a.attnum ORDER BY a.attnum), '[]') FROM pg_catalog.pg_attribute a
           WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
             AND a.atttypid IN ('pg_catalog.timestamp'::pg_catalog.regtype, 'pg_catalog.timestamptz'::pg_catalog.regtype))::text AS times,
         ${columnsOf('d')} AS domains, ${columnsOf('e')} AS enums
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
   WHERE n.nspname = $1 AND c.relname = $2`;

function columnsOf(kind: string): string {
  return `(SELECT coalesce(pg_catalog.json_agg(a.attnum ORDER BY a.attnum), '[]')
             FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type ty ON ty.oid = a.atttypid
            WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND ty.typtype = '${kind}')::text`;
}

/** Undefined when the database has no relation of that name. */
export async function readRowRules(
  session: Session,
  schema: string,
  name: string,
): Promise<RowRules | undefined> {
  const [row] = parseRows(rulesRow, await session.query(rulesSql, [schema, name]));
  return row;
}
