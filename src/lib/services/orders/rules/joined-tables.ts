/** Joins the tables that contain values of orders, so that no order is found twice. */
import {AppError} from '../../../base/errors.js';
import type {Session} from '../../../postgres/client.js';
import {quoteIdentifier} from '../../../postgres/quote.js';
import {compareSql} from '../../../rows/model/operators.js';
import type {Catalog, Table} from '../../../rows/model/read-schema.js';
import type {DescribedRoot, Join, OrdersProfile} from './profile.js';
import {checkColumns, findTable, suggest, profileHint} from './profile-names.js';
import {equalityOf, relationSql} from './relation-sql.js';

/** The order's table or a joined one, with its name in expressions. */
export interface Relation {
  readonly name: string;
  readonly table: Table;
  /** SQL that joins it to the previous ones; empty for the order's own table. */
  readonly join: string;
}

/** A column of one of the relations. */
interface RelationColumn {
  readonly relation: Relation;
  readonly column: string;
}

/** The order's table, then the joined ones. @throws CONFIG_INVALID, JOIN_NOT_UNIQUE */
export async function joinTables(
  session: Session,
  catalog: Catalog,
  profile: OrdersProfile,
  root: DescribedRoot,
  table: Table,
): Promise<readonly [Relation, ...Relation[]]> {
  const relations: [Relation, ...Relation[]] = [{name: root.table, table, join: ''}];
  for (const join of root.joins) {
    const joined = findTable(catalog, profile, join.schema, join.table);
    checkColumns(joined, profile, Object.keys(join.on));
    const pairs = Object.entries(join.on).map(([column, text]) => ({
      column,
      from: findColumn(profile, relations, text),
    }));
    await refuseSeveralRows(session, profile, join, joined, pairs);
    const relation = {name: join.name, table: joined};
    const conditions = pairs.map(({column, from}) =>
      compareSql(
        equalityOf(joined, column),
        columnSql({relation: {...relation, join: ''}, column}),
        columnSql(from),
      ),
    );
    relations.push({
      ...relation,
      join: `LEFT JOIN ${relationSql(joined)} ${quoteIdentifier(join.name)} ON ${conditions.join(' AND ')}`,
    });
  }
  return relations;
}

/**
 * Finds "email" of the order, or "customer.email" of a joined table.
 * @throws CONFIG_INVALID with the nearest column
 */
export function findColumn(
  profile: OrdersProfile,
  relations: readonly [Relation, ...Relation[]],
  text: string,
): RelationColumn {
  const [own, ...joined] = relations;
  const has = ({table}: Relation, column: string): boolean => table.columns.some(({name}) => name === column);
  if (has(own, text)) return {relation: own, column: text};
  const relation = joined.find(({name}) => text.startsWith(`${name}.`));
  if (relation) {
    const column = text.slice(relation.name.length + 1);
    checkColumns(relation.table, profile, [column]);
    return {relation, column};
  }
  const names = joined.map(({name}) => name);
  const [first = ''] = text.split('.');
  if (!text.includes('.') || joined.length === 0) checkColumns(own.table, profile, [text]);
  throw new AppError(
    'CONFIG_INVALID',
    `The profile "${profile.name}" names "${text}", but ${own.table.label} has no such column and no join before it is called "${first}"${suggest(first, names)}.`,
    {hint: profileHint},
  );
}

export function columnSql({relation, column}: RelationColumn): string {
  return `${quoteIdentifier(relation.name)}.${quoteIdentifier(column)}`;
}

/**
 * Whether a unique index guarantees at most one row: on joined columns, with the equality of the join. A partial or expression index
 * guarantees it only for some rows, a deferrable one only at some times.
 */
const isUniqueSql = `
  SELECT 1 FROM pg_catalog.pg_index i
   WHERE i.indrelid = $1::pg_catalog.oid AND i.indisunique AND i.indisvalid AND i.indimmediate
     AND i.indpred IS NULL AND i.indexprs IS NULL
     AND NOT EXISTS (
       SELECT 1 FROM pg_catalog.generate_series(0, i.indnkeyatts - 1) position
        WHERE NOT EXISTS (
          SELECT 1 FROM ROWS FROM (pg_catalog.unnest($2::text[]), pg_catalog.unnest($3::pg_catalog.oid[]), pg_catalog.unnest($4::text[])) pair(name, other, other_name)
            JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attname = pair.name AND a.attnum = i.indkey[position]
            JOIN pg_catalog.pg_attribute o ON o.attrelid = pair.other AND o.attname = pair.other_name
            JOIN pg_catalog.pg_opclass c ON c.oid = i.indclass[position] AND c.opcdefault
           WHERE i.indcollation[position] = a.attcollation
             AND (o.attcollation = a.attcollation OR NOT EXISTS (SELECT 1 FROM pg_catalog.pg_collation x
                   WHERE x.oid IN (a.attcollation, o.attcollation) AND NOT x.collisdeterministic))
             AND (o.atttypid = a.atttypid
               OR (a.atttypid IN ('text'::pg_catalog.regtype, 'varchar'::pg_catalog.regtype)
                   AND o.atttypid IN ('text'::pg_catalog.regtype, 'varchar'::pg_catalog.regtype))
               OR EXISTS (SELECT 1 FROM pg_catalog.pg_amop e WHERE e.amopfamily = c.opcfamily AND e.amopstrategy = 3
                             AND e.amoplefttype = a.atttypid AND e.amoprighttype = o.atttypid))))`;

async function refuseSeveralRows(
  session: Session,
  profile: OrdersProfile,
  join: Join,
  joined: Table,
  pairs: readonly {readonly column: string; readonly from: RelationColumn}[],
): Promise<void> {
  const columns = pairs.map(({column}) => column);
  const rows = await session.query(isUniqueSql, [
    joined.oid,
    columns,
    pairs.map(({from}) => from.relation.table.oid),
    pairs.map(({from}) => from.column),
  ]);
  if (rows.length > 0) return;
  throw new AppError(
    'JOIN_NOT_UNIQUE',
    `The join "${join.name}" of the profile "${profile.name}" could find several rows of ${joined.label} for one order: no unique index covers ${columns.map((column) => `"${column}"`).join(', ')} for the compared types. Nothing was changed.`,
    {
      hint: 'Join by the primary key, or by columns of the same type with a valid unique index that is not partial or deferrable.',
    },
  );
}
