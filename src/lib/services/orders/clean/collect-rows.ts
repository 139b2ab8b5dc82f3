/**
 * Finds every row that goes with the chosen orders and notes where it is, in temporary tables on the server.
 *
 * A noted row is a version: (tableoid, ctid, xmin). A row that another session changes afterwards has another version,
 * so what is backed up and what is deleted can differ only by a count, which is compared.
 */
import type {Session} from '../../../postgres/client.js';
import {quoteIdentifier} from '../../../postgres/quote.js';
import type {Link, OrderGraph} from '../rules/order-graph.js';
import {addressSql, bitOf, guards, guardsSql, isNoted, type Selection} from '../rules/order-conditions.js';
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

/** A temporary table of noted rows. */
export interface NotedRows {
  readonly table: Table;
  /** Its quoted name. */
  readonly sql: string;
  /** Columns of the table that are noted too, as k0, k1, ...: the key and what links point to. */
  readonly stored: readonly string[];
}

/** A table at the end of one foreign key: its rows are found by the key when they are needed, and not noted. */
export interface Leaf {
  readonly table: Table;
  readonly link: Link;
}

export interface Notes {
  /** In insert order: tables with noted rows to delete. */
  readonly deleted: readonly NotedRows[];
  /** In insert order: the other tables that rows are deleted from. */
  readonly leaves: readonly Leaf[];
  /** Rows that stay and lose a link. */
  readonly unlinked: readonly NotedRows[];
}

/** Which temporary tables a cleaning needs. */
export function notesFor(graph: OrderGraph): Notes {
  const leaves = graph.tables.flatMap((table) => {
    const link = leafLink(graph, table);
    return link === undefined ? [] : [{table, link}];
  });
  const noted = graph.tables.filter((table) => !leaves.some((leaf) => leaf.table === table));
  const kept = [...new Set(graph.unlinks.map((link) => link.child))];
  return {
    deleted: noted.map((table, index) => ({
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
 * The one foreign key by which the rows of the table go, where nothing hangs on them: while the parent is locked no row can
 * come to it. With a trigger or a rule of its own the table could lose other rows than those that a statement names.
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

/** SQL: the rows `t` of a leaf, each beside its noted parent `p`. */
export function leafRowsSql({table, link}: Leaf, notes: Notes): string {
  return `${relationSql(table)} t JOIN ${notesOf(notes, link.parent).sql} p ON ${joinSql(link, notes)}`;
}

export async function createNotes(session: Session, notes: Notes): Promise<void> {
  for (const {table, sql, stored} of [...notes.deleted, ...notes.unlinked]) {
    const columns = storedDefinitions(table, stored);
    await session.query(`
      CREATE TEMPORARY TABLE ${sql} (part oid, tid tid, ver xid, round integer, held boolean DEFAULT false,
        ${columns.map((column) => `${column}, `).join('')}seq bigint GENERATED ALWAYS AS IDENTITY (CACHE 1000))`);
  }
}

/**
 * Notes the candidates that no guard keeps and all that hangs on them.
 * A chosen order on which a guarded order hangs is withheld as "linked", with everything of its own.
 * @param isLocking locks rows that others could be attached to, so that new children wait (manual, 13.3.2)
 */
export async function collectRows(
  session: Session,
  selection: Selection,
  notes: Notes,
  isLocking: boolean,
): Promise<void> {
  do {
    for (const {sql} of [...notes.deleted, ...notes.unlinked]) await session.query(`DELETE FROM ${sql}`);
    await followLinks(session, selection.graph, notes, isLocking);
  } while (await withholdGuarded(session, selection, notes));
  await noteUnlinked(session, selection.graph, notes, isLocking);
}

async function followLinks(
  session: Session,
  graph: OrderGraph,
  notes: Notes,
  isLocking: boolean,
): Promise<void> {
  let frontier = new Set<Table>();
  for (const [index, root] of graph.roots.entries()) {
    const target = notesOf(notes, root.table);
    const added = await session.execute(`
      INSERT INTO ${target.sql} (part, tid, ver, round${names(target)})
      SELECT part, tid, ver, 0${names(target)} FROM ${candidatesTable(index)} WHERE guards = 0`);
    await session.query(`ANALYZE ${target.sql}`);
    if (added > 0) frontier.add(root.table);
  }
  for (let round = 1; frontier.size > 0; round += 1) {
    const next = new Set<Table>();
    for (const link of graph.links) {
      if (!frontier.has(link.parent) || !notes.deleted.some(({table}) => table === link.child)) continue;
      const target = notesOf(notes, link.child);
      // Rows at the end of all links cannot get children; their version is compared instead.
      const isParent = [...graph.links, ...graph.unlinks].some((other) => other.parent === link.child);
      const added = await session.execute(`
        WITH found AS (
          SELECT t.tableoid AS part, t.ctid AS tid, t.xmin AS ver${values(target)}
            FROM ${relationSql(link.childRelation)} t
           WHERE EXISTS (SELECT 1 FROM ${notesOf(notes, link.parent).sql} p WHERE p.round = ${round - 1} AND ${joinSql(link, notes)})
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

/** Whether chosen orders had to be withheld because of guarded orders that hang on them. */
async function withholdGuarded(session: Session, selection: Selection, notes: Notes): Promise<boolean> {
  const {graph} = selection;
  let held = 0;
  for (const root of graph.roots) {
    const {sql} = notesOf(notes, root.table);
    const linked = `${root.rows} t JOIN ${sql} s ON ${isNoted} WHERE s.round > 0`;
    const {email} = root.profile;
    if (email !== undefined)
      await findCustomers(
        session,
        selection,
        `SELECT DISTINCT ${addressSql(email)} AS address FROM ${linked}`,
      );
    held += await session.execute(`
      UPDATE ${sql} s SET held = true FROM ${root.rows} t
       WHERE s.round > 0 AND ${isNoted} AND (${guardsSql(selection, root)} <> 0 OR ${isOfCustomerSql(selection, root)})`);
  }
  if (held === 0) return false;
  while (held > 0) {
    held = 0;
    for (const link of graph.links) {
      if (!notes.deleted.some(({table}) => table === link.child)) continue; // no order hangs on an order by it
      held += await session.execute(`
        UPDATE ${notesOf(notes, link.parent).sql} p SET held = true
          FROM ${notesOf(notes, link.child).sql} s JOIN ${relationSql(link.childRelation)} t ON ${isNoted}
         WHERE s.held AND NOT p.held AND ${joinSql(link, notes)}`);
    }
  }
  let withheld = 0;
  for (const [index, root] of graph.roots.entries()) {
    withheld += await session.execute(`
      UPDATE ${candidatesTable(index)} d SET guards = d.guards | ${bitOf(guards, 'linked')}
        FROM ${notesOf(notes, root.table).sql} s
       WHERE s.held AND s.round = 0 AND s.part = d.part AND s.tid = d.tid`);
  }
  return withheld > 0;
}

async function noteUnlinked(
  session: Session,
  graph: OrderGraph,
  notes: Notes,
  isLocking: boolean,
): Promise<void> {
  for (const link of graph.unlinks) {
    const target = notes.unlinked.find((candidate) => candidate.table === link.child);
    if (!target) continue;
    const goes = notes.deleted.find((candidate) => candidate.table === link.child);
    const known = [target, ...(goes ? [goes] : [])].map(
      ({sql}) => `AND NOT EXISTS (SELECT 1 FROM ${sql} s WHERE s.part = t.tableoid AND s.tid = t.ctid)`,
    );
    await session.query(`
      WITH found AS (
        SELECT t.tableoid AS part, t.ctid AS tid, t.xmin AS ver${values(target)}
          FROM ${relationSql(link.childRelation)} t
         WHERE EXISTS (SELECT 1 FROM ${notesOf(notes, link.parent).sql} p WHERE ${joinSql(link, notes)}) ${known.join(' ')}
         ${isLocking ? 'FOR UPDATE OF t' : ''})
      INSERT INTO ${target.sql} (part, tid, ver, round${names(target)})
      SELECT part, tid, ver, 0${names(target)} FROM found`);
    await session.query(`ANALYZE ${target.sql}`);
  }
}

/** The notes of a table that rows are deleted from. */
export function notesOf(notes: Notes, table: Table): NotedRows {
  const found = notes.deleted.find((candidate) => candidate.table === table);
  if (!found) throw new Error(`no rows are noted for ${table.label}`);
  return found;
}

/** SQL condition: `t` refers by the link to the noted parent `p`. Stands in statements under the role's own search_path too. */
export function joinSql(link: Link, notes: Notes): string {
  const {stored} = notesOf(notes, link.parent);
  const pairs = link.childColumns.map((name, index) => {
    const parentColumn = link.parentColumns[index] ?? '';
    const child = `t.${quoteIdentifier(name)}`;
    const parent = `p.k${stored.indexOf(parentColumn)}`;
    // A soft link may hold the key as text.
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

function names(notes: NotedRows): string {
  return notes.stored.map((_name, index) => `, k${index}`).join('');
}

function values(notes: NotedRows): string {
  return notes.stored.map((name, index) => `, t.${quoteIdentifier(name)} AS k${index}`).join('');
}
