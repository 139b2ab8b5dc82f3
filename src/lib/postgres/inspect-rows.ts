/** Counts and existence of rows, table by table. */
import {z} from 'zod';
import type {NamedTable} from './archive-list.js';
import type {Session} from './client.js';
import {parseRows, pgBoolean, pgCount} from './inspect-database.js';
import {quoteQualified} from './quote.js';

/** Which of `tables` hold a row, and which do not exist. */
export async function inspectFilledTables(
  session: Session,
  tables: readonly NamedTable[],
): Promise<{filled: NamedTable[]; missing: NamedTable[]}> {
  const filled: NamedTable[] = [];
  const missing: NamedTable[] = [];
  for (const table of tables) {
    if (isLargeObjects(table)) continue; // their numbers do not collide with rows
    if (!(await tableExists(session, table))) {
      missing.push(table);
      continue;
    }
    const sql = `SELECT EXISTS (SELECT FROM ONLY ${quoteQualified(table.schema, table.name)}) AS filled`;
    const [row] = parseRows(z.object({filled: pgBoolean}), await session.query(sql));
    if (row?.filled === true) filled.push(table);
  }
  return {filled, missing};
}

/** Large objects are dumped and counted like the rows of a table (see dump-contents). */
function isLargeObjects(table: NamedTable): boolean {
  return table.schema === 'pg_catalog' && table.name === 'pg_largeobject';
}

/** Rows of the table itself, not of its children, as a dump holds them; null when there is no such table. */
export async function countRows(session: Session, table: NamedTable): Promise<number | null> {
  if (isLargeObjects(table)) {
    const sql = 'SELECT count(*) AS rows FROM pg_catalog.pg_largeobject_metadata';
    return parseRows(z.object({rows: pgCount}), await session.query(sql))[0]?.rows ?? null;
  }
  if (!(await tableExists(session, table))) return null;
  const sql = `SELECT count(*) AS rows FROM ONLY ${quoteQualified(table.schema, table.name)}`;
  const [row] = parseRows(z.object({rows: pgCount}), await session.query(sql));
  return row?.rows ?? null;
}

async function tableExists(session: Session, {schema, name}: NamedTable): Promise<boolean> {
  const sql = `SELECT 1 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p', 'm')`;
  return (await session.query(sql, [schema, name])).length > 0;
}
