/** The tables of a restored database with the types, keys and rules of their columns. */
import {z} from 'zod';
import {jsonText, parseRows, pgBoolean} from '../postgres/inspect/inspect-database.js';
import type {Session} from '../postgres/client.js';
import type {NamedTable} from '../postgres/quote.js';

const columnSchema = z.object({
  name: z.string(),
  number: z.number(),
  /** As format_type writes it. */
  declared: z.string(),
  /** The type below domains and arrays with its length, and without. */
  base: z.string(),
  baseName: z.string(),
  /** Limit of characters, or the digits and decimals of a numeric; null without a limit. */
  length: z.number().nullable(),
  decimals: z.number().nullable(),
  isArray: z.boolean(),
  isEnum: z.boolean(),
  isDomain: z.boolean(),
  /** Whether the type is built in, or citext of the extension. */
  isKnown: z.boolean(),
  notNull: z.boolean(),
  generated: z.boolean(),
  isAlwaysIdentity: z.boolean(),
  /** Whether a unique index has no other column. */
  isUnique: z.boolean(),
  isPartitionKey: z.boolean(),
  /** As SQL; null for types without one. */
  collation: z.string().nullable(),
});
export type Column = z.infer<typeof columnSchema>;

const tableRow = z.object({
  oid: z.string(),
  schema: z.string(),
  name: z.string(),
  kind: z.enum(['table', 'partition', 'view', 'foreign']),
  top_schema: z.string(),
  top_name: z.string(),
  has_parts: pgBoolean,
  is_of_extension: pgBoolean,
  key: jsonText(z.array(z.string())),
  columns: jsonText(z.array(columnSchema)),
});

export interface Table extends NamedTable {
  readonly oid: string;
  /** 'view': a materialized view with rows. */
  readonly kind: 'table' | 'partition' | 'view' | 'foreign';
  /** The topmost table of a partition, else itself. */
  readonly top: NamedTable;
  /** Whether it is a partitioned table. */
  readonly hasParts: boolean;
  /** Whether it belongs to an extension, so that a dump has only the rows that the extension names. */
  readonly isOfExtension: boolean;
  /** The primary key. */
  readonly key: readonly string[];
  readonly columns: readonly Column[];
}

const tablesSql = `
  SELECT c.oid::text, n.nspname AS schema, c.relname AS name, c.relkind = 'p' AS has_parts,
         EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e') AS is_of_extension,
         CASE WHEN c.relkind = 'm' THEN 'view' WHEN c.relkind = 'f' THEN 'foreign' WHEN c.relispartition THEN 'partition' ELSE 'table' END AS kind,
         tn.nspname AS top_schema, top.relname AS top_name,
         coalesce((SELECT pg_catalog.json_agg(a.attname ORDER BY k.position)
           FROM pg_catalog.pg_index i CROSS JOIN LATERAL unnest(i.indkey::smallint[]) WITH ORDINALITY k(attnum, position)
           JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum
          WHERE i.indrelid = c.oid AND i.indisprimary AND k.position <= i.indnkeyatts), '[]')::text AS key,
         coalesce((SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
             'name', a.attname, 'number', a.attnum, 'declared', pg_catalog.format_type(a.atttypid, a.atttypmod),
             'base', pg_catalog.format_type(bt.oid, base.typmod), 'baseName', bt.typname,
             'length', CASE WHEN base.typmod < 0 THEN NULL WHEN bt.typname IN ('varchar', 'bpchar') THEN base.typmod - 4
                            WHEN bt.typname = 'numeric' THEN (base.typmod - 4) >> 16 END,
             'decimals', CASE WHEN base.typmod >= 0 AND bt.typname = 'numeric' THEN ((base.typmod - 4) & 2047 # 1024) - 1024 END,
             'isArray', base.is_array, 'isEnum', bt.typtype = 'e', 'isDomain', base.is_domain,
             'isKnown', bt.typnamespace = 'pg_catalog'::pg_catalog.regnamespace OR bt.typname = 'citext' AND EXISTS (
                SELECT 1 FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid AND e.extname = 'citext'
                 WHERE d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass AND d.objid = bt.oid AND d.deptype = 'e'),
             'notNull', a.attnotnull OR base.not_null, 'generated', a.attgenerated <> '',
             'isAlwaysIdentity', a.attidentity = 'a',
             'isUnique', EXISTS (SELECT 1 FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisunique AND i.indnkeyatts = 1 AND i.indkey[0] = a.attnum),
             'isPartitionKey', EXISTS (SELECT 1 FROM pg_catalog.pg_partitioned_table pt WHERE pt.partrelid = c.oid
                                        AND a.attnum = ANY (pt.partattrs::smallint[])),
             'collation', (SELECT pg_catalog.format('%I.%I', n.nspname, l.collname) FROM pg_catalog.pg_collation l
                JOIN pg_catalog.pg_namespace n ON n.oid = l.collnamespace WHERE l.oid = a.attcollation)) ORDER BY a.attnum)
           FROM pg_catalog.pg_attribute a
          CROSS JOIN LATERAL (
            WITH RECURSIVE below AS (
              SELECT a.atttypid AS oid, a.atttypmod AS typmod, false AS is_array, false AS is_domain, false AS not_null
              UNION ALL
              SELECT CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.typelem END,
                     CASE WHEN t.typtype = 'd' THEN t.typtypmod ELSE below.typmod END,
                     below.is_array OR t.typtype <> 'd', below.is_domain OR t.typtype = 'd', below.not_null OR t.typnotnull
                FROM below JOIN pg_catalog.pg_type t ON t.oid = below.oid
               WHERE t.typtype = 'd' OR t.typlen = -1 AND t.typelem <> 0)
            SELECT below.* FROM below JOIN pg_catalog.pg_type t ON t.oid = below.oid
             WHERE NOT (t.typtype = 'd' OR t.typlen = -1 AND t.typelem <> 0)) base
           JOIN pg_catalog.pg_type bt ON bt.oid = base.oid
          WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped), '[]')::text AS columns
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_catalog.pg_class top ON top.oid = coalesce(CASE WHEN c.relispartition THEN pg_catalog.pg_partition_root(c.oid) END::pg_catalog.oid, c.oid)
    JOIN pg_catalog.pg_namespace tn ON tn.oid = top.relnamespace
   WHERE (c.relkind IN ('r', 'p', 'f') OR c.relkind = 'm' AND c.relispopulated) AND c.relpersistence <> 't'
     AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
     AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
                        AND d.objid = c.oid AND d.deptype = 'e' AND c.relkind = 'f')
   ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"`;

/**
 * Tables, partitioned tables and populated materialized views of all user schemas, by name.
 * @param without a schema to leave out
 */
export async function readTables(session: Session, without = ''): Promise<Table[]> {
  const rows = parseRows(tableRow, await session.query(tablesSql)).filter(({schema}) => schema !== without);
  return rows.map((row) => ({
    oid: row.oid,
    schema: row.schema,
    name: row.name,
    kind: row.kind,
    top: {schema: row.top_schema, name: row.top_name},
    hasParts: row.has_parts,
    isOfExtension: row.is_of_extension,
    key: row.key,
    columns: row.columns,
  }));
}

const linkRow = z.object({
  name: z.string(),
  child: z.string(),
  parent: z.string(),
  child_columns: jsonText(z.array(z.string())),
  parent_columns: jsonText(z.array(z.string())),
  is_enforced: pgBoolean,
  is_temporal: pgBoolean,
});

/** A foreign key as it was declared, with the oids of its tables. */
export interface Link {
  readonly name: string;
  readonly child: string;
  readonly parent: string;
  readonly childColumns: readonly string[];
  readonly parentColumns: readonly string[];
  /** Whether the constraint is valid and enforced. */
  readonly isEnforced: boolean;
  /** Whether its last columns are ranges: the rows of the parent together cover the one of the child. */
  readonly isTemporal: boolean;
}

const names = (relation: string, numbers: string): string =>
  `(SELECT pg_catalog.json_agg(a.attname ORDER BY k.position) FROM unnest(${numbers}) WITH ORDINALITY k(attnum, position)
      JOIN pg_catalog.pg_attribute a ON a.attrelid = ${relation} AND a.attnum = k.attnum)::text`;

/** All foreign keys, without those that partitions inherit. */
export async function readLinks(session: Session): Promise<Link[]> {
  const rows = await session.query(`
    SELECT con.conname AS name, con.conrelid::pg_catalog.oid::text AS child, con.confrelid::pg_catalog.oid::text AS parent,
           ${names('con.conrelid', 'con.conkey')} AS child_columns, ${names('con.confrelid', 'con.confkey')} AS parent_columns,
           con.convalidated AND coalesce((pg_catalog.to_jsonb(con) ->> 'conenforced')::boolean, true) AS is_enforced,
           coalesce((pg_catalog.to_jsonb(con) ->> 'conperiod')::boolean, false) AS is_temporal
      FROM pg_catalog.pg_constraint con WHERE con.contype = 'f' AND con.conparentid = 0 ORDER BY con.conrelid::pg_catalog.oid, con.conname`);
  return parseRows(linkRow, rows).map((row) => ({
    name: row.name,
    child: row.child,
    parent: row.parent,
    childColumns: row.child_columns,
    parentColumns: row.parent_columns,
    isEnforced: row.is_enforced,
    isTemporal: row.is_temporal,
  }));
}
