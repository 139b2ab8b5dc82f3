/**
 * Finds every row that belongs to the selected orders and lists it in temporary tables on the server (row lists).
 *
 * A list contains row versions: (tableoid, ctid, xmin). A row that another session changes later has another version, so the backup and
 * the deletion can differ only in their counts, which are compared.
 */
import type {Session} from '../../../postgres/client.js';
import {quoteIdentifier} from '../../../postgres/quote.js';
import type {Link, OrderGraph} from '../rules/order-graph.js';
import {addressSql, bitOf, guards, guardsSql, isListed, type Selection} from '../rules/order-conditions.js';
import {columnType, equalityOf, relationSql} from '../rules/relation-sql.js';
import {compareSql} from '../../../rows/model/operators.js';
import type {Table} from '../../../rows/model/read-schema.js';
import {
  candidatesTable,
  findCustomers,
  isOfCustomerSql,
  storedColumns,
  storedDefinitions,
} from './select-orders.js';

/** A temporary table that lists rows of a table. */
export interface RowList {
  readonly table: Table;
  /** Its quoted name. */
  readonly sql: string;
  /** Columns of the table that are stored too, as k0, k1, ...: the key and the targets of links. */
  readonly stored: readonly string[];
}

/** A leaf table has one foreign key and no children: its rows are found by the key when needed, and not listed. */
export interface LeafTable {
  readonly table: Table;
  readonly link: Link;
}

export interface RowLists {
  /** In insert order: lists of rows to delete. */
  readonly deleted: readonly RowList[];
  /** In insert order: the leaf tables, whose rows are deleted too. */
  readonly leaves: readonly LeafTable[];
  /** Rows that are kept and lose a link. */
  readonly unlinked: readonly RowList[];
}

/** The row lists that a cleaning needs. */
export function rowListsFor(graph: OrderGraph): RowLists {
  const leaves = graph.tables.flatMap((table) => {
    const link = leafLink(graph, table);
    return link === undefined ? [] : [{table, link}];
  });
  const listed = graph.tables.filter((table) => !leaves.some((leaf) => leaf.table === table));
  const kept = [...new Set(graph.unlinks.map((link) => link.child))];
  return {
    deleted: listed.map((table, index) => ({
      table,
      sql: `pg_temp."destino_db_rows_${index}"`,
      stored: storedColumns(graph, table),
    })),
    leaves,
    unlinked: kept.map((table, index) => ({
      table,
      sql: `pg_temp."destino_db_unlinked_${index}"`,
      stored: table.key,
    })),
  };
}

/**
 * The only foreign key by which rows of the table are deleted, if nothing refers to them: while the parent is locked, no row can be added.
 * A table with a trigger or a rule of its own could lose other rows than those in a statement.
 */
function leafLink(graph: OrderGraph, table: Table): Link | undefined {
  const [link, ...others] = graph.links.filter(({child}) => child === table);
  const hasOtherTies =
    others.length > 0 ||
    graph.roots.some((root) => root.table === table) ||
    graph.unlinks.some(({child}) => child === table) ||
    [...graph.links, ...graph.unlinks].some(({parent}) => parent === table);
  const isFoundByIndex = link?.hasIndex === true && !link.isSoft;
  return isFoundByIndex && !hasOtherTies && table.isPlain && !table.isPartitioned ? link : undefined;
}

/** SQL: the rows `t` of a leaf table, each with its listed parent `p`. */
export function leafRowsSql({table, link}: LeafTable, rowLists: RowLists): string {
  return `${relationSql(table)} t JOIN ${rowListOf(rowLists, link.parent).sql} p ON ${joinSql(link, rowLists)}`;
}

export async function createRowLists(session: Session, rowLists: RowLists): Promise<void> {
  for (const {table, sql, stored} of [...rowLists.deleted, ...rowLists.unlinked]) {
    const columns = storedDefinitions(table, stored);
    await session.query(`
      CREATE TEMPORARY TABLE ${sql} (part oid, tid tid, ver xid, round integer, guarded boolean DEFAULT false,
        ${columns.map((column) => `${column}, `).join('')}seq bigint GENERATED ALWAYS AS IDENTITY (CACHE 1000))`);
  }
}

/**
 * Lists the candidates without a guard, and all rows that depend on them.
 * A selected order is withheld as "linked", with everything of its own, if a guarded order depends on it.
 * @param isLocking locks rows that can have children, so that new children wait (manual, 13.3.2)
 */
export async function collectRows(
  session: Session,
  selection: Selection,
  rowLists: RowLists,
  isLocking: boolean,
): Promise<void> {
  do {
    for (const {sql} of [...rowLists.deleted, ...rowLists.unlinked])
      await session.query(`DELETE FROM ${sql}`);
    await followLinks(session, selection.graph, rowLists, isLocking);
  } while (await withholdGuarded(session, selection, rowLists));
  await listUnlinked(session, selection.graph, rowLists, isLocking);
}

async function followLinks(
  session: Session,
  graph: OrderGraph,
  rowLists: RowLists,
  isLocking: boolean,
): Promise<void> {
  let frontier = new Set<Table>();
  for (const [index, root] of graph.roots.entries()) {
    const target = rowListOf(rowLists, root.table);
    const added = await session.execute(`
      INSERT INTO ${target.sql} (part, tid, ver, round${names(target)})
      SELECT part, tid, ver, 0${names(target)} FROM ${candidatesTable(index)} WHERE guards = 0`);
    await session.query(`ANALYZE ${target.sql}`);
    if (added > 0) frontier.add(root.table);
  }
  for (let round = 1; frontier.size > 0; round += 1) {
    const next = new Set<Table>();
    for (const link of graph.links) {
      if (!frontier.has(link.parent) || !rowLists.deleted.some(({table}) => table === link.child)) continue;
      const target = rowListOf(rowLists, link.child);
      // Rows without possible children are not locked; their version is compared instead.
      const isParent = [...graph.links, ...graph.unlinks].some((other) => other.parent === link.child);
      const added = await session.execute(`
        WITH found AS (
          SELECT t.tableoid AS part, t.ctid AS tid, t.xmin AS ver${values(target)}
            FROM ${relationSql(link.childRelation)} t
           WHERE EXISTS (SELECT 1 FROM ${rowListOf(rowLists, link.parent).sql} p WHERE p.round = ${round - 1} AND ${joinSql(link, rowLists)})
             AND NOT EXISTS (SELECT 1 FROM ${target.sql} s WHERE s.part = t.tableoid AND s.tid = t.ctid)
           ${isLocking && isParent ? 'FOR UPDATE OF t' : ''})
        INSERT INTO ${target.sql} (part, tid, ver, round${names(target)})
        SELECT part, tid, ver, ${round}${names(target)} FROM found`);
      if (added === 0) continue;
      await session.query(`ANALYZE ${target.sql}`);
      next.add(link.child);
    }
    frontier = next;
  }
}

/** Whether selected orders had to be withheld because guarded orders depend on them. */
async function withholdGuarded(session: Session, selection: Selection, rowLists: RowLists): Promise<boolean> {
  const {graph} = selection;
  let guarded = 0;
  for (const root of graph.roots) {
    const {sql} = rowListOf(rowLists, root.table);
    const linked = `${root.rows} t JOIN ${sql} s ON ${isListed} WHERE s.round > 0`;
    const {email} = root.profile;
    if (email !== undefined)
      await findCustomers(
        session,
        selection,
        `SELECT DISTINCT ${addressSql(email)} AS address FROM ${linked}`,
      );
    guarded += await session.execute(`
      UPDATE ${sql} s SET guarded = true FROM ${root.rows} t
       WHERE s.round > 0 AND ${isListed} AND (${guardsSql(selection, root)} <> 0 OR ${isOfCustomerSql(selection, root)})`);
  }
  if (guarded === 0) return false;
  while (guarded > 0) {
    guarded = 0;
    for (const link of graph.links) {
      if (!rowLists.deleted.some(({table}) => table === link.child)) continue; // no order depends on an order by it
      guarded += await session.execute(`
        UPDATE ${rowListOf(rowLists, link.parent).sql} p SET guarded = true
          FROM ${rowListOf(rowLists, link.child).sql} s JOIN ${relationSql(link.childRelation)} t ON ${isListed}
         WHERE s.guarded AND NOT p.guarded AND ${joinSql(link, rowLists)}`);
    }
  }
  let withheld = 0;
  for (const [index, root] of graph.roots.entries()) {
    withheld += await session.execute(`
      UPDATE ${candidatesTable(index)} d SET guards = d.guards | ${bitOf(guards, 'linked')}
        FROM ${rowListOf(rowLists, root.table).sql} s
       WHERE s.guarded AND s.round = 0 AND s.part = d.part AND s.tid = d.tid`);
  }
  return withheld > 0;
}

async function listUnlinked(
  session: Session,
  graph: OrderGraph,
  rowLists: RowLists,
  isLocking: boolean,
): Promise<void> {
  for (const link of graph.unlinks) {
    const target = rowLists.unlinked.find((candidate) => candidate.table === link.child);
    if (!target) continue;
    const goes = rowLists.deleted.find((candidate) => candidate.table === link.child);
    const known = [target, ...(goes ? [goes] : [])].map(
      ({sql}) => `AND NOT EXISTS (SELECT 1 FROM ${sql} s WHERE s.part = t.tableoid AND s.tid = t.ctid)`,
    );
    await session.query(`
      WITH found AS (
        SELECT t.tableoid AS part, t.ctid AS tid, t.xmin AS ver${values(target)}
          FROM ${relationSql(link.childRelation)} t
         WHERE EXISTS (SELECT 1 FROM ${rowListOf(rowLists, link.parent).sql} p WHERE ${joinSql(link, rowLists)}) ${known.join(' ')}
         ${isLocking ? 'FOR UPDATE OF t' : ''})
      INSERT INTO ${target.sql} (part, tid, ver, round${names(target)})
      SELECT part, tid, ver, 0${names(target)} FROM found`);
    await session.query(`ANALYZE ${target.sql}`);
  }
}

/** The row list of a table that rows are deleted from. */
export function rowListOf(rowLists: RowLists, table: Table): RowList {
  const found = rowLists.deleted.find((candidate) => candidate.table === table);
  if (!found) throw new Error(`there is no row list for ${table.label}`);
  return found;
}

/** SQL condition: `t` refers by the link to the listed parent `p`. Also valid under the role's own search_path. */
export function joinSql(link: Link, rowLists: RowLists): string {
  const {stored} = rowListOf(rowLists, link.parent);
  const pairs = link.childColumns.map((name, index) => {
    const parentColumn = link.parentColumns[index] ?? '';
    const child = `t.${quoteIdentifier(name)}`;
    const parent = `p.k${stored.indexOf(parentColumn)}`;
    // A soft link may store the key as text.
    if (link.isSoft && columnType(link.child, name) !== columnType(link.parent, parentColumn))
      return `${child}::pg_catalog.text OPERATOR(pg_catalog.=) ${parent}::pg_catalog.text`;
    return compareSql(link.operators[index] ?? equalityOf(link.parent, parentColumn), parent, child);
  });
  if (link.parentRelation !== link.parent) {
    pairs.push(
      `p.part OPERATOR(pg_catalog.=) ANY (SELECT relid::pg_catalog.oid FROM pg_catalog.pg_partition_tree(${link.parentRelation.oid}) UNION ALL SELECT ${link.parentRelation.oid}::pg_catalog.oid)`,
    );
  }
  return pairs.join(' AND ');
}

function names(rowLists: RowList): string {
  return rowLists.stored.map((_name, index) => `, k${index}`).join('');
}

function values(rowLists: RowList): string {
  return rowLists.stored.map((name, index) => `, t.${quoteIdentifier(name)} AS k${index}`).join('');
}
