/** The contents of the target database of a restore, and the privileges of the role on it. */
import {z} from 'zod';
import type {Session} from '../client.js';
import {parseOnlyRow, parseRows, pgBoolean, pgCount} from './inspect-database.js';

const objectCounts = z.object({
  tables: pgCount,
  views: pgCount,
  sequences: pgCount,
  functions: pgCount,
  types: pgCount,
  schemas: pgCount,
  large_objects: pgCount,
});

/** User objects by kind, without those of extensions and an empty "public". */
export type ObjectCounts = z.infer<typeof objectCounts>;

const extensionOwned = (catalog: string, alias: string): string =>
  `EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.${catalog}'::regclass AND d.objid = ${alias}.oid AND d.deptype = 'e')`;

const userSchema = (column: string): string =>
  `${column} IN (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema')`;

const relations = (kinds: string): string =>
  `(SELECT count(*) FROM pg_catalog.pg_class c WHERE c.relkind = ANY ('${kinds}'::"char"[]) AND c.relpersistence <> 't'
     AND ${userSchema('c.relnamespace')} AND NOT ${extensionOwned('pg_class', 'c')})`;

/** Counts the objects that a restore would find. */
export async function countObjects(session: Session): Promise<ObjectCounts> {
  return parseOnlyRow(
    objectCounts,
    await session.query(`SELECT
      ${relations('{r,p,f}')} AS tables, ${relations('{v,m}')} AS views, ${relations('{S}')} AS sequences,
      (SELECT count(*) FROM pg_catalog.pg_proc p WHERE ${userSchema('p.pronamespace')} AND NOT ${extensionOwned('pg_proc', 'p')}) AS functions,
      (SELECT count(*) FROM pg_catalog.pg_type t WHERE t.typtype IN ('e', 'd', 'r') AND ${userSchema('t.typnamespace')}
          AND NOT ${extensionOwned('pg_type', 't')}) AS types,
      (SELECT count(*) FROM pg_catalog.pg_namespace n WHERE n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'public')
          AND NOT ${extensionOwned('pg_namespace', 'n')}) AS schemas,
      (SELECT count(*) FROM pg_catalog.pg_largeobject_metadata) AS large_objects`),
  );
}

export function isEmptyDatabase(counts: ObjectCounts): boolean {
  return Object.values(counts).every((count) => count === 0);
}

/** "5 tables, 1 view" */
export function describeObjects(counts: ObjectCounts): string {
  const parts = Object.entries(counts).flatMap(([kind, count]) => {
    if (count === 0) return [];
    const plural = kind.replace('_', ' ');
    return [`${count} ${count === 1 ? plural.replace(/s$/, '') : plural}`];
  });
  return parts.join(', ') || 'nothing';
}

const roleRow = z.object({
  name: z.string(),
  is_superuser: pgBoolean,
  can_create_databases: pgBoolean,
  can_create_roles: pgBoolean,
  bypasses_row_security: pgBoolean,
  server_major: pgCount,
});

export interface RoleRights {
  readonly name: string;
  readonly isSuperuser: boolean;
  readonly canCreateDatabases: boolean;
  readonly canCreateRoles: boolean;
  /** Whether it sees all rows in spite of policies. */
  readonly bypassesRowSecurity: boolean;
  readonly serverMajor: number;
}

/** The privileges of the session's role on the server. */
export async function inspectRole(session: Session): Promise<RoleRights> {
  const row = parseOnlyRow(
    roleRow,
    await session.query(`
      SELECT rolname AS name, rolsuper AS is_superuser, rolcreatedb OR rolsuper AS can_create_databases, rolcreaterole OR rolsuper AS can_create_roles, rolbypassrls OR rolsuper AS bypasses_row_security,
             current_setting('server_version_num')::int / 10000 AS server_major
        FROM pg_catalog.pg_roles WHERE rolname = current_user`),
  );
  return {
    name: row.name,
    isSuperuser: row.is_superuser,
    canCreateDatabases: row.can_create_databases,
    canCreateRoles: row.can_create_roles,
    bypassesRowSecurity: row.bypasses_row_security,
    serverMajor: row.server_major,
  };
}

/**
 * SQL: whether the session's role may both give objects to the role with the oid and continue to work on them as its own. From
 * 16 on a membership may lack either (manual, GRANT); NOINHERIT has always prevented the second one.
 */
export const mayActFor = (
  oid: string,
): string => `(pg_catalog.pg_has_role(${oid}, 'USAGE') AND pg_catalog.pg_has_role(${oid},
  CASE WHEN current_setting('server_version_num')::int >= 160000 THEN 'SET' ELSE 'MEMBER' END))`;

/** The `roles` that do not exist, and existing ones that the session's role may not act for. */
export async function inspectRoleNames(
  session: Session,
  roles: readonly string[],
): Promise<{missing: string[]; foreign: string[]}> {
  const rows = parseRows(
    z.object({name: z.string(), exists: pgBoolean, may_act: pgBoolean}),
    await session.query(
      `SELECT wanted AS name, r.oid IS NOT NULL AS exists, coalesce(${mayActFor('r.oid')}, false) AS may_act
         FROM unnest($1::text[]) AS wanted LEFT JOIN pg_catalog.pg_roles r ON r.rolname = wanted ORDER BY 1`,
      [roles],
    ),
  );
  return {
    missing: rows.filter((row) => !row.exists).map((row) => row.name),
    foreign: rows.filter((row) => row.exists && !row.may_act).map((row) => row.name),
  };
}

/** The `roles` that exist and are not superusers. */
export async function findWeakRoles(session: Session, roles: readonly string[]): Promise<string[]> {
  const rows = await session.query(
    'SELECT rolname AS name FROM pg_catalog.pg_roles WHERE rolname = ANY ($1::text[]) AND NOT rolsuper ORDER BY 1',
    [roles],
  );
  return rows.map((row) => row['name'] ?? '');
}

/** The `extensions` that the server cannot install. */
export async function findMissingExtensions(
  session: Session,
  extensions: readonly string[],
): Promise<string[]> {
  const rows = parseRows(
    z.object({name: z.string()}),
    await session.query(
      `SELECT wanted AS name FROM unnest($1::text[]) AS wanted
        WHERE wanted NOT IN (SELECT name FROM pg_catalog.pg_available_extensions)
          AND wanted NOT IN (SELECT extname FROM pg_catalog.pg_extension) ORDER BY 1`,
      [extensions],
    ),
  );
  return rows.map((row) => row.name);
}

/** The `extensions` that the role cannot install into a new database: manual, CREATE EXTENSION, "trusted". */
export async function findUninstallableExtensions(
  session: Session,
  extensions: readonly string[],
): Promise<string[]> {
  const rows = parseRows(
    z.object({name: z.string()}),
    await session.query(
      `SELECT w.name FROM unnest($1::text[]) AS w(name)
        WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_available_extension_versions v
               WHERE v.name = w.name AND (v.trusted OR NOT v.superuser OR (SELECT r.rolsuper FROM pg_catalog.pg_roles r WHERE r.rolname = current_user)))
        ORDER BY 1`,
      [extensions],
    ),
  );
  return rows.map((row) => row.name);
}

/** Whether the server has a database of that name. */
export async function databaseExists(session: Session, name: string): Promise<boolean> {
  return (await session.query('SELECT 1 FROM pg_catalog.pg_database WHERE datname = $1', [name])).length > 0;
}

/** The `names` without an object in the database: table, view, sequence, function, type, collation, operator class or similar. */
export async function findMissingNames<T extends {readonly schema: string; readonly name: string}>(
  session: Session,
  names: readonly T[],
): Promise<T[]> {
  const named = (catalog: string, prefix: string): string =>
    `SELECT ${prefix}namespace AS schema, ${prefix}name::text AS name FROM pg_catalog.${catalog}`;
  const catalogs = [
    ['pg_class', 'rel'], ['pg_proc', 'pro'], ['pg_type', 'typ'], ['pg_collation', 'coll'], ['pg_opclass', 'opc'], ['pg_opfamily', 'opf'],
    ['pg_ts_config', 'cfg'], ['pg_ts_dict', 'dict'],
  ]; // prettier-ignore
  const rows = parseRows(
    z.object({place: pgCount}),
    await session.query(
      `SELECT w.place FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS w(schema, name, place)
        WHERE (w.schema, w.name) NOT IN (
          SELECT n.nspname::text, o.name FROM pg_catalog.pg_namespace n
            JOIN (${catalogs.map(([catalog = '', prefix = '']) => named(catalog, prefix)).join(' UNION ALL ')}) o ON o.schema = n.oid)`,
      [names.map(({schema}) => schema), names.map(({name}) => name)],
    ),
  );
  const missing = new Set(rows.map(({place}) => place));
  return names.filter((_name, index) => missing.has(index + 1));
}

/** The `schemas` that the database does not have. */
export async function findMissingSchemas(session: Session, schemas: readonly string[]): Promise<string[]> {
  const rows = await session.query(
    'SELECT w AS name FROM unnest($1::text[]) AS w WHERE w NOT IN (SELECT nspname::text FROM pg_catalog.pg_namespace)',
    [schemas],
  );
  return rows.map((row) => row['name'] ?? '');
}

/** The `extensions` that are installed in the database. */
export async function findInstalledExtensions(
  session: Session,
  extensions: readonly string[],
): Promise<string[]> {
  const rows = await session.query(
    'SELECT extname AS name FROM pg_catalog.pg_extension WHERE extname = ANY ($1::text[]) ORDER BY 1',
    [extensions],
  );
  return rows.map((row) => row['name'] ?? '');
}
