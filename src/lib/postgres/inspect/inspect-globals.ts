/** Roles, tablespaces and settings by ALTER SYSTEM, which belong to a whole server and to no database. */
import {z} from 'zod';
import type {Session} from '../client.js';
import {jsonText, parseOnlyRow, pgBoolean} from './inspect-database.js';
import {membershipSchema, roleDetailsSchema} from './inspect-inventory.js';

const globalRoleSchema = roleDetailsSchema.extend({
  isSuperuser: z.boolean(),
  /** The stored form, which is not the password itself; null if there is none or it was not read. */
  password: z.string().nullable(),
});

export const globalsSchema = z.object({
  /** All roles but PostgreSQL's own, with the values of all their settings. */
  roles: z.array(globalRoleSchema),
  memberships: z.array(membershipSchema),
  /** Names, without PostgreSQL's own. */
  tablespaces: z.array(z.string()),
  /** Null if the role may not read them. A value that may be a secret is null. */
  systemSettings: z.array(z.object({name: z.string(), value: z.string().nullable()})).nullable(),
});
export type Globals = z.infer<typeof globalsSchema>;

const rolesQuery = (password: string, catalog: string): string => `
  SELECT pg_catalog.json_build_object(
    'roles', (SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_object('name', r.rolname, 'isSuperuser', r.rolsuper, 'canLogin', r.rolcanlogin,
                       'inherits', r.rolinherit, 'createsRoles', r.rolcreaterole, 'createsDatabases', r.rolcreatedb, 'replicates', r.rolreplication,
                       'bypassesRowSecurity', r.rolbypassrls, 'connectionLimit', r.rolconnlimit, 'validUntil', r.rolvaliduntil, 'password', ${password},
                       'settings', (SELECT coalesce(pg_catalog.json_agg(c ORDER BY c), '[]') FROM pg_catalog.pg_db_role_setting s
                                      CROSS JOIN LATERAL pg_catalog.unnest(s.setconfig) AS c WHERE s.setrole = r.oid AND s.setdatabase = 0)) ORDER BY r.rolname), '[]')
                FROM pg_catalog.${catalog} r WHERE r.rolname !~ '^(pg_|destino_scratch_)'),
    'memberships', (SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_object('role', g.rolname, 'member', m.rolname, 'isAdmin', a.is_admin,
                             'inherits', a.inherits, 'sets', a.sets) ORDER BY g.rolname, m.rolname), '[]')
                      FROM (SELECT roleid, member, bool_or(admin_option) AS is_admin, bool_or((pg_catalog.to_jsonb(x) ->> 'inherit_option')::boolean) AS inherits,
                                   bool_or((pg_catalog.to_jsonb(x) ->> 'set_option')::boolean) AS sets
                              FROM pg_catalog.pg_auth_members x GROUP BY roleid, member) a
                      JOIN pg_catalog.pg_roles g ON g.oid = a.roleid JOIN pg_catalog.pg_roles m ON m.oid = a.member
                     WHERE m.rolname !~ '^(pg_|destino_scratch_)' AND g.rolname !~ '^destino_scratch_'),
    'tablespaces', (SELECT coalesce(pg_catalog.json_agg(spcname ORDER BY spcname), '[]') FROM pg_catalog.pg_tablespace WHERE spcname !~ '^pg_'),
    'systemSettings', NULL) AS globals`;

const globalsRow = z.object({globals: jsonText(globalsSchema)});

/** Whether the session's role may read the stored passwords of roles. */
export async function mayReadPasswords(session: Session): Promise<boolean> {
  const rows = await session.query(
    "SELECT pg_catalog.has_table_privilege('pg_catalog.pg_authid', 'SELECT') AS may",
  );
  return parseOnlyRow(z.object({may: pgBoolean}), rows).may;
}

/** @param hasPasswords whether to read passwords too, which needs `mayReadPasswords` */
export async function inspectGlobals(session: Session, hasPasswords: boolean): Promise<Globals> {
  const query = hasPasswords ? rolesQuery('r.rolpassword', 'pg_authid') : rolesQuery('NULL', 'pg_roles');
  const {globals} = parseOnlyRow(globalsRow, await session.query(query));
  return {...globals, systemSettings: await inspectSystemSettings(session)};
}

const mayRow = z.object({may_read_files: pgBoolean, may_read_settings: pgBoolean});

/** Programs, connections and keys, and everything of extensions: their values may contain secrets. */
const secretName = /\.|command|conninfo|passw|secret|token|key/i;

async function inspectSystemSettings(session: Session): Promise<Globals['systemSettings']> {
  const may = parseOnlyRow(
    mayRow,
    await session.query(`
      SELECT pg_catalog.has_table_privilege('pg_catalog.pg_file_settings', 'SELECT')
               AND pg_catalog.has_function_privilege('pg_catalog.pg_show_all_file_settings()', 'EXECUTE') AS may_read_files,
             pg_catalog.pg_has_role('pg_read_all_settings', 'MEMBER') AS may_read_settings`),
  );
  if (!may.may_read_files && !may.may_read_settings) return null;
  const rows = await session.query(
    may.may_read_files
      ? `SELECT name, setting AS value FROM pg_catalog.pg_file_settings WHERE sourcefile ~ '/postgresql[.]auto[.]conf$' ORDER BY seqno`
      : `SELECT name, reset_val || coalesce(' ' || unit, '') AS value FROM pg_catalog.pg_settings WHERE sourcefile ~ '/postgresql[.]auto[.]conf$' ORDER BY name`,
  );
  return rows.map((row) => {
    const name = row['name'] ?? '';
    return {name, value: secretName.test(name) ? null : (row['value'] ?? null)};
  });
}

/** The `tablespaces` that the server does not have. */
export async function findMissingTablespaces(
  session: Session,
  tablespaces: readonly string[],
): Promise<string[]> {
  const rows = await session.query(
    'SELECT w AS name FROM pg_catalog.unnest($1::text[]) AS w WHERE w NOT IN (SELECT spcname::text FROM pg_catalog.pg_tablespace) ORDER BY 1',
    [tablespaces],
  );
  return rows.map((row) => row['name'] ?? '');
}
