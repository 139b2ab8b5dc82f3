/** Distinguishes objects of the hosting service from objects of its user. */
import {z} from 'zod';
import type {Session} from '../client.js';
import {jsonText, parseOnlyRow} from './inspect-database.js';
import {isVisibleSql, searchedSchemas} from '../search-path.js';

/** Who created an object and may recreate it. */
export type Party = 'user' | 'platform';

const factsSchema = z.object({
  me: z.object({
    name: z.string(),
    isSuperuser: z.boolean(),
    /** Whether the role, or a role that it is a member of, may create roles. */
    mayMakeRoles: z.boolean(),
    major: z.int(),
  }),
  roles: z.array(
    z.object({
      name: z.string(),
      isSuperuser: z.boolean(),
      /** Has attributes that only a superuser can give before PostgreSQL 16. */
      hasReservedAttributes: z.boolean(),
      isActable: z.boolean(),
      isAdministered: z.boolean(),
      /** A superuser granted a membership, or a privilege on one of its schemas, to or of this role. */
      isGrantedBySuperuser: z.boolean(),
    }),
  ),
  schemas: z.array(
    z.object({
      name: z.string(),
      owner: z.string(),
      mayCreate: z.boolean(),
      hasTables: z.boolean(),
      extension: z.string().nullable(),
    }),
  ),
  relations: z.array(
    z.object({
      schema: z.string(),
      name: z.string(),
      kind: z.enum(['r', 'p', 'v', 'm', 'S', 'f']),
      owner: z.string(),
      extension: z.string().nullable(),
      /** Whether pg_dump reads its rows: for an extension's relation only if the extension requests it. */
      isDumped: z.boolean(),
      isReadable: z.boolean(),
      /** Whether its unqualified name finds it in the role's own search_path. */
      isVisible: z.boolean(),
      /** Schemas with tables that refer to it by foreign keys. */
      referencedFrom: z.array(z.string()),
    }),
  ),
  extensions: z.array(
    z.object({
      name: z.string(),
      owner: z.string(),
      /** Whether a role without superuser privileges can install it. */
      isTrusted: z.boolean(),
      /** Schemas with objects that use the extension's types, functions or operators. */
      usedIn: z.array(z.string()),
    }),
  ),
  eventTriggers: z.array(
    z.object({
      name: z.string(),
      owner: z.string(),
      function: z.object({schema: z.string(), signature: z.string()}),
    }),
  ),
  functions: z.array(
    z.object({
      schema: z.string(),
      signature: z.string(),
      owner: z.string(),
      extension: z.string().nullable(),
    }),
  ),
  publications: z.array(z.object({name: z.string(), owner: z.string()})),
  triggers: z.array(
    z.object({
      schema: z.string(),
      table: z.string(),
      name: z.string(),
      function: z.object({schema: z.string(), signature: z.string()}),
    }),
  ),
  policies: z.array(z.object({schema: z.string(), table: z.string(), name: z.string()})),
});
/** The catalog's data, before any decision. */
export type OwnershipFacts = z.infer<typeof factsSchema>;

type Facts = OwnershipFacts;
type Item<K extends keyof Facts> = Facts[K] extends readonly (infer T)[]
  ? T & {readonly party: Party}
  : never;

export interface Ownership {
  /**
   * Whether the connected role administers a server of a hosting service: it may create roles and is not a superuser.
   * Services give such a role to their users; on an own server, an application's role rarely may create roles.
   */
  readonly isManaged: boolean;
  readonly roles: readonly Item<'roles'>[];
  readonly schemas: readonly Item<'schemas'>[];
  /** Tables, views and sequences; `extension` names the extension of a relation. */
  readonly relations: readonly Item<'relations'>[];
  readonly functions: readonly Item<'functions'>[];
  readonly extensions: readonly Item<'extensions'>[];
  readonly eventTriggers: readonly Item<'eventTriggers'>[];
  readonly publications: readonly Item<'publications'>[];
  /** Triggers on platform tables. */
  readonly triggers: readonly Item<'triggers'>[];
  /** Policies on platform tables. */
  readonly policies: readonly Item<'policies'>[];
}

/** Reads the catalog as the connected role and classifies the objects. */
export async function inspectOwnership(session: Session): Promise<Ownership> {
  const row = z.object({facts: jsonText(factsSchema)});
  return decideOwnership(
    parseOnlyRow(row, await session.query(factsQuery, [searchedSchemas(session)])).facts,
  );
}

/**
 * Classifies objects by their owner and extension, never by their name. For a superuser, no object belongs to the
 * platform. In doubt an object belongs to the user, because leaving it out of a restore would lose it.
 */
export function decideOwnership(facts: OwnershipFacts): Ownership {
  const {me} = facts;
  const roles = new Map(facts.roles.map((role) => [role.name, role]));
  const isManaged = !me.isSuperuser && me.mayMakeRoles;
  const partyOf = (isPlatform: boolean): Party => (isPlatform && !me.isSuperuser ? 'platform' : 'user');
  const isMine = (owner: string): boolean => owner === me.name || isDatabaseOwnerRole(owner);
  const isReachable = (owner: string): boolean => {
    const role = roles.get(owner);
    return isMine(owner) || role?.isActable === true || (me.major >= 16 && role?.isAdministered === true);
  };
  const isSuperuser = (owner: string): boolean => !isMine(owner) && roles.get(owner)?.isSuperuser === true;

  const schemas = facts.schemas.map((schema) => ({...schema, party: partyOf(isPlatformSchema(schema))}));
  const partyOfSchema = new Map(schemas.map(({name, party}) => [name, party]));
  const isInPlatformSchema = ({schema}: {schema: string}): boolean =>
    partyOfSchema.get(schema) === 'platform';

  function isPlatformSchema({name, owner, extension, hasTables}: Facts['schemas'][number]): boolean {
    if (name === 'public' || isMine(owner)) return false;
    if (extension !== null || isSuperuser(owner)) return true;
    if (isReachable(owner) || !isManaged) return false;
    // Before 16, a role that may create roles has no admin option on those it created, so a role of the user looks
    // like one of the platform. A schema without tables contains no data to lose.
    return me.major >= 16 || !hasTables;
  }

  const isPlatformRole = (role: Facts['roles'][number]): boolean => {
    if (role.name === me.name) return false;
    if (role.isSuperuser || role.name.startsWith('pg_')) return true;
    if (!isManaged) return false;
    if (me.major >= 16) return !role.isAdministered;
    return (
      role.hasReservedAttributes ||
      role.isGrantedBySuperuser ||
      schemas.some(({owner, party}) => owner === role.name && party === 'platform') ||
      facts.relations.some((relation) => relation.owner === role.name && isInPlatformSchema(relation))
    );
  };
  const partyOfRole = new Map(facts.roles.map((role) => [role.name, partyOf(isPlatformRole(role))]));

  // The customer's role may be a member of a platform role, whose objects still belong to the platform.
  const isForeign = (owner: string): boolean => !isMine(owner) && partyOfRole.get(owner) !== 'user';

  const eventTriggers = facts.eventTriggers.map((trigger) => ({
    ...trigger,
    party: partyOf(isSuperuser(trigger.owner) || !isReachable(trigger.owner)),
  }));
  const firedByPlatform = new Set(
    eventTriggers.flatMap((trigger) => (trigger.party === 'platform' ? [keyOf(trigger.function)] : [])),
  );
  const functions = facts.functions.map((item) => {
    const mayRemake = isMine(item.owner) && facts.schemas.some((s) => s.name === item.schema && s.mayCreate);
    const isPlatform =
      item.extension !== null ||
      firedByPlatform.has(keyOf(item)) ||
      (isInPlatformSchema(item) && !mayRemake && (isMine(item.owner) || isForeign(item.owner)));
    return {...item, party: partyOf(isPlatform)};
  });
  const partyOfFunction = new Map(functions.map((item) => [keyOf(item), item.party]));

  const relations = facts.relations.map((relation) => ({
    ...relation,
    party: partyOf(
      relation.extension !== null || (isInPlatformSchema(relation) && isForeign(relation.owner)),
    ),
  }));
  const platformTables = new Map(
    relations.flatMap((relation) =>
      relation.party === 'platform' ? [[JSON.stringify([relation.schema, relation.name]), relation]] : [],
    ),
  );
  const tableOf = ({schema, table}: {schema: string; table: string}) =>
    platformTables.get(JSON.stringify([schema, table]));

  return {
    isManaged,
    roles: facts.roles.map((role) => ({...role, party: partyOfRole.get(role.name) ?? 'user'})),
    schemas,
    relations,
    functions,
    eventTriggers,
    extensions: facts.extensions.map((extension) => {
      const isNeeded = extension.usedIn.some((schema) => partyOfSchema.get(schema) === 'user');
      const mayRemake = isReachable(extension.owner) && extension.isTrusted;
      return {...extension, party: partyOf(!isNeeded && !mayRemake)};
    }),
    publications: facts.publications.map((publication) => ({
      ...publication,
      party: partyOf(!isReachable(publication.owner)),
    })),
    triggers: facts.triggers.flatMap((trigger) =>
      tableOf(trigger)
        ? [{...trigger, party: partyOf(partyOfFunction.get(keyOf(trigger.function)) === 'platform')}]
        : [],
    ),
    // A policy has no owner. Platform services bypass row security, so policies on their tables belong to the user,
    // except those of extensions.
    policies: facts.policies.flatMap((policy) => {
      const table = tableOf(policy);
      return table ? [{...policy, party: partyOf(table.extension !== null)}] : [];
    }),
  };
}

function keyOf({schema, signature}: {schema: string; signature: string}): string {
  return JSON.stringify([schema, signature]);
}

/** Represents the owner of the database, since PostgreSQL 14 (manual, 22.5). */
function isDatabaseOwnerRole(role: string): boolean {
  return role === 'pg_database_owner';
}

const member = (catalog: string, oid: string): string =>
  `(SELECT e.extname FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
     WHERE d.classid = 'pg_catalog.${catalog}'::pg_catalog.regclass AND d.objid = ${oid} AND d.objsubid = 0
       AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.deptype = 'e')`;

const named = (oid: string): string =>
  `(SELECT pg_catalog.json_build_object('schema', n.nspname, 'signature', p.proname || '(' || coalesce(pg_catalog.pg_get_function_identity_arguments(p.oid), '') || ')')
      FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace WHERE p.oid = ${oid})`;

const list = (fields: string, from: string): string =>
  `(SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(${fields})), '[]') FROM ${from})`;

const isUsers = `n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'`;

const factsQuery = `
WITH member_of AS MATERIALIZED (
  SELECT d.classid, d.objid, d.refobjid AS extension FROM pg_catalog.pg_depend d
   WHERE d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.deptype = 'e'
), used AS MATERIALIZED (
  SELECT DISTINCT m.extension, n.nspname
    FROM pg_catalog.pg_depend d
    JOIN member_of m ON m.classid = d.refclassid AND m.objid = d.refobjid
    LEFT JOIN pg_catalog.pg_attrdef a ON d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND a.oid = d.objid
    LEFT JOIN pg_catalog.pg_rewrite r ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND r.oid = d.objid
    LEFT JOIN pg_catalog.pg_constraint o ON d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND o.oid = d.objid
    LEFT JOIN pg_catalog.pg_index i ON d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND i.indexrelid = d.objid
    LEFT JOIN pg_catalog.pg_class c ON c.oid = coalesce(a.adrelid, r.ev_class, nullif(o.conrelid, 0), i.indrelid,
         CASE WHEN d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass THEN d.objid END) AND c.relkind <> 't'
    LEFT JOIN pg_catalog.pg_proc p ON d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND p.oid = d.objid
    LEFT JOIN pg_catalog.pg_type t ON d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass AND t.oid = d.objid AND t.typtype IN ('d', 'r')
    JOIN pg_catalog.pg_namespace n ON n.oid = coalesce(c.relnamespace, p.pronamespace, t.typnamespace)
   WHERE NOT EXISTS (SELECT FROM member_of x WHERE x.classid = d.classid AND x.objid = d.objid)
     AND NOT EXISTS (SELECT FROM member_of x WHERE x.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND x.objid = c.oid)
), referenced AS (
  SELECT k.confrelid, pg_catalog.json_agg(DISTINCT n.nspname) AS schemas
    FROM pg_catalog.pg_constraint k
    JOIN pg_catalog.pg_class c ON c.oid = k.conrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
   WHERE k.contype = 'f' GROUP BY k.confrelid
)
SELECT pg_catalog.json_build_object(
  'me', (SELECT pg_catalog.json_build_object('name', r.rolname, 'isSuperuser', r.rolsuper,
            'mayMakeRoles', EXISTS (SELECT FROM pg_catalog.pg_roles x WHERE x.rolcreaterole AND pg_catalog.pg_has_role(x.oid, 'MEMBER')),
            'major', pg_catalog.current_setting('server_version_num')::int / 10000)
           FROM pg_catalog.pg_roles r WHERE r.rolname = current_user),
  'roles', ${list(
    `'name', r.rolname, 'isSuperuser', r.rolsuper, 'hasReservedAttributes', r.rolreplication OR r.rolbypassrls,
     'isActable', pg_catalog.pg_has_role(r.oid, 'MEMBER'), 'isAdministered', pg_catalog.pg_has_role(r.oid, 'MEMBER WITH ADMIN OPTION'),
     'isGrantedBySuperuser', EXISTS (
        SELECT FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles g ON g.oid = m.grantor
         WHERE r.oid IN (m.roleid, m.member) AND g.rolsuper
        UNION ALL
        SELECT FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_roles o ON o.oid = n.nspowner CROSS JOIN LATERAL pg_catalog.aclexplode(n.nspacl) a
         WHERE o.rolsuper AND ${isUsers} AND n.nspname <> 'public' AND a.grantee = r.oid AND a.grantor = o.oid)`,
    'pg_catalog.pg_roles r',
  )},
  'schemas', ${list(
    `'name', n.nspname, 'owner', pg_catalog.pg_get_userbyid(n.nspowner), 'mayCreate', coalesce(pg_catalog.has_schema_privilege(n.oid, 'CREATE'), false),
     'hasTables', EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.relnamespace = n.oid AND c.relkind IN ('r', 'p', 'v', 'm', 'f')),
     'extension', ${member('pg_namespace', 'n.oid')}`,
    `pg_catalog.pg_namespace n WHERE ${isUsers}`,
  )},
  'relations', ${list(
    `'schema', n.nspname, 'name', c.relname, 'kind', c.relkind, 'owner', pg_catalog.pg_get_userbyid(c.relowner), 'extension', ${member('pg_class', 'c.oid')},
     'isDumped', c.oid = ANY (coalesce((SELECT pg_catalog.array_agg(o) FROM pg_catalog.pg_extension e CROSS JOIN LATERAL pg_catalog.unnest(e.extconfig) o), '{}'))
        OR NOT EXISTS (SELECT FROM member_of m WHERE m.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND m.objid = c.oid),
     'isVisible', ${isVisibleSql('$1::text[]')},
     'referencedFrom', coalesce(f.schemas, '[]'),
     'isReadable', coalesce(pg_catalog.has_schema_privilege(n.oid, 'USAGE')
        AND CASE c.relkind WHEN 'S' THEN pg_catalog.has_sequence_privilege(c.oid, 'SELECT') ELSE pg_catalog.has_table_privilege(c.oid, 'SELECT') END, true)`,
    `pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace LEFT JOIN referenced f ON f.confrelid = c.oid
      WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND c.relpersistence <> 't' AND ${isUsers}`,
  )},
  'extensions', ${list(
    `'name', e.extname, 'owner', pg_catalog.pg_get_userbyid(e.extowner),
     'isTrusted', coalesce((SELECT pg_catalog.bool_or(v.trusted OR NOT v.superuser) FROM pg_catalog.pg_available_extension_versions v WHERE v.name = e.extname), false),
     'usedIn', (SELECT coalesce(pg_catalog.json_agg(u.nspname), '[]') FROM used u WHERE u.extension = e.oid)`,
    'pg_catalog.pg_extension e',
  )},
  'eventTriggers', ${list(
    `'name', t.evtname, 'owner', pg_catalog.pg_get_userbyid(t.evtowner), 'function', ${named('t.evtfoid')}`,
    'pg_catalog.pg_event_trigger t',
  )},
  'functions', ${list(
    `'schema', n.nspname, 'signature', p.proname || '(' || coalesce(pg_catalog.pg_get_function_identity_arguments(p.oid), '') || ')',
     'owner', pg_catalog.pg_get_userbyid(p.proowner), 'extension', ${member('pg_proc', 'p.oid')}`,
    `pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace WHERE ${isUsers}`,
  )},
  'publications', ${list(`'name', p.pubname, 'owner', pg_catalog.pg_get_userbyid(p.pubowner)`, 'pg_catalog.pg_publication p')},
  'triggers', ${list(
    `'schema', n.nspname, 'table', c.relname, 'name', t.tgname, 'function', ${named('t.tgfoid')}`,
    `pg_catalog.pg_trigger t JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      WHERE NOT t.tgisinternal AND ${isUsers}`,
  )},
  'policies', ${list(
    `'schema', n.nspname, 'table', c.relname, 'name', p.polname`,
    `pg_catalog.pg_policy p JOIN pg_catalog.pg_class c ON c.oid = p.polrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE ${isUsers}`,
  )}
) AS facts`;
