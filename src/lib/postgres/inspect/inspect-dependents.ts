/** Finds objects of a database that depend on others and are not part of them: views, keys, policies, triggers, members of publications. */
import {z} from 'zod';
import type {Session} from '../client.js';
import {parseRows, pgBoolean} from './inspect-database.js';
import {quoteIdentifier} from '../quote.js';

export interface Dependent {
  /** Catalog and number as in `pg_restore --list`: "3256 17154". */
  readonly entry: string;
  /** "policy room files on table storage.objects" */
  readonly what: string;
  /** Whether dropping and recreating it loses nothing. */
  readonly isRemakable: boolean;
  /** A populated materialized view, quoted; null for other objects. */
  readonly filled: string | null;
  /** A foreign key as schema, table and name; null for other objects. */
  readonly key: string | null;
}

/** The name in pg_dump's form: a relation, a type, or a function as "f(integer)". */
export interface NamedObject {
  readonly kind: 'relation' | 'routine' | 'type';
  readonly schema: string;
  readonly name: string;
}

const row = z.object({
  entry: z.string(),
  what: z.string(),
  is_remakable: pgBoolean,
  filled: z.string().nullable(),
  key: z.string().nullable(),
});

/** Objects that prevent dropping `objects`, directly or indirectly, and the publications that these belong to. */
export async function inspectDependents(
  session: Session,
  objects: readonly NamedObject[],
): Promise<Dependent[]> {
  const of = (kind: NamedObject['kind']): string[] =>
    objects.flatMap((one) => (one.kind === kind ? [quotedName(one)] : []));
  const rows = await session.query(dependentsSql, [of('relation'), of('routine'), of('type')]);
  return parseRows(row, rows).map(({is_remakable: isRemakable, ...one}) => ({...one, isRemakable}));
}

function quotedName({schema, name}: NamedObject): string {
  const [, bare = name, list = ''] = /^([^(]*)(\(.*)?$/s.exec(name) ?? [];
  return `${quoteIdentifier(schema)}.${quoteIdentifier(bare)}${list}`;
}

const catalog = (name: string): string => `'pg_catalog.${name}'::pg_catalog.regclass::pg_catalog.oid`;

const dependentsSql = `
WITH RECURSIVE named AS (
  SELECT ${catalog('pg_class')} AS classid, pg_catalog.to_regclass(w)::pg_catalog.oid AS objid FROM unnest($1::text[]) AS w
  UNION ALL SELECT ${catalog('pg_proc')}, pg_catalog.to_regprocedure(w)::pg_catalog.oid FROM unnest($2::text[]) AS w
  UNION ALL SELECT ${catalog('pg_type')}, pg_catalog.to_regtype(w)::pg_catalog.oid FROM unnest($3::text[]) AS w
), replaced AS MATERIALIZED (
  SELECT classid, objid FROM named WHERE objid IS NOT NULL
), found AS (
  SELECT r.classid, r.objid, false AS is_outside FROM replaced r
  UNION
  SELECT o.classid, o.objid, o.is_member OR NOT o.is_inside AND (o.is_blocking OR f.is_outside)
    FROM found f
    JOIN LATERAL (
      SELECT CASE WHEN w.oid IS NULL THEN d.classid ELSE ${catalog('pg_class')} END AS classid, coalesce(w.ev_class, d.objid) AS objid,
             d.classid = ${catalog('pg_publication_rel')} AS is_member, d.deptype = 'n' AS is_blocking,
             (d.classid, d.objid) IN (SELECT r.classid, r.objid FROM replaced r)
               OR (${catalog('pg_class')}, coalesce(w.ev_class, u.ev_class, k.conrelid, t.tgrelid, p.polrelid, a.adrelid, i.indrelid, s.stxrelid, y.typrelid, 0))
                  IN (SELECT r.classid, r.objid FROM replaced r)
               OR (${catalog('pg_type')}, coalesce(y.typelem, 0)) IN (SELECT r.classid, r.objid FROM replaced r) AS is_inside
        FROM pg_catalog.pg_depend d
        LEFT JOIN pg_catalog.pg_rewrite w ON d.classid = ${catalog('pg_rewrite')} AND w.oid = d.objid AND w.rulename = '_RETURN'
        LEFT JOIN pg_catalog.pg_rewrite u ON d.classid = ${catalog('pg_rewrite')} AND u.oid = d.objid
        LEFT JOIN pg_catalog.pg_constraint k ON d.classid = ${catalog('pg_constraint')} AND k.oid = d.objid
        LEFT JOIN pg_catalog.pg_trigger t ON d.classid = ${catalog('pg_trigger')} AND t.oid = d.objid
        LEFT JOIN pg_catalog.pg_policy p ON d.classid = ${catalog('pg_policy')} AND p.oid = d.objid
        LEFT JOIN pg_catalog.pg_attrdef a ON d.classid = ${catalog('pg_attrdef')} AND a.oid = d.objid
        LEFT JOIN pg_catalog.pg_index i ON d.classid = ${catalog('pg_class')} AND i.indexrelid = d.objid
        LEFT JOIN pg_catalog.pg_statistic_ext s ON d.classid = ${catalog('pg_statistic_ext')} AND s.oid = d.objid
        LEFT JOIN pg_catalog.pg_type y ON d.classid = ${catalog('pg_type')} AND y.oid = d.objid
       WHERE d.refclassid = f.classid AND d.refobjid = f.objid AND d.deptype IN ('n', 'a', 'i')
    ) o ON true
)
SELECT DISTINCT f.classid || ' ' || f.objid AS entry, pg_catalog.pg_describe_object(f.classid, f.objid, 0) AS what,
       CASE WHEN f.classid = ${catalog('pg_class')} THEN c.relkind IN ('v', 'm', 'i', 'I')
            WHEN k.oid IS NOT NULL THEN k.contype = 'f'
            ELSE f.classid <> ALL (ARRAY[${catalog('pg_type')}, ${catalog('pg_attrdef')}]) END AS is_remakable,
       CASE WHEN c.relkind = 'm' AND c.relispopulated THEN pg_catalog.format('%I.%I', n.nspname, c.relname) END AS filled,
       (SELECT pg_catalog.concat_ws(' ', tn.nspname, t.relname, k.conname) FROM pg_catalog.pg_class t
          JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace WHERE t.oid = k.conrelid AND k.contype = 'f') AS key
  FROM found f
  LEFT JOIN pg_catalog.pg_class c ON f.classid = ${catalog('pg_class')} AND c.oid = f.objid
  LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_catalog.pg_constraint k ON f.classid = ${catalog('pg_constraint')} AND k.oid = f.objid
 WHERE f.is_outside
   AND NOT (f.classid = ${catalog('pg_type')} AND EXISTS (SELECT FROM pg_catalog.pg_type y WHERE y.oid = f.objid AND (y.typrelid <> 0 OR y.typelem <> 0)))
   AND NOT (f.classid = ${catalog('pg_trigger')} AND EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE t.oid = f.objid AND t.tgisinternal))
   AND coalesce(k.conparentid, 0) = 0 AND n.nspname IS DISTINCT FROM 'pg_toast' ORDER BY 2`;
