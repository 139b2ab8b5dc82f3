/** Reads the properties and contents of a database from its catalogs. */
import {z} from 'zod';
import {AppError} from '../../base/errors.js';
import type {Session, TextRow} from '../client.js';
import {isVisibleSql, searchedSchemas} from '../search-path.js';

/** Parses rows at the boundary. @throws UNEXPECTED if they have a different shape */
export function parseRows<T extends z.ZodType>(schema: T, rows: readonly TextRow[]): z.infer<T>[] {
  const parsed = z.array(schema).safeParse(rows);
  if (parsed.success) return parsed.data;
  throw new AppError('UNEXPECTED', 'The server answered a catalog query in an unexpected shape.', {
    cause: parsed.error,
  });
}

/** Parses the answer to a query that always has one row. @throws UNEXPECTED also for any other number of rows */
export function parseOnlyRow<T extends z.ZodType>(schema: T, rows: readonly TextRow[]): z.infer<T> {
  const [row, second] = parseRows(schema, rows);
  if (row !== undefined && second === undefined) return row;
  throw new AppError(
    'UNEXPECTED',
    `The server answered a catalog query with ${rows.length} rows instead of one.`,
  );
}

/** A boolean in the server's text form. */
export const pgBoolean = z.enum(['t', 'f']).transform((text) => text === 't');
/** A count or size that fits a JavaScript number exactly (below 2^53). */
export const pgCount = z
  .string()
  .regex(/^-?\d+$/)
  .transform(Number)
  .pipe(z.int());

/** A value in the server's JSON. */
export function jsonText<T extends z.ZodType>(schema: T): z.ZodType<z.infer<T>> {
  return z
    .string()
    .transform((text): unknown => JSON.parse(text))
    .pipe(schema);
}

const identityRow = z.object({
  database: z.string(),
  version: z.string(),
  version_num: pgCount,
  is_standby: pgBoolean,
  is_template: pgBoolean,
  size: pgCount,
  encoding: z.string(),
  collation: z.string(),
  ctype: z.string(),
  owner: z.string(),
});

export interface DatabaseIdentity {
  readonly database: string;
  /** "15.18 (Debian 15.18-0+deb12u1)" */
  readonly version: string;
  readonly major: number;
  /** The cluster's own number; null if the role may not read it. */
  readonly systemIdentifier: string | null;
  readonly isStandby: boolean;
  /** The template of new databases. */
  readonly isTemplate: boolean;
  readonly sizeBytes: number;
  readonly owner: string;
  readonly locale: DatabaseLocale;
}

/** The parameters for CREATE DATABASE from template0. */
export interface DatabaseLocale {
  readonly encoding: string;
  readonly collation: string;
  readonly ctype: string;
  /** "libc", "icu" or "builtin". */
  readonly provider: string;
  /** Locale of the icu or builtin provider. */
  readonly providerLocale: string | null;
  readonly icuRules: string | null;
}

/** The cluster's own number; null if the role may not read it. */
export async function inspectSystemIdentifier(session: Session): Promise<string | null> {
  // In a single statement, the server would check the privilege even if the value is not needed.
  const [right] = await session.query(
    "SELECT pg_catalog.has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE') AS may_ask",
  );
  if (right?.['may_ask'] !== 't') return null;
  const [row] = await session.query('SELECT system_identifier::text FROM pg_catalog.pg_control_system()');
  return row?.['system_identifier'] ?? null;
}

export async function inspectIdentity(session: Session): Promise<DatabaseIdentity> {
  // Together, so that the server does not wait for this program between them.
  const [rows, systemIdentifier, provider] = await Promise.all([
    session.query(`
      SELECT d.datname AS database, current_setting('server_version') AS version,
             current_setting('server_version_num') AS version_num,
             pg_catalog.pg_is_in_recovery() AS is_standby, d.datistemplate AS is_template,
             pg_catalog.pg_database_size(d.oid) AS size,
             pg_catalog.pg_encoding_to_char(d.encoding) AS encoding, d.datcollate AS collation, d.datctype AS ctype,
             pg_catalog.pg_get_userbyid(d.datdba) AS owner
        FROM pg_catalog.pg_database d WHERE d.datname = current_database()`),
    inspectSystemIdentifier(session),
    inspectProvider(session),
  ]);
  const row = parseOnlyRow(identityRow, rows);
  return {
    database: row.database,
    version: row.version,
    major: Math.floor(row.version_num / 10_000),
    systemIdentifier,
    isStandby: row.is_standby,
    isTemplate: row.is_template,
    sizeBytes: row.size,
    owner: row.owner,
    locale: {
      encoding: row.encoding,
      collation: row.collation,
      ctype: row.ctype,
      ...provider,
    },
  };
}

const providerColumns = z.object({
  datlocprovider: z.string().exactOptional(),
  daticulocale: z.string().nullable().exactOptional(),
  datlocale: z.string().nullable().exactOptional(),
  daticurules: z.string().nullable().exactOptional(),
});
const providerRow = z.object({row: jsonText(providerColumns)});

/** The provider's columns were added in 15 and renamed in 17, so the row is read as JSON. */
async function inspectProvider(
  session: Session,
): Promise<Pick<DatabaseLocale, 'provider' | 'providerLocale' | 'icuRules'>> {
  const {row: columns} = parseOnlyRow(
    providerRow,
    await session.query(
      'SELECT pg_catalog.row_to_json(d) AS row FROM pg_catalog.pg_database d WHERE d.datname = current_database()',
    ),
  );
  const names: Readonly<Record<string, string>> = {c: 'libc', i: 'icu', b: 'builtin'};
  return {
    provider: names[columns.datlocprovider ?? 'c'] ?? 'libc',
    providerLocale: columns.datlocale ?? columns.daticulocale ?? null,
    icuRules: columns.daticurules ?? null,
  };
}

const tableRow = z.object({
  schema: z.string(),
  name: z.string(),
  size: pgCount,
  kind: z.string(),
  is_visible: pgBoolean,
  extension: z.string().nullable(),
  is_without_rows: pgBoolean,
});

export interface TableSize {
  readonly schema: string;
  readonly name: string;
  /**
   * Heap and TOAST as of the last VACUUM or ANALYZE, in bytes; 0 before the first. pg_total_relation_size would be
   * exact, but it waits for locks.
   */
  readonly sizeBytes: number;
  /** Partitioned parents do not have rows of their own. */
  readonly isPartitioned: boolean;
  /** Whether its unqualified name finds it. */
  readonly isVisible: boolean;
  /** The extension that owns the table, whose rows pg_dump leaves out; null if the extension requests a dump of them. */
  readonly extension: string | null;
  /** An unlogged table on a standby, where it has no rows and cannot be read (manual, CREATE TABLE); pg_dump writes only its definition there. */
  readonly isWithoutRows: boolean;
}

/** All tables of user schemas, largest first. Waits for no lock. */
export async function inspectTables(session: Session): Promise<TableSize[]> {
  const rows = parseRows(
    tableRow,
    await session.query(
      `
      SELECT n.nspname AS schema, c.relname AS name, c.relkind AS kind, ${isVisibleSql('$1::text[]')} AS is_visible,
             (c.relpages + coalesce(t.relpages, 0)) * current_setting('block_size')::bigint AS size,
             (SELECT e.extname FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
               WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.objsubid = 0
                 AND d.refclassid = 'pg_catalog.pg_extension'::regclass AND d.deptype = 'e'
                 AND NOT c.oid = ANY (coalesce(e.extconfig, '{}'))) AS extension,
             c.relpersistence = 'u' AND pg_catalog.pg_is_in_recovery() AS is_without_rows
        FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        LEFT JOIN pg_catalog.pg_class t ON t.oid = c.reltoastrelid
       WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
         AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
       ORDER BY size DESC, 1, 2`,
      [searchedSchemas(session)],
    ),
  );
  return rows.map((row) => ({
    schema: row.schema,
    name: row.name,
    sizeBytes: row.size,
    isPartitioned: row.kind === 'p',
    isVisible: row.is_visible,
    extension: row.extension,
    isWithoutRows: row.is_without_rows,
  }));
}

const hiddenRow = z.object({schema: z.string(), name: z.string(), why: z.enum(['rights', 'row security'])});

export interface HiddenTable {
  readonly schema: string;
  readonly name: string;
  /** "rights": no SELECT on the table or no USAGE on the schema; "row security": policies apply to this role. */
  readonly why: 'rights' | 'row security';
}

/** Tables that this role cannot read completely: a dump would fail or be incomplete. */
export async function inspectHiddenTables(session: Session): Promise<HiddenTable[]> {
  return parseRows(
    hiddenRow,
    await session.query(`
      SELECT n.nspname AS schema, c.relname AS name,
             CASE WHEN pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_table_privilege(c.oid, 'SELECT')
                  THEN 'row security' ELSE 'rights' END AS why
        FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
       WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
         AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
         AND (NOT pg_catalog.has_schema_privilege(n.oid, 'USAGE') OR NOT pg_catalog.has_table_privilege(c.oid, 'SELECT')
              OR pg_catalog.row_security_active(c.oid))
       ORDER BY 1, 2`),
  );
}
