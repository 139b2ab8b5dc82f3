/** Operators of columns by their oid in the catalog, so that no name is looked up. */
import {z} from 'zod';
import {quoteIdentifier} from '../../postgres/quote.js';

export const operatorSchema = z.object({
  schema: z.string(),
  name: z.string(),
  /** The types of its operands as SQL; null where it takes several (anyenum). */
  left: z.string().nullable(),
  right: z.string().nullable(),
});
export type Operator = z.infer<typeof operatorSchema>;

/** Equality of every type that brings none of its own. */
export const builtInEquality: Operator = {schema: 'pg_catalog', name: '=', left: null, right: null};

/** SQL: the operator with the oid as JSON for `operatorSchema`. */
export function operatorJsonSql(oid: string): string {
  const type = (column: string): string =>
    `(SELECT pg_catalog.format_type(xt.oid, NULL) FROM pg_catalog.pg_type xt WHERE xt.oid = ${column} AND xt.typtype <> 'p')`;
  return `(SELECT pg_catalog.json_build_object('schema', xn.nspname, 'name', xo.oprname,
      'left', ${type('xo.oprleft')}, 'right', ${type('xo.oprright')})
     FROM pg_catalog.pg_operator xo JOIN pg_catalog.pg_namespace xn ON xn.oid = xo.oprnamespace WHERE xo.oid = ${oid})`;
}

/**
 * SQL: JSON of the operator by which values of a type (`pg_type` under `alias`) are equal where the type brings its own, as
 * citext does; else null. It is the one of the default operator class, which only superusers can make.
 */
export function equalityJsonSql(alias: string): string {
  return `CASE WHEN ${alias}.typnamespace <> 'pg_catalog'::pg_catalog.regnamespace THEN (
    WITH RECURSIVE base AS (
      SELECT ${alias}.oid AS oid, ${alias}.typbasetype AS below
      UNION ALL SELECT bt.oid, bt.typbasetype FROM base JOIN pg_catalog.pg_type bt ON bt.oid = base.below)
    SELECT ${operatorJsonSql('bo.amopopr')} FROM base
      JOIN pg_catalog.pg_opclass bc ON bc.opcintype = base.oid AND bc.opcdefault
      JOIN pg_catalog.pg_am ba ON ba.oid = bc.opcmethod AND ba.amname = 'btree'
      JOIN pg_catalog.pg_amop bo ON bo.amopfamily = bc.opcfamily AND bo.amopstrategy = 3
       AND bo.amoplefttype = bc.opcintype AND bo.amoprighttype = bc.opcintype
     WHERE base.below = 0 LIMIT 1) END`;
}

/**
 * SQL: `left` and `right` compared by the operator. Outside pg_catalog the operands get its exact types, so that no operator
 * of the same name that somebody else made for other types can fit better.
 */
export function compareSql(operator: Operator, left: string, right: string): string {
  const {schema, name} = operator;
  const typed = (operand: string, type: string | null): string =>
    schema === 'pg_catalog' || type === null ? operand : `${operand}::${type}`;
  return `${typed(left, operator.left)} OPERATOR(${quoteIdentifier(schema)}.${name}) ${typed(right, operator.right)}`;
}
