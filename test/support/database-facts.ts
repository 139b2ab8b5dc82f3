/** Facts of a database as sorted lines: definitions, owners, privileges, settings and rows. Equal databases have equal facts. */
import {withSession} from '../../src/lib/postgres/client.js';
import type {Connection} from '../../src/lib/postgres/connect/connection.js';
import {quoteLiteral, quoteQualified} from '../../src/lib/postgres/quote.js';

/** Complete privileges: if none are recorded, PostgreSQL's defaults apply (manual, 5.8). */
const rights = (kind: string, acl: string, owner: string): string =>
  `array(SELECT a::text FROM unnest(coalesce(${acl}, acldefault(${kind}, ${owner}))) AS a ORDER BY 1)::text`;

const name = (column: string): string => `pg_get_userbyid(${column})`;

const isUsers = (namespace: string): string =>
  `(SELECT nspname !~ '^pg_' AND nspname <> 'information_schema' FROM pg_namespace ns WHERE ns.oid = ${namespace})`;

/** One query for each kind, with the fields of its lines. */
const queries: Readonly<Record<string, string>> = {
  database: `SELECT ${name('datdba')}, ${rights(`'d'`, 'datacl', 'datdba')}, shobj_description(oid, 'pg_database')
    FROM pg_database WHERE datname = current_database()`,
  setting: `SELECT coalesce(rolname, '-'), CASE WHEN setdatabase = 0 THEN 'all' ELSE 'this' END, setconfig::text
    FROM pg_db_role_setting s LEFT JOIN pg_roles r ON r.oid = setrole
    WHERE setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))`,
  role: `SELECT rolname, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication, rolbypassrls, rolconnlimit
    FROM pg_roles WHERE rolname !~ '^pg_'`,
  member: `SELECT ${name('roleid')}, ${name('member')}, bool_or(admin_option) FROM pg_auth_members GROUP BY roleid, member`,
  schema: `SELECT nspname, ${name('nspowner')}, ${rights(`'n'`, 'nspacl', 'nspowner')} FROM pg_namespace WHERE ${isUsers('pg_namespace.oid')}`,
  relation: `SELECT oid::regclass, relkind, ${name('relowner')},
      CASE WHEN relkind IN ('r', 'p', 'v', 'm', 'S', 'f') THEN ${rights(`(CASE relkind WHEN 'S' THEN 's' ELSE 'r' END)::"char"`, 'relacl', 'relowner')} END,
      relrowsecurity, relforcerowsecurity, relreplident, relpersistence, reloptions::text, relispopulated, relispartition,
      CASE WHEN relispartition THEN pg_get_expr(relpartbound, oid) WHEN relkind = 'p' THEN pg_get_partkeydef(oid) END
    FROM pg_class WHERE ${isUsers('relnamespace')} AND relkind <> 'c'`,
  column: `SELECT attrelid::regclass, attname, format_type(atttypid, atttypmod), attnotnull, attidentity, attgenerated, attstorage,
      (SELECT collname FROM pg_collation WHERE oid = attcollation), pg_get_expr(adbin, adrelid), attacl::text
    FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid LEFT JOIN pg_attrdef d ON adrelid = attrelid AND adnum = attnum
    WHERE attnum > 0 AND NOT attisdropped AND ${isUsers('relnamespace')} AND relkind IN ('r', 'p', 'v', 'm', 'f', 'c')`,
  constraint: `SELECT coalesce(nullif(conrelid, 0)::regclass::text, contypid::regtype::text), conname, pg_get_constraintdef(oid), convalidated
    FROM pg_constraint WHERE ${isUsers('connamespace')}`,
  index: `SELECT indexrelid::regclass, pg_get_indexdef(indexrelid), indisvalid, indisclustered, indisreplident
    FROM pg_index JOIN pg_class c ON c.oid = indexrelid WHERE ${isUsers('relnamespace')}`,
  view: `SELECT oid::regclass, pg_get_viewdef(oid) FROM pg_class WHERE relkind IN ('v', 'm') AND ${isUsers('relnamespace')}`,
  trigger: `SELECT tgrelid::regclass, tgname, pg_get_triggerdef(t.oid), tgenabled
    FROM pg_trigger t JOIN pg_class c ON c.oid = tgrelid WHERE NOT tgisinternal AND ${isUsers('relnamespace')}`,
  policy: `SELECT schemaname, tablename, policyname, permissive, roles::text, cmd, qual, with_check FROM pg_policies`,
  function: `SELECT oid::regprocedure, ${name('proowner')}, prosecdef, proconfig::text, ${rights(`'f'`, 'proacl', 'proowner')},
      CASE WHEN prokind IN ('f', 'p', 'w') THEN md5(pg_get_functiondef(oid)) END
    FROM pg_proc WHERE ${isUsers('pronamespace')}`,
  type: `SELECT oid::regtype, typtype, ${name('typowner')}, ${rights(`'T'`, 'typacl', 'typowner')}, format_type(typbasetype, typtypmod),
      array(SELECT enumlabel::text FROM pg_enum WHERE enumtypid = t.oid ORDER BY enumsortorder)::text
    FROM pg_type t WHERE ${isUsers('typnamespace')} AND typelem = 0 AND (typrelid = 0 OR EXISTS (SELECT FROM pg_class WHERE oid = typrelid AND relkind = 'c'))`,
  'default right': `SELECT ${name('defaclrole')}, coalesce(nullif(defaclnamespace, 0)::regnamespace::text, '-'), defaclobjtype,
      array(SELECT a::text FROM unnest(defaclacl) AS a ORDER BY 1)::text FROM pg_default_acl`,
  extension: `SELECT extname, extversion, nspname, ${name('extowner')} FROM pg_extension JOIN pg_namespace n ON n.oid = extnamespace`,
  'event trigger': `SELECT evtname, ${name('evtowner')}, evtevent, evtenabled, evttags::text, evtfoid::regproc FROM pg_event_trigger`,
  publication: `SELECT pubname, ${name('pubowner')}, puballtables, pubinsert, pubupdate, pubdelete, pubtruncate FROM pg_publication`,
  'published table': `SELECT pubname, schemaname, tablename FROM pg_publication_tables`,
  comment: `SELECT pg_describe_object(classoid, objoid, objsubid), description FROM pg_description
    WHERE classoid <> 'pg_language'::regclass AND objoid >= 16384 OR classoid = 'pg_namespace'::regclass AND objoid = 'public'::regnamespace`,
};

/**
 * Reads the facts as a superuser, who sees everything. Lines begin with their kind: "relation | public.orders | r | ...".
 * Roles and their settings belong to the server, so they are equal for two databases of one server.
 */
export async function databaseFacts(connection: Connection): Promise<string[]> {
  return withSession(connection, async (session) => {
    await session.query(`SET search_path = ''`);
    const facts: string[] = [];
    const add = async (kind: string, sql: string): Promise<void> => {
      const rows = await session.query(
        `SELECT (SELECT string_agg(coalesce(value, '-'), ' | ' ORDER BY ordinality)
           FROM json_each_text(row_to_json(f)) WITH ORDINALITY) AS fact FROM (${sql}) AS f`,
      );
      facts.push(...rows.map((row) => `${kind} | ${row['fact'] ?? ''}`));
    };
    for (const [kind, sql] of Object.entries(queries)) await add(kind, sql);
    const relations = await session.query(`
      SELECT nspname AS schema, relname AS name, relkind AS kind FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = relnamespace
       WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' AND (relkind IN ('r', 'S') OR relkind = 'm' AND relispopulated)`);
    for (const {schema, name: relation, kind} of relations) {
      const table = quoteQualified(schema ?? '', relation ?? '');
      const label = quoteLiteral(`${schema ?? ''}.${relation ?? ''}`);
      await (kind === 'S'
        ? add('sequence', `SELECT ${label} AS name, last_value, is_called FROM ${table}`)
        : add(
            'rows',
            `SELECT ${label} AS name, count(*), md5(string_agg(md5(t::text), '' ORDER BY md5(t::text))) AS hash FROM ${table} AS t`,
          ));
    }
    return facts.sort();
  });
}

/** The lines of only one of the two: "- line" existed before, "+ line" exists afterwards. */
export function differences(before: readonly string[], after: readonly string[]): string[] {
  const [had, has] = [new Set(before), new Set(after)];
  return [
    ...before.filter((line) => !has.has(line)).map((line) => `- ${line}`),
    ...after.filter((line) => !had.has(line)).map((line) => `+ ${line}`),
  ];
}
