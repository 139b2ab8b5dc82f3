/** Default privileges (manual, ALTER DEFAULT PRIVILEGES) apply when objects are created; a dump relies on PostgreSQL's built-in ones, and only grants. */
import {z} from 'zod';
import type {Session} from '../client.js';
import {parseRows, pgBoolean} from '../inspect/inspect-database.js';
import {quoteIdentifier} from '../quote.js';

export interface SuspendedPrivileges {
  /**
   * Restores the removed entries, except those that were set meanwhile.
   * @param isSet whether an entry was set, by schema (null for all schemas) and kind of object: "TABLES", "FUNCTIONS", ...
   */
  resume(isSet: (schema: string | null, objects: string) => boolean): Promise<void>;
}

const kinds: Readonly<Record<string, string>> = {
  r: 'TABLES',
  S: 'SEQUENCES',
  f: 'FUNCTIONS',
  T: 'TYPES',
  n: 'SCHEMAS',
  L: 'LARGE OBJECTS',
};

const itemRow = z.object({
  schema: z.string().nullable(),
  kind: z.string(),
  /** PostgreSQL's built-in default, which an entry for all schemas replaces. */
  is_built_in: pgBoolean,
  grantee: z.string().nullable(),
  privilege: z.string(),
  is_grantable: pgBoolean,
});
type Item = z.infer<typeof itemRow>;

/** An entry for one schema only adds to the others, so its built-in default is empty. */
const itemsSql = `
  WITH own AS (
    SELECT d.oid, d.defaclacl, n.nspname AS schema, d.defaclobjtype AS kind, d.defaclnamespace = 0 AS is_global, d.defaclrole
      FROM pg_catalog.pg_default_acl d JOIN pg_catalog.pg_roles r ON r.oid = d.defaclrole
      LEFT JOIN pg_catalog.pg_namespace n ON n.oid = d.defaclnamespace
     WHERE r.rolname = current_user),
  items AS (
    SELECT o.schema, o.kind, false AS is_built_in, a.grantee, a.privilege_type, a.is_grantable
      FROM own o CROSS JOIN LATERAL pg_catalog.aclexplode(o.defaclacl) a
    UNION ALL
    SELECT o.schema, o.kind, true, a.grantee, a.privilege_type, a.is_grantable
      FROM own o CROSS JOIN LATERAL pg_catalog.aclexplode(
           pg_catalog.acldefault(CASE o.kind WHEN 'S' THEN 's'::pg_catalog."char" ELSE o.kind END, o.defaclrole)) a
     WHERE o.is_global)
  SELECT i.schema, i.kind::pg_catalog.text AS kind, i.is_built_in, r.rolname AS grantee, i.privilege_type AS privilege, i.is_grantable
    FROM items i LEFT JOIN pg_catalog.pg_roles r ON r.oid = i.grantee`;

/**
 * Removes the default privileges of the session's role for objects that it creates from now on; PostgreSQL's built-in ones apply then.
 * For an open transaction: a rollback restores them.
 */
export async function suspendDefaultPrivileges(session: Session): Promise<SuspendedPrivileges> {
  const entries = new Map<string, Item[]>();
  for (const item of parseRows(itemRow, await session.query(itemsSql))) {
    const key = JSON.stringify([item.schema, item.kind]);
    entries.set(key, [...(entries.get(key) ?? []), item]);
  }
  for (const items of entries.values()) await setTo(session, items, true);
  return {
    resume: async (isSet) => {
      const schemas = new Set(
        (await session.query('SELECT n.nspname FROM pg_catalog.pg_namespace n')).map((row) => row['nspname']),
      );
      for (const items of entries.values()) {
        const {schema = null, kind = ''} = items[0] ?? {};
        // A schema that was dropped and not recreated lost its entries too.
        if (schema !== null && !schemas.has(schema)) continue;
        if (!isSet(schema, kinds[kind] ?? '')) await setTo(session, items, false);
      }
    },
  };
}

/** Sets one entry to these items, or removes them. */
async function setTo(session: Session, items: readonly Item[], isBuiltIn: boolean): Promise<void> {
  const {schema = null, kind = ''} = items[0] ?? {};
  const where = schema === null ? '' : ` IN SCHEMA ${quoteIdentifier(schema)}`;
  const alter = `ALTER DEFAULT PRIVILEGES${where}`;
  const on = `ON ${kinds[kind] ?? kind}`;
  const roleOf = (grantee: string | null): string => (grantee === null ? 'PUBLIC' : quoteIdentifier(grantee));
  for (const grantee of new Set(items.map((item) => roleOf(item.grantee))))
    await session.query(`${alter} REVOKE ALL ${on} FROM ${grantee}`);
  for (const item of items.filter(({is_built_in}) => is_built_in === isBuiltIn)) {
    const option = item.is_grantable ? ' WITH GRANT OPTION' : '';
    await session.query(`${alter} GRANT ${item.privilege} ${on} TO ${roleOf(item.grantee)}${option}`);
  }
}
