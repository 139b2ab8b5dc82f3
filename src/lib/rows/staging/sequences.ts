/** Keeps sequences ahead of restored ids. */
import {z} from 'zod';
import {qualifiedName} from '../../base/qualified-name.js';
import type {Session} from '../../postgres/client.js';
import {parseRows, pgBoolean} from '../../postgres/inspect/inspect-database.js';
import {quoteLiteral, quoteQualified} from '../../postgres/quote.js';
import type {StagedTable} from './staged-table.js';

const sequenceRow = z.object({
  column_number: z.string(),
  schema: z.string(),
  name: z.string(),
  increment: z.string(),
  is_owner: pgBoolean,
});

/** Sequences that fill a column: owned by it (serial, identity) or named in its default. */
const sequencesSql = `
  SELECT DISTINCT a.attnum AS column_number, n.nspname AS schema, c.relname AS name, s.seqincrement::text AS increment,
         pg_catalog.pg_has_role(c.relowner, 'USAGE') AS is_owner
    FROM pg_catalog.pg_attribute a
    JOIN pg_catalog.pg_depend d ON
         d.classid = 'pg_catalog.pg_class'::regclass AND d.refclassid = 'pg_catalog.pg_class'::regclass
           AND d.refobjid = a.attrelid AND d.refobjsubid = a.attnum AND d.deptype IN ('a', 'i')
      OR d.classid = 'pg_catalog.pg_attrdef'::regclass AND d.refclassid = 'pg_catalog.pg_class'::regclass
           AND d.objid = (SELECT oid FROM pg_catalog.pg_attrdef WHERE adrelid = a.attrelid AND adnum = a.attnum)
    JOIN pg_catalog.pg_sequence s ON s.seqrelid = CASE WHEN d.classid = 'pg_catalog.pg_class'::regclass THEN d.objid ELSE d.refobjid END
    JOIN pg_catalog.pg_class c ON c.oid = s.seqrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
   WHERE a.attrelid = $1::pg_catalog.oid AND a.attnum > 0 AND NOT a.attisdropped
     AND a.atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype)`;

/**
 * Moves each sequence of the table to the furthest restored value where it is behind it, never back.
 * Returns "schema.name" of those that were moved. Part of the transaction where the role owns the sequence.
 */
export async function advanceSequences(session: Session, {temp, target}: StagedTable): Promise<string[]> {
  const moved: string[] = [];
  for (const row of parseRows(sequenceRow, await session.query(sequencesSql, [target.oid]))) {
    const sequence = quoteQualified(row.schema, row.name);
    const isDescending = row.increment.startsWith('-');
    const furthest = `(SELECT ${isDescending ? 'min' : 'max'}(c${row.column_number}) FROM ${temp} WHERE reason IS NULL)`;
    const isBehind = `(SELECT CASE WHEN is_called THEN last_value ${isDescending ? '>' : '<'} ${furthest}
      ELSE last_value ${isDescending ? '>=' : '<='} ${furthest} END FROM ${sequence})`;
    const [state] = await session.query(`SELECT ${isBehind} AS behind`);
    if (state?.['behind'] !== 't') continue;
    // ALTER SEQUENCE makes other sessions' nextval wait, so that the value cannot go back under them.
    if (row.is_owner) await session.query(`ALTER SEQUENCE ${sequence} INCREMENT BY ${row.increment}`);
    await session.query(`SELECT pg_catalog.setval(${quoteLiteral(sequence)}, ${furthest}) WHERE ${isBehind}`);
    moved.push(qualifiedName(row));
  }
  return moved;
}
