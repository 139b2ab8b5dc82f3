/** The planner's statistics of rows before the masks: a server that runs autovacuum can have collected them meanwhile. */
import {z} from 'zod';
import {AppError} from '../base/errors.js';
import {qualifiedName} from '../base/qualified-name.js';
import type {Session} from '../postgres/client.js';
import {parseRows, pgBoolean} from '../postgres/inspect/inspect-database.js';
import {quoteIdentifier, quoteQualified} from '../postgres/quote.js';
import {hasSqlState} from '../postgres/sql-state.js';

const statisticsRow = z.object({
  schema: z.string(),
  name: z.string(),
  inherited: pgBoolean,
  can_clear: pgBoolean,
});
type Statistics = z.infer<typeof statisticsRow>;
const positionRow = z.object({position: z.string().transform(Number)});

/** A query keeps its locks until its end, and the server has a fixed number of locks. */
const tablesAtOnce = 100;

/**
 * Removes the statistics of tables that have no rows now. They contain values of the rows before, and ANALYZE keeps them.
 * @param session in a database that nobody else uses
 * @throws MASK_INCOMPLETE if this role may not remove them
 */
export async function dropOldStatistics(session: Session): Promise<void> {
  const found = parseRows(
    statisticsRow,
    await session.query(
      `SELECT DISTINCT s.schemaname AS schema, s.tablename AS name, s.inherited,
              pg_catalog.current_setting('server_version_num')::int >= 180000 AS can_clear
         FROM pg_catalog.pg_stats s WHERE s.schemaname !~ '^pg_' AND s.schemaname <> 'information_schema'
          AND EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                       WHERE n.nspname = s.schemaname AND c.relname = s.tablename AND c.relkind IN ('r', 'p'))`,
    ),
  );
  const kept = await dropThem(session, await withoutRows(session, found));
  const left: Statistics[] = [];
  // Columns of children change with those of their parents, and not alone.
  for (const one of [...kept.filter(({inherited}) => inherited), ...kept.filter(({inherited}) => !inherited)])
    if (!(await setTypesAgain(session, one))) left.push(one);
  if (left.length === 0) return;
  const tables = [...new Set(left.map(qualifiedName))].sort().join(', ');
  throw new AppError(
    'MASK_INCOMPLETE',
    `The masked copy has no rows of ${tables}, but the server keeps statistics with values of those before, which this role may not remove.`,
    {
      hint: 'Give these tables "none" under "subset" in the config file, so that their rows are not restored, or use a superuser.',
    },
  );
}

async function withoutRows(session: Session, found: readonly Statistics[]): Promise<Statistics[]> {
  // Statistics over all partitions of a table need the locks of them all.
  const queries = found.filter(({inherited}) => inherited).map((one) => [one]);
  const alone = found.filter(({inherited}) => !inherited);
  for (let first = 0; first < alone.length; first += tablesAtOnce)
    queries.push(alone.slice(first, first + tablesAtOnce));
  const empty: Statistics[] = [];
  for (const tables of queries) {
    const hasRows = tables.map(
      ({schema, name, inherited}) =>
        `EXISTS (SELECT FROM ${inherited ? '' : 'ONLY '}${quoteQualified(schema, name)})`,
    );
    const rows = parseRows(
      positionRow,
      await session.query(
        `SELECT one.position FROM pg_catalog.unnest(ARRAY[${hasRows.join(', ')}]) WITH ORDINALITY AS one (has_rows, position)
          WHERE NOT one.has_rows`,
      ),
    );
    const positions = new Set(rows.map(({position}) => position));
    empty.push(...tables.filter((_table, index) => positions.has(index + 1)));
  }
  return empty;
}

const insufficientPrivilege = '42501';

/** @returns those that this role may not remove */
async function dropThem(session: Session, tables: readonly Statistics[]): Promise<readonly Statistics[]> {
  const [first] = tables;
  if (!first) return [];
  const listed = `unnest($1::text[], $2::text[], $3::boolean[]) AS listed (schema, name, inherited)`;
  try {
    await session.query(
      first.can_clear
        ? `SELECT pg_catalog.pg_clear_attribute_stats(s.schemaname::text, s.tablename::text, s.attname::text, s.inherited)
             FROM pg_catalog.pg_stats s JOIN ${listed}
               ON s.schemaname = listed.schema AND s.tablename = listed.name AND s.inherited = listed.inherited`
        : `DELETE FROM pg_catalog.pg_statistic s USING pg_catalog.pg_class c, pg_catalog.pg_namespace n, ${listed}
            WHERE c.oid = s.starelid AND n.oid = c.relnamespace
              AND n.nspname = listed.schema AND c.relname = listed.name AND s.stainherit = listed.inherited`,
      [
        tables.map(({schema}) => schema),
        tables.map(({name}) => name),
        tables.map(({inherited}) => String(inherited)),
      ],
    );
    return [];
  } catch (error) {
    if (!hasSqlState(error, insufficientPrivilege)) throw error;
    if (tables.length === 1) return tables;
  }
  // The role may have the right for some of them.
  const left: Statistics[] = [];
  for (const one of tables) left.push(...(await dropThem(session, [one])));
  return left;
}

const columnRow = z.object({
  name: z.string(),
  type: z.string(),
  collation: z.string().nullable(),
  is_plain: pgBoolean,
});

/**
 * Sets the types of the columns of an empty table again: with this the server removes their statistics, and the owner may do it, unless a view or a
 * generated column reads them or they are a part of a partition (ATExecAlterColumnType in tablecmds.c).
 * @returns whether the statistics are gone; columns with a storage or compression of their own, which would change too, keep them
 */
async function setTypesAgain(session: Session, {schema, name, inherited}: Statistics): Promise<boolean> {
  const table = quoteQualified(schema, name);
  const columns = parseRows(
    columnRow,
    await session.query(
      `SELECT a.attname AS name, pg_catalog.format_type(a.atttypid, a.atttypmod) AS type,
              (SELECT pg_catalog.format('%I.%I', n.nspname, l.collname) FROM pg_catalog.pg_collation l
                 JOIN pg_catalog.pg_namespace n ON n.oid = l.collnamespace WHERE l.oid = a.attcollation) AS collation,
              a.attstorage = t.typstorage AND coalesce(pg_catalog.to_jsonb(a) ->> 'attcompression', '') = '' AS is_plain
         FROM pg_catalog.pg_stats s
         JOIN pg_catalog.pg_attribute a ON a.attrelid = $1::pg_catalog.regclass AND a.attname = s.attname
         JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
        WHERE s.schemaname = $2 AND s.tablename = $3 AND s.inherited = $4`,
      [table, schema, name, String(inherited)],
    ),
  );
  if (columns.some(({is_plain}) => !is_plain)) return false;
  try {
    for (const {name: column, type, collation} of columns) {
      const one = quoteIdentifier(column);
      await session.query(
        collation === null
          ? `ALTER TABLE ${table} ALTER COLUMN ${one} TYPE ${type}`
          : `ALTER TABLE ${table} ALTER COLUMN ${one} TYPE ${type} COLLATE ${collation}`,
      );
    }
    return true;
  } catch (error) {
    if (!hasSqlState(error, '0A', '42')) throw error;
    return false;
  }
}
