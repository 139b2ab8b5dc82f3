/** The rows before the masks: kept in a schema of their own until the masks are checked, and loaded there where that is possible. */
import {randomBytes} from 'node:crypto';
import {z} from 'zod';
import {AppError} from '../base/errors.js';
import {qualifiedName} from '../base/qualified-name.js';
import {type Session, withTransaction} from '../postgres/client.js';
import {inSessions, type Workers} from '../postgres/in-sessions.js';
import {parseOnlyRow, parseRows, pgBoolean, pgCount} from '../postgres/inspect/inspect-database.js';
import {type NamedTable, quoteIdentifier, quoteLiteral, quoteQualified} from '../postgres/quote.js';
import {hasSqlState} from '../postgres/sql-state.js';
import type {Step} from '../progress/progress.js';
import {columnName} from '../settings/column-name.js';
import {fromTable, type MaskPlan} from './plan-masks.js';
import type {Column, Table} from './read-tables.js';
import {prepareSession} from './work-sessions.js';
import {addressesIn, canContainText, textsOf} from './text-columns.js';

export interface Originals {
  /** The schema; nobody but the role that made it can use it. */
  readonly schema: string;
  /** Rows by "schema.table". */
  readonly rows: ReadonlyMap<string, number>;
  /** Makes the hashes of this run comparable with no others. */
  readonly seed: string;
}

/** The table with the rows of a masked table before. */
export function originalOf({schema}: Pick<Originals, 'schema'>, {oid}: Pick<Table, 'oid'>): string {
  return quoteQualified(schema, originalName(schema, oid));
}

const originalName = (schema: string, oid: string): string => `${schema}_${oid}`;

/** The schema of the rows before, and the tables whose rows are loaded into it. */
export interface LoadedOriginals {
  readonly schema: string;
  readonly tables: readonly LoadedTable[];
}

const loadedTable = z.object({schema: z.string(), name: z.string(), oid: z.string()});
type LoadedTable = z.infer<typeof loadedTable>;

async function makeSchema(session: Session): Promise<string> {
  const schema = `destino_masks_${randomBytes(6).toString('hex')}`;
  await session.query(`CREATE SCHEMA ${quoteIdentifier(schema)}`);
  // A crash empties unlogged tables: the row without a hash shows that there was none.
  await session.query(
    `CREATE UNLOGGED TABLE ${addressTable({schema})} (hash bigint); INSERT INTO ${addressTable({schema})} VALUES (NULL)`,
  );
  return schema;
}

/**
 * Whether the rows of a dump, or the code that runs while they are loaded, can refer to a table by more than its name: by its oid in a value of a type
 * such as regclass, or in a check, a generated column or a partition key with a function of a user. The functions of extensions are trusted.
 * $1 and $2: schemas and names of tables that get no rows, in which nothing is read or run; their row types count where another object uses them.
 */
const refersToTables = `
  WITH unfilled AS (SELECT c.oid FROM unnest($1::text[], $2::text[]) AS u (schema, name)
                      JOIN pg_catalog.pg_namespace n ON n.nspname = u.schema
                      JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = u.name
                      JOIN pg_catalog.pg_type t ON t.oid = c.reltype
                     WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass
                                          AND d.refobjid IN (t.oid, t.typarray) AND d.deptype = 'n')),
       named AS (SELECT t.oid, t.typarray FROM pg_catalog.pg_type t WHERE t.typnamespace = 'pg_catalog'::pg_catalog.regnamespace
                    AND t.typname IN ('regclass', 'regtype', 'regprocedure', 'regoperator')),
       types AS (SELECT n.oid FROM named n UNION SELECT n.typarray FROM named n),
       code AS (SELECT 'pg_catalog.pg_constraint'::pg_catalog.regclass::pg_catalog.oid AS class, c.oid, pg_catalog.pg_get_constraintdef(c.oid) AS sql
                  FROM pg_catalog.pg_constraint c WHERE c.contype = 'c' AND c.conrelid NOT IN (SELECT u.oid FROM unfilled u)
                UNION ALL
                SELECT 'pg_catalog.pg_attrdef'::pg_catalog.regclass, d.oid, pg_catalog.pg_get_expr(d.adbin, d.adrelid)
                  FROM pg_catalog.pg_attrdef d JOIN pg_catalog.pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
                 WHERE a.attgenerated <> '' AND d.adrelid NOT IN (SELECT u.oid FROM unfilled u)
                UNION ALL
                SELECT 'pg_catalog.pg_class'::pg_catalog.regclass, p.partrelid, pg_catalog.pg_get_expr(p.partexprs, p.partrelid)
                  FROM pg_catalog.pg_partitioned_table p)
  SELECT EXISTS (SELECT FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
                  WHERE c.oid >= 16384 AND c.oid NOT IN (SELECT u.oid FROM unfilled u) AND c.relkind IN ('r', 'p', 'c', 'f') AND a.attnum > 0 AND a.atttypid IN (SELECT t.oid FROM types t))
      OR EXISTS (SELECT FROM pg_catalog.pg_type t WHERE t.typbasetype IN (SELECT types.oid FROM types))
      OR EXISTS (SELECT FROM pg_catalog.pg_range r WHERE r.rngsubtype IN (SELECT t.oid FROM types t))
      OR EXISTS (SELECT FROM code c WHERE c.sql ~ '\\mreg(class|type|procedure|operator)\\M')
      OR EXISTS (SELECT FROM code c JOIN pg_catalog.pg_depend d ON d.classid = c.class AND d.objid = c.oid
                  WHERE d.refclassid IN ('pg_catalog.pg_proc'::pg_catalog.regclass, 'pg_catalog.pg_operator'::pg_catalog.regclass)
                    AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend e WHERE e.classid = d.refclassid AND e.objid = d.refobjid AND e.deptype = 'e')) AS refers`;

/**
 * Gives the names of tables to empty ones until `endLoad`, so that their rows are loaded where those before the masks are kept, instead of copied
 * there later. Left out are partitions, tables that inherit or that others inherit from, those whose array type could get another name, and those that
 * this role may not rename; and all of them where anything of the dump could notice.
 * @param session in a database with its tables and no rows
 * @param tables those to be masked
 * @param unfilled those that get no rows, or that the masks empty
 */
export async function beginLoad(
  session: Session,
  tables: readonly NamedTable[],
  unfilled: readonly NamedTable[] = [],
): Promise<LoadedOriginals> {
  const schema = await makeSchema(session);
  const without = [unfilled.map((table) => table.schema), unfilled.map(({name}) => name)];
  const {refers} = parseOnlyRow(z.object({refers: pgBoolean}), await session.query(refersToTables, without));
  if (refers) return {schema, tables: []};
  const meant = new Set(tables.map(qualifiedName));
  const single = parseRows(
    loadedTable,
    await session.query(
      `SELECT n.nspname AS schema, c.relname AS name, c.oid::text
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         JOIN pg_catalog.pg_type t ON t.oid = c.reltype
         JOIN pg_catalog.pg_type a ON a.oid = t.typarray AND a.typname = '_' || c.relname
        WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND NOT c.relispartition AND c.reloftype = 0
          AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE c.oid IN (i.inhrelid, i.inhparent))
          AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                           WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e')
        ORDER BY c.oid`,
    ),
  ).filter((table) => meant.has(qualifiedName(table)));
  const begun: LoadedTable[] = [];
  for (const table of single) if (await beginTable(session, schema, table)) begun.push(table);
  return {schema, tables: begun};
}

const waitingName = (schema: string, oid: string): string => `${schema}_${oid}_masked`;

async function beginTable(session: Session, to: string, {schema, name, oid}: LoadedTable): Promise<boolean> {
  const waiting = waitingName(to, oid);
  try {
    await withTransaction(session, '', async () => {
      await session.query(
        `ALTER TABLE ${quoteQualified(schema, name)} RENAME TO ${quoteIdentifier(waiting)}`,
      );
      await session.query(
        `CREATE UNLOGGED TABLE ${quoteQualified(schema, name)} (LIKE ${quoteQualified(schema, waiting)} INCLUDING GENERATED)`,
      );
    });
    return true;
  } catch (error) {
    if (hasSqlState(error, '42501')) return false;
    throw error;
  }
}

/** Gives the names back, and puts the loaded rows aside. */
export async function endLoad(session: Session, {schema: to, tables}: LoadedOriginals): Promise<void> {
  for (const {schema, name, oid} of tables)
    await withTransaction(session, '', async () => {
      const aside = originalName(to, oid);
      await session.query(`ALTER TABLE ${quoteQualified(schema, name)} RENAME TO ${quoteIdentifier(aside)}`);
      await session.query(`ALTER TABLE ${quoteQualified(schema, aside)} SET SCHEMA ${quoteIdentifier(to)}`);
      await session.query(
        `ALTER TABLE ${quoteQualified(schema, waitingName(to, oid))} RENAME TO ${quoteIdentifier(name)}`,
      );
    });
}

/** The state of a database that was loaded and compared with its dump. */
export interface LoadedRows {
  /** Given after `endLoad`. */
  readonly loaded: LoadedOriginals | undefined;
  /** Rows of the compared tables, by "schema.table". */
  readonly compared: ReadonlyMap<string, number>;
}

/** Copies the rows of the masked tables that were not loaded there, and counts those that were not compared. */
export async function keepOriginals(
  workers: Workers,
  plan: MaskPlan,
  step: Step,
  {loaded, compared}: LoadedRows = {loaded: undefined, compared: new Map()},
): Promise<Originals> {
  const rows = new Map<string, number>();
  const seed = randomBytes(8).readBigInt64BE().toString();
  const isLoaded = new Set(loaded?.tables.map(({oid}) => oid));
  const isMasked = new Map(plan.tables.map(({table}) => [table.oid, table]));
  const isEmptied = new Set(plan.emptied.map(qualifiedName));
  const others = plan.all.filter(({kind, oid}) => kind === 'table' && !isMasked.has(oid));
  let schema = loaded?.schema ?? '';
  if (!loaded)
    await inSessions(workers, [
      async (session) => {
        schema = await makeSchema(session);
      },
    ]);
  const originals = {schema, rows, seed};
  await inSessions(
    workers,
    [
      ...[...isMasked.values()].map((table) => async (session: Session) => {
        step.working(qualifiedName(table));
        if (isLoaded.has(table.oid)) {
          rows.set(
            qualifiedName(table),
            compared.get(qualifiedName(table)) ?? (await countRows(session, originalOf(originals, table))),
          );
          return;
        }
        const columns = table.columns.map(({name}) => quoteIdentifier(name)).join(', ');
        const copied = await session.execute(
          `CREATE UNLOGGED TABLE ${originalOf(originals, table)} AS SELECT ${columns} FROM ${fromTable(table)}`,
        );
        rows.set(qualifiedName(table), copied);
      }),
      ...others.map((table) => async (session: Session) => {
        // A partitioned table has no rows of its own, and the comparison need not read all of an extension's.
        const known = table.hasParts || table.isOfExtension ? undefined : compared.get(qualifiedName(table));
        rows.set(qualifiedName(table), known ?? (await countRows(session, fromTable(table))));
        // No address is in the other columns: a search for personal data has read them.
        const unread = table.columns.filter(
          (column) =>
            canContainText(column) && (isEmptied.has(qualifiedName(table)) || isUnread(plan, table, column)),
        );
        await recordAddresses(session, originals, fromTable(table), unread);
      }),
    ],
    prepareSession,
  );
  return originals;
}

/** Whether the search for personal data has not read the column: the server computes it, from columns that can have a rule, and it has none. */
export function isUnread({kept}: MaskPlan, {schema, name}: Table, column: Column): boolean {
  const label = columnName(schema, name, column.name);
  return column.generated && !kept.some((one) => one.column === label);
}

/** The hashes of e-mail addresses before the masks. */
export function addressTable({schema}: Pick<Originals, 'schema'>): string {
  return quoteQualified(schema, 'addresses');
}

export function hashOf(text: string, {seed}: Originals): string {
  return `hashtextextended(${text} COLLATE "C", ${quoteLiteral(seed)}::bigint)`;
}

/** Adds the addresses in the columns to those before the masks. */
export async function recordAddresses(
  session: Session,
  originals: Originals,
  from: string,
  columns: readonly Column[],
): Promise<void> {
  if (columns.length > 0)
    await session.query(
      `INSERT INTO ${addressTable(originals)} (hash) SELECT DISTINCT ${hashOf('found.address', originals)} FROM ${addressesIn(textsOf(from, columns))}`,
    );
}

/** @param from the table, as SQL */
export async function countRows(session: Session, from: string): Promise<number> {
  const row = z.object({rows: pgCount});
  return parseOnlyRow(row, await session.query(`SELECT count(*) AS rows FROM ${from}`)).rows;
}

/** @throws CONNECTION_LOST after a crash of the server, which emptied the tables with the rows before */
export async function requireOriginals(
  session: Session,
  originals: Pick<Originals, 'schema'>,
): Promise<void> {
  const row = z.object({kept: pgCount});
  const {kept} = parseOnlyRow(
    row,
    await session.query(`SELECT count(*) AS kept FROM ${addressTable(originals)} a WHERE a.hash IS NULL`),
  );
  if (kept === 0)
    throw new AppError(
      'CONNECTION_LOST',
      'The server crashed during this run, and lost the rows before the masks.',
      {
        hint: 'Run the command again.',
      },
    );
}

export async function dropOriginals(workers: Workers, {schema}: Originals): Promise<void> {
  await inSessions(workers, [
    async (session) => {
      await session.query(`DROP SCHEMA ${quoteIdentifier(schema)} CASCADE`);
    },
  ]);
}
