/** The current tables of an order backup: columns, keys, constraints and references, from the catalog. */
import {z} from 'zod';
import {AppError} from '../../base/errors.js';
import type {Session} from '../../postgres/client.js';
import {parseRows} from '../../postgres/inspect/inspect-database.js';
import {quoteQualified} from '../../postgres/quote.js';
import {builtInEquality, equalityJsonSql, operatorJsonSql, operatorSchema} from '../model/operators.js';
import {carriedAsText} from '../model/row-json.js';
import {rowSecurityHint} from '../../postgres/row-security.js';

const relation = z.object({
  oid: z.string(),
  schema: z.string(),
  name: z.string(),
  kind: z.string(),
  /** Row level security hides rows from this role. */
  hidesRows: z.boolean(),
});

const column = z.object({
  number: z.int(),
  name: z.string(),
  type: z.string(),
  notNull: z.boolean(),
  /** DEFAULT, identity or generated: an insert may leave it out. */
  fillsItself: z.boolean(),
  generated: z.boolean(),
  asText: z.boolean(),
  equality: operatorSchema.nullable().transform((own) => own ?? builtInEquality),
  /** The default's expression, for ON DELETE SET DEFAULT. */
  default: z.string().nullable(),
});

const exclusive = z.object({
  name: z.string(),
  isPrimary: z.boolean(),
  areNullsEqual: z.boolean(),
  predicate: z.string().nullable(),
  /** Key parts as the index has them: a column's name or an expression, and the operator by which two rows collide. */
  parts: z.array(z.object({expression: z.string(), operator: operatorSchema})),
});

const reference = z.object({
  name: z.string(),
  columns: z.array(z.int()),
  parent: relation,
  /** The topmost partitioned table above `parent`, or itself. */
  parentTop: z.string(),
  parentColumns: z.array(z.object({number: z.int(), name: z.string()})),
  /** Parent column on the left, child column on the right, one for each. */
  operators: z.array(operatorSchema),
  /** The letter of ON DELETE, as pg_constraint has it: c cascades, n sets null, d sets the default. */
  onDelete: z.string(),
  /** Declared in the profile, not in the database: it connects rows, but no row needs it. */
  isSoft: z.boolean().default(false),
});

/** A foreign key that a partition has and its table has not; `columns` are numbers of the table's columns. */
const partitionReference = reference.extend({
  partition: relation,
  /** The rows of the partition, as an expression over the table's columns; null where that is every row. */
  bound: z.string().nullable(),
});

const targetTable = relation.extend({
  isOwner: z.boolean(),
  columns: z.array(column),
  /** Unique indexes and exclusion constraints, the primary key first. */
  exclusives: z.array(exclusive),
  primaryKey: z.array(z.int()),
  references: z.array(reference),
  partitionReferences: z.array(partitionReference),
});

export type TargetTable = z.infer<typeof targetTable>;
export type TargetColumn = z.infer<typeof column>;
export type TargetExclusive = z.infer<typeof exclusive>;
export type TargetReference = z.infer<typeof reference>;
export type PartitionReference = z.infer<typeof partitionReference>;

/** The foreign keys of the table and those that only a partition has. */
export function allReferences({
  references,
  partitionReferences,
}: TargetTable): readonly (TargetReference | PartitionReference)[] {
  return [...references, ...partitionReferences];
}

const relationFields = (alias: string, schema: string): string => `
  'oid', ${alias}.oid::text, 'schema', ${schema}.nspname, 'name', ${alias}.relname, 'kind', ${alias}.relkind,
  'hidesRows', pg_catalog.row_security_active(${alias}.oid)`;

const columnsSql = `
  SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
           'number', a.attnum, 'name', a.attname, 'type', pg_catalog.format_type(a.atttypid, a.atttypmod),
           'notNull', a.attnotnull, 'fillsItself', a.atthasdef OR a.attidentity <> '', 'generated', a.attgenerated <> '',
           'asText', ${carriedAsText('ty')}, 'equality', ${equalityJsonSql('ty')},
           'default', CASE WHEN a.attgenerated = '' THEN pg_catalog.pg_get_expr(d.adbin, d.adrelid) END) ORDER BY a.attnum)
    FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type ty ON ty.oid = a.atttypid
    LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
   WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped`;

// Strategy 3 of a btree operator family is equality (manual, 38.16.2); exclusion constraints, and from 18 on keys WITHOUT OVERLAPS, name
// their operators.
const exclusivesSql = `
  SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
           'name', i.relname, 'isPrimary', x.indisprimary, 'predicate', pg_catalog.pg_get_expr(x.indpred, x.indrelid),
           'areNullsEqual', coalesce((pg_catalog.to_jsonb(x) ->> 'indnullsnotdistinct')::boolean, false),
           'parts', (SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
               'expression', pg_catalog.pg_get_indexdef(x.indexrelid, k, false),
               'operator', CASE WHEN x.indisexclusion THEN ${operatorJsonSql('con.conexclop[k]')} ELSE (
                 SELECT ${operatorJsonSql('am.amopopr')} FROM pg_catalog.pg_opclass oc
                   JOIN pg_catalog.pg_amop am ON am.amopfamily = oc.opcfamily AND am.amopstrategy = 3
                    AND am.amoplefttype = oc.opcintype AND am.amoprighttype = oc.opcintype
                  WHERE oc.oid = x.indclass[k - 1]) END) ORDER BY k)
             FROM pg_catalog.generate_series(1, x.indnkeyatts::int) k)) ORDER BY x.indisprimary DESC, i.relname)
    FROM pg_catalog.pg_index x JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid
    LEFT JOIN pg_catalog.pg_constraint con ON con.conindid = x.indexrelid AND con.conexclop IS NOT NULL AND con.conrelid = c.oid
   WHERE x.indrelid = c.oid AND (x.indisunique OR x.indisexclusion) AND x.indislive`;

const referenceFields = `
           'name', f.conname, 'onDelete', f.confdeltype,
           'parent', pg_catalog.json_build_object(${relationFields('p', 'pn')}),
           'parentTop', coalesce((SELECT pg_catalog.pg_partition_root(p.oid)::pg_catalog.oid), p.oid)::text,
           'parentColumns', (SELECT pg_catalog.json_agg(pg_catalog.json_build_object('number', pa.attnum, 'name', pa.attname) ORDER BY o.k)
                               FROM pg_catalog.unnest(f.confkey) WITH ORDINALITY o(num, k)
                               JOIN pg_catalog.pg_attribute pa ON pa.attrelid = p.oid AND pa.attnum = o.num),
           'operators', (SELECT pg_catalog.json_agg(${operatorJsonSql('o.op')} ORDER BY o.k)
                           FROM pg_catalog.unnest(f.conpfeqop) WITH ORDINALITY o(op, k))`;

const referencesSql = `
  SELECT pg_catalog.json_agg(pg_catalog.json_build_object('columns', f.conkey, ${referenceFields}) ORDER BY f.conname)
    FROM pg_catalog.pg_constraint f
    JOIN pg_catalog.pg_class p ON p.oid = f.confrelid JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace
   WHERE f.conrelid = c.oid AND f.contype = 'f' AND (f.conparentid = 0 OR c.relispartition)
     AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint up WHERE up.oid = f.conparentid AND up.conrelid = f.conrelid)`;

// Columns of a partition have the table's names, but not always its numbers.
const partitionReferencesSql = `
  SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
           'partition', pg_catalog.json_build_object(${relationFields('q', 'qn')}),
           'bound', pg_catalog.pg_get_partition_constraintdef(q.oid),
           'columns', (SELECT pg_catalog.json_agg(ca.attnum ORDER BY o.k)
                         FROM pg_catalog.unnest(f.conkey) WITH ORDINALITY o(num, k)
                         JOIN pg_catalog.pg_attribute qa ON qa.attrelid = q.oid AND qa.attnum = o.num
                         JOIN pg_catalog.pg_attribute ca ON ca.attrelid = c.oid AND ca.attname = qa.attname),
           ${referenceFields}) ORDER BY qn.nspname, q.relname, f.conname)
    FROM pg_catalog.pg_partition_tree(c.oid) tree
    JOIN pg_catalog.pg_class q ON q.oid = tree.relid JOIN pg_catalog.pg_namespace qn ON qn.oid = q.relnamespace
    JOIN pg_catalog.pg_constraint f ON f.conrelid = q.oid AND f.contype = 'f' AND f.conparentid = 0
    JOIN pg_catalog.pg_class p ON p.oid = f.confrelid JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace
   WHERE q.oid <> c.oid`;

const targetSql = `
  SELECT pg_catalog.json_build_object(${relationFields('c', 'n')},
           'isOwner', pg_catalog.pg_has_role(c.relowner, 'USAGE'),
           'columns', coalesce((${columnsSql}), '[]'), 'exclusives', coalesce((${exclusivesSql}), '[]'),
           'primaryKey', coalesce((SELECT pg_catalog.to_json(con.conkey) FROM pg_catalog.pg_constraint con
                                    WHERE con.conrelid = c.oid AND con.contype = 'p'), '[]'),
           'references', coalesce((${referencesSql}), '[]'),
           'partitionReferences', coalesce((${partitionReferencesSql}), '[]'))::text AS target
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
   WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p')`;

/**
 * The table as it is now, or undefined when there is none. Names in expressions come qualified, as the session's search_path is empty.
 * @throws ROW_SECURITY when rows of it, or of a table that it refers to, are hidden from this role
 */
export async function inspectTarget(
  session: Session,
  schema: string,
  name: string,
): Promise<TargetTable | undefined> {
  const [row] = parseRows(z.object({target: z.string()}), await session.query(targetSql, [schema, name]));
  if (!row) return undefined;
  const target = targetTable.parse(JSON.parse(row.target));
  for (const {hidesRows, schema: where, name: what} of [
    target,
    ...[...target.references, ...target.partitionReferences].map((each) => each.parent),
  ]) {
    if (!hidesRows) continue;
    throw new AppError(
      'ROW_SECURITY',
      `Row level security hides rows of ${where}.${what} from this role, so conflicts could not be seen. Nothing was changed.`,
      {hint: rowSecurityHint},
    );
  }
  return target;
}

/** The relation in a FROM clause: without its inheritance children, but with its partitions. */
export function fromRelation({schema, name, kind}: {schema: string; name: string; kind: string}): string {
  return `${kind === 'p' ? '' : 'ONLY '}${quoteQualified(schema, name)}`;
}
