/** The environment of a database: parts that are not in a dump, or that a dump requires on the target. */
import {z} from 'zod';
import type {Session} from '../client.js';
import {jsonText, parseOnlyRow} from './inspect-database.js';
import {type MaskedTag, parseMaskedComment} from './masked-comment.js';

export const membershipSchema = z.object({
  role: z.string(),
  member: z.string(),
  isAdmin: z.boolean().default(false),
  inherits: z.boolean().nullable().default(null),
  sets: z.boolean().nullable().default(null),
});
/** Membership of one role in another. */
export type Membership = z.infer<typeof membershipSchema>;

export const roleDetailsSchema = z.object({
  name: z.string(),
  canLogin: z.boolean(),
  inherits: z.boolean(),
  createsRoles: z.boolean(),
  createsDatabases: z.boolean(),
  replicates: z.boolean(),
  bypassesRowSecurity: z.boolean(),
  /** -1 for no limit. */
  connectionLimit: z.int(),
  validUntil: z.string().nullable(),
  /** Settings in every database: "search_path=app". Of parameters that are not PostgreSQL's own, which may be secrets, only the name. */
  settings: z.array(z.string()),
});
/** The attributes of a role. */
export type RoleDetails = z.infer<typeof roleDetailsSchema>;

export const inventorySchema = z.object({
  /** Roles that own objects, have privileges, or have settings here. */
  roles: z.array(z.string()),
  /** Memberships of those roles and in them: "member in role". The last two are null before PostgreSQL 16. */
  roleGrants: z.array(membershipSchema),
  /** Attributes of those roles, without superusers and passwords. */
  roleDetails: z.array(roleDetailsSchema),
  /**
   * Names of the settings by ALTER DATABASE ... SET and ALTER ROLE ... IN DATABASE ... SET; role is null for the former. Their values
   * may be secrets and are only in the dump, like the comment of the database.
   */
  databaseSettings: z.array(z.object({role: z.string().nullable(), setting: z.string()})),
  /** Privileges of the database in aclitem form; null if they are the defaults. */
  databaseAcl: z.array(z.string()).nullable(),
  /** `schemas` are those created by the extension, "cron"; missing in older metadata. */
  extensions: z.array(
    z.object({
      name: z.string(),
      version: z.string(),
      schema: z.string(),
      schemas: z.array(z.string()).exactOptional(),
    }),
  ),
  eventTriggers: z.array(z.string()),
  publications: z.array(z.string()),
  subscriptions: z.array(z.string()),
  foreignServers: z.array(z.string()),
  largeObjects: z.int().min(0),
});
export type Inventory = z.infer<typeof inventorySchema> & {
  /** When the database was masked, and the backup that it was made from; absent for other databases. */
  readonly masked?: Pick<MaskedTag, 'at' | 'backup'>;
};

const inventoryQuery = `
WITH me AS (SELECT oid, datacl FROM pg_catalog.pg_database WHERE datname = current_database()),
named AS (
  SELECT datdba AS role FROM pg_catalog.pg_database WHERE datname = current_database()
  UNION SELECT refobjid FROM pg_catalog.pg_shdepend s, me
   WHERE s.refclassid = 'pg_catalog.pg_authid'::regclass AND (s.dbid = me.oid OR s.objid = me.oid)
  UNION SELECT setrole FROM pg_catalog.pg_db_role_setting s, me WHERE s.setdatabase = me.oid AND setrole <> 0
)
SELECT pg_catalog.json_build_object(
  'roles', (SELECT coalesce(json_agg(r.rolname ORDER BY r.rolname), '[]') FROM pg_catalog.pg_roles r JOIN named ON named.role = r.oid
             WHERE r.rolname !~ '^pg_'),
  'roleGrants', (SELECT coalesce(json_agg(json_build_object('role', g.rolname, 'member', m.rolname, 'isAdmin', a.is_admin, 'inherits', a.inherits, 'sets', a.sets)
                            ORDER BY g.rolname, m.rolname), '[]')
                   FROM (SELECT roleid, member, bool_or(admin_option) AS is_admin, bool_or((pg_catalog.to_jsonb(x) ->> 'inherit_option')::boolean) AS inherits,
                                bool_or((pg_catalog.to_jsonb(x) ->> 'set_option')::boolean) AS sets
                           FROM pg_catalog.pg_auth_members x GROUP BY roleid, member) a
                   JOIN pg_catalog.pg_roles g ON g.oid = a.roleid JOIN pg_catalog.pg_roles m ON m.oid = a.member
                  WHERE (a.member IN (SELECT role FROM named) OR a.roleid IN (SELECT role FROM named)) AND m.rolname !~ '^pg_'),
  'roleDetails', (SELECT coalesce(json_agg(json_build_object('name', r.rolname, 'canLogin', r.rolcanlogin, 'inherits', r.rolinherit,
                           'createsRoles', r.rolcreaterole, 'createsDatabases', r.rolcreatedb, 'replicates', r.rolreplication,
                           'bypassesRowSecurity', r.rolbypassrls, 'connectionLimit', r.rolconnlimit, 'validUntil', r.rolvaliduntil,
                           'settings', (SELECT coalesce(json_agg(CASE WHEN pg_catalog.split_part(c, '=', 1) LIKE '%.%' THEN pg_catalog.split_part(c, '=', 1) ELSE c END ORDER BY c), '[]')
                                          FROM unnest(r.rolconfig) AS c)) ORDER BY r.rolname), '[]')
                    FROM pg_catalog.pg_roles r WHERE r.oid IN (SELECT role FROM named) AND NOT r.rolsuper AND r.rolname !~ '^pg_'),
  'databaseSettings', (SELECT coalesce(json_agg(json_build_object('role', r.rolname, 'setting', pg_catalog.split_part(c, '=', 1)) ORDER BY r.rolname NULLS FIRST, c), '[]')
                         FROM me JOIN pg_catalog.pg_db_role_setting s ON s.setdatabase = me.oid
                         CROSS JOIN LATERAL unnest(s.setconfig) AS c
                         LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.setrole),
  'databaseAcl', (SELECT to_json(datacl::text[]) FROM me),
  'extensions', (SELECT coalesce(json_agg(json_build_object('name', extname, 'version', extversion, 'schema', nspname,
                           'schemas', (SELECT coalesce(json_agg(s.nspname ORDER BY s.nspname), '[]')
                                         FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_namespace s ON s.oid = d.objid
                                        WHERE d.classid = 'pg_catalog.pg_namespace'::regclass AND d.refclassid = 'pg_catalog.pg_extension'::regclass
                                          AND d.refobjid = e.oid AND d.deptype = 'e')) ORDER BY extname), '[]')
                   FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = extnamespace),
  'eventTriggers', (SELECT coalesce(json_agg(evtname ORDER BY evtname), '[]') FROM pg_catalog.pg_event_trigger),
  'publications', (SELECT coalesce(json_agg(pubname ORDER BY pubname), '[]') FROM pg_catalog.pg_publication),
  'subscriptions', (SELECT coalesce(json_agg(subname ORDER BY subname), '[]') FROM pg_catalog.pg_subscription, me WHERE subdbid = me.oid),
  'foreignServers', (SELECT coalesce(json_agg(srvname ORDER BY srvname), '[]') FROM pg_catalog.pg_foreign_server),
  'largeObjects', (SELECT count(*) FROM pg_catalog.pg_largeobject_metadata)
) AS inventory, (SELECT pg_catalog.shobj_description(oid, 'pg_database') FROM me) AS comment`;

const inventoryRow = z.object({inventory: jsonText(inventorySchema), comment: z.string().nullable()});

/** Reads the inventory of the database that the session is connected to. */
export async function inspectInventory(session: Session): Promise<Inventory> {
  const {inventory, comment} = parseOnlyRow(inventoryRow, await session.query(inventoryQuery));
  const tag = parseMaskedComment(comment);
  return tag ? {...inventory, masked: {at: tag.at, backup: tag.backup}} : inventory;
}
