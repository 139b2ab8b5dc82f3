/**
 * Finds every row that goes with the chosen orders and notes where it is, in temporary tables on the server.
 *
 * A noted row is a version: (tableoid, ctid, xmin). A row that another session changes afterwards has another version,
 * so what is backed up and what is deleted can differ only by a count, which is compared.
 */
import type {Session} from '../postgres/client.js';
import {quoteIdentifier} from '../postgres/quote.js';
import type {Link, OrderGraph} from './foreign-key-graph.js';
import type {Table} from './read-catalog.js';
import {
  candidatesTable,
  columnType,
  customerJoinSql,
  guardsSql,
  relationSql,
  type Selection,
} from './select-orders.js';

/** A temporary table of noted rows. */
export interface NotedRows {
  readonly table: Table;
  /** Its quoted name. */
  readonly sql: string;
  /** Columns of the table that are noted too, as k0, k1, ...: the key and what links point to. */
  readonly stored: readonly string[];
}

export interface Notes {
  /** In insert order: the rows to delete. */
  readonly deleted: readonly NotedRows[];
  /** Rows that stay and lose a link. */
  readonly unlinked: readonly NotedRows[];
}

/** Which temporary tables a cleaning needs. */
export function notesFor(graph: OrderGraph): Notes {
  const links = [...graph.links, ...graph.unlinks];
  const kept = [...new Set(graph.unlinks.map((link) => link.child))];
  return {
    deleted: graph.tables.map((table, index) => ({
      table,
      sql: `pg_temp."destino_db_rows_${index}"`,
      stored: [
        ...new Set([
          ...table.key,
          ...links.filter((link) => link.parent === table).flatMap((link) => link.parentColumns),
        ]),
      ],
    })),
    unlinked: kept.map((table, index) => ({
      table,
      sql: `pg_temp."destino_db_unlinked_${index}"`,
      stored: table.key,
    })),
  };
}

export async function createNotes(session: Session, notes: Notes): Promise<void> {
  for (const {table, sql, stored} of [...notes.deleted, ...notes.unlinked]) {
    const columns = stored.map((name, index) => `k${index} ${columnType(table, name)}`);
    await session.query(`
      CREATE TEMPORARY TABLE ${sql} (part oid, tid tid, ver xid, round integer, held boolean DEFAULT false,
        ${columns.map((column) => `${column}, `).join('')}seq bigint GENERATED ALWAYS AS IDENTITY (CACHE 1000))`);
  }
}

/** `t` is the row that `s` notes. */
export const isNoted = 't.tableoid = s.part AND t.ctid = s.tid AND t.xmin = s.ver';

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
      SELECT t.tableoid, t.ctid, t.xmin, 0${values(target, 't')}
        FROM ${relationSql(root.table)} t JOIN ${candidatesTable(index)} s ON ${isNoted} WHERE s.guards = '{}'`);
    await session.query(`ANALYZE ${target.sql}`);
    if (added > 0) frontier.add(root.table);
  }
  for (let round = 1; frontier.size > 0; round += 1) {
    const next = new Set<Table>();
    for (const link of graph.links) {
      if (!frontier.has(link.parent)) continue;
      const target = notesOf(notes, link.child);
      // Rows at the end of all links cannot get children; their version is compared instead.
      const isParent = [...graph.links, ...graph.unlinks].some((other) => other.parent === link.child);
      const added = await session.execute(`
        WITH found AS (
          SELECT t.tableoid AS part, t.ctid AS tid, t.xmin AS ver${values(target, 't', true)}
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
    held += await session.execute(`
      UPDATE ${sql} s SET held = true
        FROM ${relationSql(root.table)} t ${customerJoinSql(root.profile)}
       WHERE s.round > 0 AND ${isNoted} AND ${guardsSql(selection, root)} <> '{}'`);
  }
  if (held === 0) return false;
  while (held > 0) {
    held = 0;
    for (const link of graph.links) {
      held += await session.execute(`
        UPDATE ${notesOf(notes, link.parent).sql} p SET held = true
          FROM ${notesOf(notes, link.child).sql} s JOIN ${relationSql(link.childRelation)} t ON ${isNoted}
         WHERE s.held AND NOT p.held AND ${joinSql(link, notes)}`);
    }
  }
  let withheld = 0;
  for (const [index, root] of graph.roots.entries()) {
    withheld += await session.execute(`
      UPDATE ${candidatesTable(index)} d SET guards = d.guards || '{linked}'
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
        SELECT t.tableoid AS part, t.ctid AS tid, t.xmin AS ver${values(target, 't', true)}
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

/** `t` refers by the link to the noted parent `p`. */
function joinSql(link: Link, notes: Notes): string {
  const {stored} = notesOf(notes, link.parent);
  const pairs = link.childColumns.map((name, index) => {
    const parentColumn = link.parentColumns[index] ?? '';
    const child = `t.${quoteIdentifier(name)}`;
    const parent = `p.k${stored.indexOf(parentColumn)}`;
    // A soft link may hold the key as text.
    return columnType(link.child, name) === columnType(link.parent, parentColumn) || !link.isSoft
      ? `${child} = ${parent}`
      : `${child}::pg_catalog.text = ${parent}::pg_catalog.text`;
  });
  if (link.parentRelation !== link.parent) {
    pairs.push(
      `p.part IN (SELECT relid::oid FROM pg_catalog.pg_partition_tree(${link.parentRelation.oid}) UNION ALL SELECT ${link.parentRelation.oid}::oid)`,
    );
  }
  return pairs.join(' AND ');
}

function names(notes: NotedRows): string {
  return notes.stored.map((_name, index) => `, k${index}`).join('');
}

function values(notes: NotedRows, alias: string, isNamed = false): string {
  return notes.stored
    .map((name, index) => `, ${alias}.${quoteIdentifier(name)}${isNamed ? ` AS k${index}` : ''}`)
    .join('');
}
