/** Finds the tables of a dump in a database, and those that contain rows. */
import {z} from 'zod';
import {qualifiedName} from '../../base/qualified-name.js';
import {type NamedTable, quoteQualified} from '../quote.js';
import type {Session} from '../client.js';
import {parseOnlyRow, parseRows, pgBoolean} from './inspect-database.js';

const nameRow = z.object({position: z.string().transform(Number)});

/** The `tables` that do not exist. Large objects (pg_catalog.pg_largeobject) always exist. */
export async function findMissingTables<T extends NamedTable>(
  session: Session,
  tables: readonly T[],
): Promise<T[]> {
  const rows = parseRows(
    nameRow,
    await session.query(
      `SELECT wanted.position FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS wanted (schema, name, position)
        WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                           WHERE n.nspname = wanted.schema AND c.relname = wanted.name AND c.relkind IN ('r', 'p', 'm'))`,
      [tables.map((table) => table.schema), tables.map((table) => table.name)],
    ),
  );
  const missing = new Set(rows.map((row) => row.position));
  return tables.filter((_table, index) => missing.has(index + 1));
}

/** For each of `tables`, which must exist, the columns that it lacks. */
export async function findMissingColumns(
  session: Session,
  tables: readonly (NamedTable & {readonly columns: readonly string[]})[],
): Promise<string[][]> {
  const missing: string[][] = [];
  for (const {schema, name, columns} of tables) {
    // Large objects are compared as rows with columns of this program.
    const rows =
      schema === 'pg_catalog'
        ? []
        : await session.query(
            `SELECT wanted FROM pg_catalog.unnest($3::pg_catalog.text[]) AS wanted
              WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_class c
                JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
                JOIN pg_catalog.pg_attribute a ON a.attrelid OPERATOR(pg_catalog.=) c.oid
               WHERE n.nspname OPERATOR(pg_catalog.=) $1 AND c.relname OPERATOR(pg_catalog.=) $2
                 AND a.attname OPERATOR(pg_catalog.=) wanted AND NOT a.attisdropped)`,
            [schema, name, [...columns]],
          );
    missing.push(rows.map((row) => row['wanted'] ?? ''));
  }
  return missing;
}

const partRow = z.object({schema: z.string(), name: z.string(), condition: z.string()});

/**
 * The rows that pg_dump writes of tables of extensions: these have rows that CREATE EXTENSION makes, and name the others by a condition, such as
 * spatial_ref_sys of PostGIS (manual, 38.17.3, "Extension Configuration Tables").
 * @returns the condition as pg_dump runs it, "WHERE ...", by "schema.table"
 */
export async function readDumpedParts(session: Session): Promise<ReadonlyMap<string, string>> {
  const rows = await session.query(
    `SELECT n.nspname AS schema, c.relname AS name, one.condition
       FROM pg_catalog.pg_extension e
      CROSS JOIN LATERAL ROWS FROM (pg_catalog.unnest(e.extconfig), pg_catalog.unnest(e.extcondition)) AS one (oid, condition)
       JOIN pg_catalog.pg_class c ON c.oid = one.oid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      WHERE one.condition <> ''`,
  );
  return new Map(parseRows(partRow, rows).map((row) => [qualifiedName(row), row.condition]));
}

/** The `tables`, which must exist, with at least one row that pg_dump would write. */
export async function findFilledTables<T extends NamedTable>(
  session: Session,
  tables: readonly T[],
): Promise<T[]> {
  const filled: T[] = [];
  const parts = await readDumpedParts(session);
  for (const table of tables) {
    // Large objects are in a catalog, which is never empty; their numbers do not collide with rows.
    if (table.schema === 'pg_catalog') continue;
    const part = parts.get(qualifiedName(table)) ?? '';
    const sql = `SELECT EXISTS (SELECT FROM ONLY ${quoteQualified(table.schema, table.name)} ${part}) AS filled`;
    if (parseOnlyRow(z.object({filled: pgBoolean}), await session.query(sql)).filled) filled.push(table);
  }
  return filled;
}
