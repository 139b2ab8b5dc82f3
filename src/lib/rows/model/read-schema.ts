/** The tables, columns and foreign keys of a database, as the search for an order's rows needs them. */
import {z} from 'zod';
import {qualifiedName} from '../../base/qualified-name.js';
import type {Session} from '../../postgres/client.js';
import {jsonText, parseRows, pgBoolean} from '../../postgres/inspect/inspect-database.js';
import {
  builtInEquality,
  equalityJsonSql,
  type Operator,
  operatorJsonSql,
  operatorSchema,
} from './operators.js';
import {carriedAsText} from './row-json.js';

export interface Column {
  readonly name: string;
  /** As format_type writes it with an empty search_path. */
  readonly type: string;
  readonly notNull: boolean;
  readonly generated: boolean;
  readonly identity: 'always' | 'by default' | null;
  /** See `carriedAsText`. */
  readonly asText: boolean;
  /** By which two values of the column are equal. */
  readonly equality: Operator;
  /** The labels, when the type is an enum. */
  readonly labels: readonly string[] | null;
}

export interface Table {
  readonly oid: string;
  readonly schema: string;
  readonly name: string;
  /** "schema.name" without quotes. */
  readonly label: string;
  readonly isPartitioned: boolean;
  /** Whether it has neither triggers of users nor rules; its partitions may have. */
  readonly isPlain: boolean;
  /** The topmost table when this one is a partition, else itself. */
  readonly topOid: string;
  readonly columns: readonly Column[];
  /** The primary key's columns, or those of the first unique index whose columns are never null; else empty. */
  readonly key: readonly string[];
}

/** The action on the referring row, from the letters of pg_constraint.confdeltype. */
export type DeleteAction = 'no action' | 'restrict' | 'cascade' | 'set null' | 'set default';

/** A link to a root that is not a foreign key. */
export interface SoftLink {
  readonly schema: string;
  readonly table: string;
  readonly columns: readonly string[];
  /** The root's table name, bare or with its schema. */
  readonly root: string;
}

export interface ForeignKey {
  readonly name: string;
  readonly childOid: string;
  readonly childColumns: readonly string[];
  readonly parentOid: string;
  readonly parentColumns: readonly string[];
  /** Parent column on the left, child column on the right, one for each. */
  readonly operators: readonly Operator[];
  readonly action: DeleteAction;
  /** The columns that SET NULL and SET DEFAULT change. */
  readonly changedColumns: readonly string[];
  /** Whether a usable index leads with the child's columns; without one every deleted parent costs a full scan. */
  readonly hasIndex: boolean;
}

export interface Catalog {
  /** By oid. */
  readonly tables: ReadonlyMap<string, Table>;
  readonly foreignKeys: readonly ForeignKey[];
}

const names = z.string().transform((text) => z.array(z.string()).parse(JSON.parse(text)));

const tableRow = z.object({
  oid: z.string(),
  schema: z.string(),
  name: z.string(),
  is_partitioned: pgBoolean,
  is_plain: pgBoolean,
  top_oid: z.string(),
  columns: z.string().transform((text) =>
    z
      .array(
        z.object({
          name: z.string(),
          type: z.string(),
          notNull: z.boolean(),
          generated: z.boolean(),
          identity: z.enum(['always', 'by default']).nullable(),
          asText: z.boolean(),
          equality: operatorSchema.nullable().transform((own) => own ?? builtInEquality),
          labels: z.array(z.string()).nullable(),
        }),
      )
      .parse(JSON.parse(text)),
  ),
  key: names,
});

const tablesSql = `
  SELECT c.oid::text, n.nspname AS schema, c.relname AS name, c.relkind = 'p' AS is_partitioned,
         NOT c.relhasrules AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_trigger tg
            WHERE tg.tgrelid = c.oid AND NOT tg.tgisinternal) AS is_plain,
         CASE WHEN c.relispartition THEN pg_catalog.pg_partition_root(c.oid)::oid ELSE c.oid END::text AS top_oid,
         coalesce((SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
             'name', a.attname, 'type', pg_catalog.format_type(a.atttypid, a.atttypmod), 'notNull', a.attnotnull,
             'generated', a.attgenerated <> '', 'asText', ${carriedAsText('ty')}, 'equality', ${equalityJsonSql('ty')},
             'identity', CASE a.attidentity WHEN 'a' THEN 'always' WHEN 'd' THEN 'by default' END,
             'labels', CASE WHEN ty.typtype = 'e' THEN (
               SELECT pg_catalog.json_agg(e.enumlabel ORDER BY e.enumsortorder)
                 FROM pg_catalog.pg_enum e WHERE e.enumtypid = ty.oid) END) ORDER BY a.attnum)
           FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type ty ON ty.oid = a.atttypid
          WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped), '[]'::json)::text AS columns,
         coalesce((SELECT pg_catalog.json_agg(a.attname ORDER BY k.position)
           FROM (SELECT i.indkey, i.indnkeyatts FROM pg_catalog.pg_index i
                  WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indimmediate
                    AND i.indpred IS NULL AND i.indexprs IS NULL
                    AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_attribute a
                       WHERE a.attrelid = c.oid AND a.attnum = ANY (i.indkey) AND NOT a.attnotnull)
                  ORDER BY i.indisprimary DESC, i.indexrelid LIMIT 1) i,
                LATERAL pg_catalog.unnest(i.indkey::smallint[]) WITH ORDINALITY k(attnum, position)
           JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum
          WHERE k.position <= i.indnkeyatts), '[]'::json)::text AS key
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
   WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
     AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'`;

const foreignKeyRow = z.object({
  name: z.string(),
  child_oid: z.string(),
  parent_oid: z.string(),
  action: z.enum(['no action', 'restrict', 'cascade', 'set null', 'set default']),
  child_columns: names,
  parent_columns: names,
  operators: jsonText(z.array(operatorSchema)),
  changed_columns: names,
  has_index: pgBoolean,
});

/**
 * Constraints as they were declared (those that partitions inherit are left out).
 * confdelsetcols came with 15, so it is read through JSON.
 */
const foreignKeysSql = `
  SELECT con.conname AS name, con.conrelid::oid::text AS child_oid, con.confrelid::oid::text AS parent_oid,
         CASE con.confdeltype WHEN 'a' THEN 'no action' WHEN 'r' THEN 'restrict' WHEN 'c' THEN 'cascade'
              WHEN 'n' THEN 'set null' ELSE 'set default' END AS action,
         ${attributeNames('con.conrelid', 'con.conkey')} AS child_columns,
         ${attributeNames('con.confrelid', 'con.confkey')} AS parent_columns,
         (SELECT pg_catalog.json_agg(${operatorJsonSql('o.op')} ORDER BY o.position)
            FROM pg_catalog.unnest(con.conpfeqop) WITH ORDINALITY o(op, position))::text AS operators,
         ${attributeNames('con.conrelid', 'coalesce(changed.columns, con.conkey)')} AS changed_columns,
         EXISTS (SELECT 1 FROM pg_catalog.pg_index i
                  WHERE i.indrelid = con.conrelid AND i.indisvalid AND i.indisready AND i.indpred IS NULL
                    AND i.indnkeyatts >= pg_catalog.cardinality(con.conkey)
                    AND (i.indkey::smallint[])[0:pg_catalog.cardinality(con.conkey) - 1] @> con.conkey
                    AND EXISTS (SELECT 1 FROM pg_catalog.pg_class x JOIN pg_catalog.pg_am am ON am.oid = x.relam
                                 WHERE x.oid = i.indexrelid AND am.amname IN ('btree', 'hash'))) AS has_index
    FROM pg_catalog.pg_constraint con
    LEFT JOIN LATERAL (
         SELECT pg_catalog.array_agg(v::smallint) AS columns
           FROM pg_catalog.jsonb_array_elements_text(
                  CASE pg_catalog.jsonb_typeof(pg_catalog.to_jsonb(con) -> 'confdelsetcols')
                       WHEN 'array' THEN pg_catalog.to_jsonb(con) -> 'confdelsetcols' END) v) changed ON true
   WHERE con.contype = 'f' AND con.conparentid = 0`;

function attributeNames(relation: string, numbers: string): string {
  return `(SELECT pg_catalog.json_agg(a.attname ORDER BY k.position)
             FROM pg_catalog.unnest(${numbers}) WITH ORDINALITY k(attnum, position)
             JOIN pg_catalog.pg_attribute a ON a.attrelid = ${relation} AND a.attnum = k.attnum)::text`;
}

/** Reads the whole catalog: some thousand tables are some hundred milliseconds. */
export async function readCatalog(session: Session): Promise<Catalog> {
  // With the session's empty search_path types are named with their schema, so that a name means the same wherever it is read.
  const tables = parseRows(tableRow, await session.query(tablesSql));
  const foreignKeys = parseRows(foreignKeyRow, await session.query(foreignKeysSql));
  return {
    tables: new Map(
      tables.map((row) => [
        row.oid,
        {
          oid: row.oid,
          schema: row.schema,
          name: row.name,
          label: qualifiedName(row),
          isPartitioned: row.is_partitioned,
          isPlain: row.is_plain,
          topOid: row.top_oid,
          columns: row.columns,
          key: row.key,
        },
      ]),
    ),
    foreignKeys: foreignKeys.map((row) => ({
      name: row.name,
      childOid: row.child_oid,
      childColumns: row.child_columns,
      parentOid: row.parent_oid,
      parentColumns: row.parent_columns,
      operators: row.operators,
      action: row.action,
      changedColumns: row.changed_columns,
      hasIndex: row.has_index,
    })),
  };
}
