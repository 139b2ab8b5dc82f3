/** Resolves a table of orders and the source of its values: own columns, joined tables, or expressions over both. */
import {z} from 'zod';
import {AppError} from '../../../base/errors.js';
import type {Session} from '../../../postgres/client.js';
import {jsonText, parseOnlyRow, parseRows} from '../../../postgres/inspect/inspect-database.js';
import {quoteIdentifier} from '../../../postgres/quote.js';
import {refuseForeignCasts} from '../../../rows/model/foreign-casts.js';
import type {Catalog, Column, Table} from '../../../rows/model/read-schema.js';
import {makeUserView, type UserSql} from '../../../rows/model/user-view.js';
import {columnSql, joinTables, findColumn, type Relation} from './joined-tables.js';
import {
  type DescribedRoot,
  type OrdersProfile,
  type OrderValue,
  orderValues,
  type RootProfile,
} from './profile.js';
import {checkColumns, findTable} from './profile-names.js';
import {relationSql} from './relation-sql.js';

type Relations = readonly [Relation, ...Relation[]];
type ValueName = (typeof orderValues)[number];
type ValueColumn = Pick<Column, 'name' | 'type' | 'labels'>;

export interface Root {
  readonly table: Table;
  readonly profile: RootProfile;
  /** SQL: the orders with their values and their row versions, to be read as `t`. */
  readonly rows: string;
  /** The columns of `rows` that contain values. */
  readonly columns: readonly ValueColumn[];
  /** The other tables from which the values are read. */
  readonly joined: readonly Table[];
}

/**
 * @param isInTransaction whether the session is in one, which may write
 * @throws CONFIG_INVALID, JOIN_NOT_UNIQUE, EXPRESSION_REFUSED, GUARD
 */
export async function resolveRoot(
  session: Session,
  catalog: Catalog,
  profile: OrdersProfile,
  root: DescribedRoot,
  isInTransaction: boolean,
): Promise<Root> {
  const table = findTable(catalog, profile, root.schema, root.table);
  if (table.topOid !== table.oid) {
    throw new AppError(
      'CONFIG_INVALID',
      `The table ${table.label} of the profile "${profile.name}" is a partition.`,
      {
        hint: 'Name the partitioned table in orders.profile.roots.',
      },
    );
  }
  const {schema, table: name, key} = root;
  const columns = each((value) => (typeof root[value] === 'string' ? root[value] : undefined));
  const isPlain = root.joins.length === 0 && orderValues.every((value) => columns[value] === root[value]);
  if (isPlain) {
    const named = orderValues.flatMap((value) => columns[value] ?? []);
    checkColumns(table, profile, [...key, ...named]);
    const plain = {schema, table: name, key, ...columns};
    return {table, profile: plain, rows: relationSql(table), columns: table.columns, joined: []};
  }
  checkColumns(table, profile, key);
  const relations = await joinTables(session, catalog, profile, root, table);
  const sources = orderValues.flatMap((value) => {
    const source = root[value];
    return source === undefined ? [] : [{value, sql: sourceSql(profile, relations, source)}];
  });
  const read = await inScratch(session, isInTransaction, () =>
    readValues(session, profile, relations, sources),
  );
  const names = each((value) => (root[value] === undefined ? undefined : nameOf(value)));
  const joined = relations.slice(1).map((relation) => relation.table);
  return {table, profile: {schema, table: name, key, ...names}, ...read, joined};
}

function each<T>(of: (value: ValueName) => T): Record<ValueName, T> {
  return {
    email: of('email'),
    status: of('status'),
    paymentStatus: of('paymentStatus'),
    total: of('total'),
    createdAt: of('createdAt'),
  };
}

function nameOf(value: ValueName): string {
  return `destino_${value}`;
}

function sourceSql(profile: OrdersProfile, relations: Relations, source: OrderValue): string {
  return typeof source === 'string' ? columnSql(findColumn(profile, relations, source)) : source.sql;
}

/** Runs `work` and rolls it back, so that the database gets no object that depends on the tables of the orders. */
async function inScratch<T>(session: Session, isInTransaction: boolean, work: () => Promise<T>): Promise<T> {
  await session.query(isInTransaction ? 'SAVEPOINT destino_values' : 'BEGIN READ WRITE');
  try {
    return await work();
  } finally {
    await session.query(isInTransaction ? 'ROLLBACK TO SAVEPOINT destino_values' : 'ROLLBACK');
    if (isInTransaction) await session.query('RELEASE SAVEPOINT destino_values');
  }
}

const view = 'pg_temp."destino_db_values"';

const columnRow = z.object({
  name: z.string(),
  type: z.string(),
  category: z.string(),
  labels: jsonText(z.array(z.string())).nullable(),
});

const columnsSql = `
  SELECT a.attname AS name, pg_catalog.format_type(a.atttypid, a.atttypmod) AS type, ty.typcategory AS category,
         CASE WHEN ty.typtype = 'e' THEN (SELECT pg_catalog.json_agg(e.enumlabel ORDER BY e.enumsortorder)
           FROM pg_catalog.pg_enum e WHERE e.enumtypid = ty.oid)::text END AS labels
    FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type ty ON ty.oid = a.atttypid
   WHERE a.attrelid = $1::pg_catalog.regclass AND a.attnum > 0 ORDER BY a.attnum`;

const viewRow = z.object({oid: z.string(), text: z.string()});

/** All names are qualified, because the session's search_path contains only pg_catalog. */
const viewSql = `
  SELECT c.oid::text AS oid, pg_catalog.pg_get_viewdef(c.oid) AS text FROM pg_catalog.pg_class c WHERE c.oid = $1::pg_catalog.regclass`;

/**
 * Lets the server parse the values as one view and reads its definition, which is one SELECT whatever the expressions contain. No part of
 * it runs here.
 */
async function readValues(
  session: Session,
  profile: OrdersProfile,
  relations: Relations,
  sources: readonly {readonly value: ValueName; readonly sql: string}[],
): Promise<Pick<Root, 'rows' | 'columns'>> {
  const [own, ...joined] = relations;
  const alias = quoteIdentifier(own.name);
  const names = ['tableoid', 'ctid', 'xmin', ...own.table.columns.map(({name}) => name)];
  // Each expression ends on a line of its own, so that a comment in it ends there.
  const values = sources.map(({value, sql}) => `(${sql}\n) AS ${quoteIdentifier(nameOf(value))}`);
  const text = `CREATE TEMPORARY VIEW ${view} AS SELECT ${[...names.map((name) => `${alias}.${quoteIdentifier(name)}`), ...values].join(', ')}
    FROM ${[`${relationSql(own.table)} ${alias}`, ...joined.map(({join}) => join)].join(' ')}`;
  const invalid = (why: string): AppError =>
    new AppError(
      'CONFIG_INVALID',
      `The server cannot read the values of ${own.table.label} in the profile "${profile.name}": ${why}. Nothing was changed.`,
      {
        hint: `Qualify columns with their table ("${own.name}.id"), and functions and types outside pg_catalog with their schema.`,
      },
    );
  const userSql: UserSql = {
    kind: 'values',
    invalid,
    refused: (why, hint) => refused(profile, why, hint),
    more: () =>
      refused(
        profile,
        'is more than an expression over one order and the rows joined to it',
        'Leave out subqueries, aggregates, window functions, functions that return sets, and casts to domains; join tables under "joins".',
      ),
  };
  await makeUserView(session, view, text, userSql);
  const found = parseRows(columnRow, await session.query(columnsSql, [view]));
  const definition = parseOnlyRow(viewRow, await session.query(viewSql, [view]));
  const wanted = [...names, ...sources.map(({value}) => nameOf(value))];
  const isOther = found.length !== wanted.length || found.some(({name}, index) => name !== wanted[index]);
  if (isOther) throw userSql.more();
  await refuseForeignCasts(session, [definition.oid]);
  const columns = found.slice(names.length);
  checkKinds(columns, invalid);
  return {
    rows: `(${definition.text.trim().replace(/;$/, '')})`,
    columns: columns.map(({name, type, labels}) => ({name, type, labels})),
  };
}

function refused({name}: OrdersProfile, why: string, hint: string): AppError {
  return new AppError(
    'EXPRESSION_REFUSED',
    `An expression of the profile "${name}" ${why}. Nothing was changed.`,
    {hint},
  );
}

/** The letters of pg_type.typcategory. */
const kinds: Readonly<Record<string, readonly [category: string, kind: string]>> = {
  [nameOf('total')]: ['N', 'a number'],
  [nameOf('createdAt')]: ['D', 'a date or time'],
};

function checkKinds(
  columns: readonly {readonly name: string; readonly type: string; readonly category: string}[],
  invalid: (why: string) => AppError,
): void {
  for (const {name, type, category} of columns) {
    const [wanted, kind] = kinds[name] ?? [];
    if (wanted !== undefined && category !== wanted)
      throw invalid(`${name.replace('destino_', '')} is ${type}, not ${String(kind)}`);
  }
}
