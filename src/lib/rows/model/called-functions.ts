/** Which functions the server would call for a view: read from the tree that it stored, before anything of the view runs. */
import {z} from 'zod';
import type {Session} from '../../postgres/client.js';
import {parseRows, pgBoolean} from '../../postgres/inspect/inspect-database.js';

export interface CalledFunction {
  /** "schema.name" */
  readonly name: string;
  readonly isVolatile: boolean;
  /** Whether it is built in, or compiled code that a superuser installed, as extensions do. */
  readonly isCompiled: boolean;
  /** The schema that its name, or the operator's, is looked up in, where others may create functions; else null. */
  readonly openSchema: string | null;
}

const calledRow = z.object({
  name: z.string(),
  is_volatile: pgBoolean,
  is_compiled: pgBoolean,
  open_schema: z.string().nullable(),
});

/**
 * Built-in functions are not among the dependencies of a view, hence the tree. Spaces and parentheses in names are escaped
 * there, so no name can look like a part of the tree.
 */
const calledSql = `
  WITH stored AS (
    SELECT r.ev_action::pg_catalog.text AS text FROM pg_catalog.pg_rewrite r WHERE r.ev_class = $1::pg_catalog.regclass),
  tree AS (
    SELECT CASE WHEN $2::pg_catalog.bool THEN pg_catalog.substr(text, pg_catalog.strpos(text, ' :targetList ({')) ELSE text END AS text
      FROM stored),
  called AS (
    SELECT p.oid, p.pronamespace AS namespace
      FROM tree, pg_catalog.regexp_matches(tree.text, ':(funcid|opfuncid|aggfnoid|winfnoid) (\\d+)', 'g') m(match)
      JOIN pg_catalog.pg_proc p ON p.oid = m.match[2]::pg_catalog.oid
    UNION
    SELECT o.oprcode::pg_catalog.oid, namespace
      FROM tree, pg_catalog.regexp_matches(tree.text, ':(?:opno|opnos \\(o) ([\\d ]+)', 'g') m(match),
           pg_catalog.regexp_split_to_table(pg_catalog.btrim(m.match[1]), ' ') number
      JOIN pg_catalog.pg_operator o ON o.oid = number::pg_catalog.oid
      JOIN pg_catalog.pg_proc p ON p.oid = o.oprcode::pg_catalog.oid
     CROSS JOIN LATERAL (VALUES (o.oprnamespace), (p.pronamespace)) spaces(namespace)),
  trusted AS (
    SELECT r.oid FROM pg_catalog.pg_roles r WHERE r.rolsuper OR r.rolname = CURRENT_USER
    UNION
    SELECT r.oid FROM pg_catalog.pg_roles r, pg_catalog.pg_database d JOIN pg_catalog.pg_roles o ON o.oid = d.datdba
     WHERE r.rolname = 'pg_database_owner' AND d.datname = pg_catalog.current_database()
       AND (o.rolsuper OR o.rolname = CURRENT_USER))
  SELECT fn.nspname || '.' || p.proname AS name, p.provolatile = 'v' AS is_volatile,
         fn.nspname = 'pg_catalog' OR (l.lanname IN ('c', 'internal') AND r.rolsuper) AS is_compiled,
         CASE WHEN n.nspname <> 'pg_catalog' AND (
             NOT EXISTS (SELECT 1 FROM trusted WHERE trusted.oid = n.nspowner)
             OR EXISTS (SELECT 1 FROM pg_catalog.aclexplode(n.nspacl) x
                         WHERE x.privilege_type = 'CREATE' AND x.grantee <> n.nspowner
                           AND NOT EXISTS (SELECT 1 FROM trusted WHERE trusted.oid = x.grantee)))
           THEN n.nspname END AS open_schema
    FROM called JOIN pg_catalog.pg_proc p ON p.oid = called.oid
    JOIN pg_catalog.pg_namespace fn ON fn.oid = p.pronamespace JOIN pg_catalog.pg_namespace n ON n.oid = called.namespace
    JOIN pg_catalog.pg_language l ON l.oid = p.prolang JOIN pg_catalog.pg_roles r ON r.oid = p.proowner
   ORDER BY 1, 4`;

/**
 * Functions, casts by functions, aggregates, windows and what operators call.
 * @param view its quoted name
 * @param of 'columns' leaves out what joins and conditions call
 */
export async function calledFunctions(
  session: Session,
  view: string,
  of: 'everything' | 'columns',
): Promise<CalledFunction[]> {
  const rows = await session.query(calledSql, [view, of === 'columns' ? 't' : 'f']);
  return parseRows(calledRow, rows).map((row) => ({
    name: row.name,
    isVolatile: row.is_volatile,
    isCompiled: row.is_compiled,
    openSchema: row.open_schema,
  }));
}
