/** Selects testing orders on the server, with the reasons, and with the guards that keep an order. */
import type {Session} from '../../../postgres/client.js';
import {quoteIdentifier} from '../../../postgres/quote.js';
import type {OrderGraph} from '../rules/order-graph.js';
import type {Root} from '../rules/resolve-root.js';
import {
  addressSql,
  bitOf,
  guards,
  guardsSql,
  isChosenSql,
  isListed,
  isOneOf,
  isTestSql,
  reasons,
  reasonsSql,
  type Selection,
  statusSql,
} from '../rules/order-conditions.js';
import {columnType, equalityOf, relationSql} from '../rules/relation-sql.js';
import {compareSql} from '../../../rows/model/operators.js';
import type {Table} from '../../../rows/model/read-schema.js';

/** Name of the temporary table with the candidates of the root at `index`. */
export function candidatesTable(index: number): string {
  return `pg_temp."destino_db_candidates_${index}"`;
}

/** Those of the requested addresses with at least one paid order of any root. */
const customersTable = 'pg_temp."destino_db_customers"';

/** Columns of a table that its row list stores, as k0, k1, ...: its key and the targets of links. */
export function storedColumns(graph: OrderGraph, table: Table): string[] {
  const pointedTo = [...graph.links, ...graph.unlinks].filter((link) => link.parent === table);
  const rootKeys = graph.roots.filter((root) => root.table === table).map(({profile}) => profile.key);
  return [
    ...new Set([...table.key, ...rootKeys.flat(), ...pointedTo.flatMap(({parentColumns}) => parentColumns)]),
  ];
}

/** The stored columns as definitions of a temporary table. */
export function storedDefinitions(table: Table, stored: readonly string[]): string[] {
  return stored.map((name, index) => `k${index} ${columnType(table, name)}`);
}

/**
 * Creates the empty tables of candidates: one row for each order that matches a criterion, guarded or not.
 * Temporary tables that exist before can be filled in a read-only transaction.
 */
export async function createCandidateTables(session: Session, graph: OrderGraph): Promise<void> {
  for (const [index, {table}] of graph.roots.entries()) {
    const columns = [
      'part oid',
      'tid tid',
      'ver xid',
      ...storedDefinitions(table, storedColumns(graph, table)),
    ];
    columns.push('reasons integer', 'guards integer', 'status text', 'address text');
    await session.query(`CREATE TEMPORARY TABLE ${candidatesTable(index)} (${columns.join(', ')})`);
  }
  await session.query(`CREATE TEMPORARY TABLE ${customersTable} (address text)`);
}

/** Fills the tables of candidates, without the guard for a customer's other orders. */
export async function selectCandidates(session: Session, selection: Selection): Promise<void> {
  for (const index of selection.graph.roots.keys()) {
    await session.query(`INSERT INTO ${candidatesTable(index)} ${candidatesSql(selection, index)}`);
    await session.query(`ANALYZE ${candidatesTable(index)}`);
  }
}

/**
 * Like `selectCandidates`, on several cores (manual, 15.2: INSERT ... SELECT is never planned in parallel), if the transaction may write.
 * The tables, which are empty, are created again.
 */
export async function selectCandidatesInParallel(session: Session, selection: Selection): Promise<void> {
  for (const name of ['parallel_setup_cost', 'parallel_tuple_cost'])
    await session.query(`SET LOCAL ${name} = 0`);
  for (const index of selection.graph.roots.keys()) {
    await session.query(`DROP TABLE ${candidatesTable(index)}`);
    await session.query(
      `CREATE TEMPORARY TABLE ${candidatesTable(index)} AS ${candidatesSql(selection, index)}`,
    );
    await session.query(`ANALYZE ${candidatesTable(index)}`);
  }
}

/**
 * SQL query of the orders of a root that have a reason.
 * @param among SQL of a table with stored columns, to which the query is limited
 */
function candidatesSql(selection: Selection, index: number, among?: string): string {
  const {graph} = selection;
  const root = rootAt(graph, index);
  const {table, profile} = root;
  const stored = storedColumns(graph, table).map(
    (name, column) => `t.${quoteIdentifier(name)} AS k${column}, `,
  );
  // A subquery that computed the reasons only once could not be read on several cores.
  return `
    SELECT t.tableoid AS part, t.ctid AS tid, t.xmin AS ver, ${stored.join('')}
           ${reasonsSql(selection, root)} AS reasons, ${guardsSql(selection, root)} AS guards, ${statusSql(profile)} AS status,
           ${profile.email === undefined ? 'NULL::text' : addressSql(profile.email)} AS address
      FROM ${root.rows} t ${among === undefined ? '' : `JOIN ${among} s ON ${hasKeyOf(graph, root)}`}
     WHERE ${isChosenSql(selection, root)}`;
}

/**
 * Locks the selected orders. An order that another session changed meanwhile is evaluated again; if values come from joined tables, whose
 * rows are not locked, every order is.
 */
export async function lockCandidates(session: Session, selection: Selection): Promise<void> {
  const {graph} = selection;
  for (const [index, root] of graph.roots.entries()) {
    const relation = relationSql(root.table);
    const candidates = candidatesTable(index);
    const lock = (from: string): Promise<number> =>
      countOf(session, `(SELECT 1 FROM ${relation} t JOIN ${from} FOR UPDATE OF t) x`);
    const chosen = await countOf(session, `${candidates} WHERE guards = 0`);
    if (chosen === 0) continue;
    const locked = await lock(`${candidates} s ON ${isListed} WHERE s.guards = 0`);
    const isJoined = root.joined.length > 0;
    if (locked === chosen && !isJoined) continue;
    const changed = `pg_temp."destino_db_changed_${index}"`;
    await session.query(`
      CREATE TEMPORARY TABLE ${changed} ON COMMIT DROP AS
        SELECT s.* FROM ${candidates} s
         WHERE s.guards = 0 ${isJoined ? '' : `AND NOT EXISTS (SELECT 1 FROM ${relation} t WHERE ${isListed})`}`);
    await session.query(
      `DELETE FROM ${candidates} d USING ${changed} s WHERE d.part = s.part AND d.tid = s.tid`,
    );
    await lock(`${changed} s ON ${hasKeyOf(graph, root)}`);
    await session.query(`INSERT INTO ${candidates} ${candidatesSql(selection, index, changed)}`);
  }
}

/** SQL condition: the row `t` of the root has the key that `s` stores. */
function hasKeyOf(graph: OrderGraph, {table, profile}: Root): string {
  const stored = storedColumns(graph, table);
  return profile.key
    .map((name) =>
      compareSql(equalityOf(table, name), `t.${quoteIdentifier(name)}`, `s.k${stored.indexOf(name)}`),
    )
    .join(' AND ');
}

/** Adds the guard that keeps orders of customers. */
export async function guardCustomers(session: Session, selection: Selection): Promise<void> {
  const tables = [...selection.graph.roots.keys()].map(candidatesTable);
  // Only an address that is not a test address can belong to a customer.
  const isNotTest = `d.address IS NOT NULL AND d.reasons & ${bitOf(reasons, 'test-email')} = 0`;
  const addresses = tables.map((table) => `SELECT d.address FROM ${table} d WHERE ${isNotTest}`);
  if (!(await findCustomers(session, selection, addresses.join(' UNION ')))) return;
  for (const table of tables) {
    await session.query(`
      UPDATE ${table} d SET guards = d.guards | ${bitOf(guards, 'production-customer')} FROM ${customersTable} c
       WHERE c.address = d.address AND ${isNotTest}`);
  }
}

/**
 * Finds those of the addresses that have a paid order.
 * @param addresses SQL query of one column "address"
 * @returns whether there are any
 */
export async function findCustomers(
  session: Session,
  {graph, criteria}: Selection,
  addresses: string,
): Promise<boolean> {
  await session.query(`DELETE FROM ${customersTable}`);
  if (criteria.includeCustomers || (await countOf(session, `(${addresses}) a`)) === 0) return false;
  const paid = graph.roots.flatMap(({rows, profile}) =>
    profile.email === undefined || profile.paymentStatus === undefined
      ? []
      : [
          `SELECT a.address FROM (${addresses}) a JOIN ${rows} t ON ${addressSql(profile.email)} = a.address
            WHERE ${isOneOf(profile.paymentStatus, graph.profile.paidPayments)}`,
        ],
  );
  if (paid.length === 0) return false;
  return (
    (await session.execute(
      `INSERT INTO ${customersTable} SELECT DISTINCT address FROM (${paid.join(' UNION ALL ')}) p`,
    )) > 0
  );
}

/** SQL condition: whether the row `t` of the root belongs to one of the customers that were found. */
export function isOfCustomerSql(selection: Selection, {profile}: Root): string {
  return profile.email === undefined
    ? 'false'
    : `(${addressSql(profile.email)} IN (SELECT address FROM ${customersTable}) AND NOT ${isTestSql(selection, profile.email)})`;
}

async function countOf(session: Session, from: string): Promise<number> {
  const [row] = await session.query(`SELECT count(*) AS count FROM ${from}`);
  return Number(row?.['count'] ?? 0);
}

function rootAt(graph: OrderGraph, index: number): Root {
  const root = graph.roots[index];
  if (!root) throw new Error(`there is no root ${index}`);
  return root;
}
