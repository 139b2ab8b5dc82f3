/** Properties of a database itself: settings, privileges and comment, and the statements that restore them. */
import {z} from 'zod';
import {AppError} from '../../base/errors.js';
import type {Session} from '../client.js';
import {jsonText, parseOnlyRow} from '../inspect/inspect-database.js';
import {quoteIdentifier, quoteLiteral} from '../quote.js';
import {splitNames} from '../search-path.js';

/** The part of a backup's inventory that is read here; backups of other versions may lack keys. */
export const databasePropertiesSchema = z.object({
  databaseSettings: z.array(z.object({role: z.string().nullable(), setting: z.string()})).default([]),
  databaseAcl: z.array(z.string()).nullable().default(null),
  databaseComment: z.string().nullable().default(null),
});
export type DatabaseProperties = z.infer<typeof databasePropertiesSchema>;
/** The part in the dump; values of settings may be secrets. */
export type HeldProperties = Pick<DatabaseProperties, 'databaseSettings' | 'databaseComment'>;

const propertiesRow = z.object({properties: jsonText(databasePropertiesSchema)});

/** Reads the properties of the session's database. */
export async function inspectDatabaseProperties(session: Session): Promise<DatabaseProperties> {
  const rows = await session.query(`
    SELECT pg_catalog.json_build_object(
      'databaseSettings', (
        SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_object('role', r.rolname, 'setting', c) ORDER BY r.rolname NULLS FIRST, c), '[]')
          FROM pg_catalog.pg_db_role_setting s CROSS JOIN LATERAL pg_catalog.unnest(s.setconfig) AS c
          LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.setrole WHERE s.setdatabase = d.oid),
      'databaseAcl', pg_catalog.to_json(d.datacl::text[]),
      'databaseComment', pg_catalog.shobj_description(d.oid, 'pg_database')) AS properties
      FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()`);
  return parseOnlyRow(propertiesRow, rows).properties;
}

/** The name of a setting in pg_db_role_setting: "search_path=app, public". */
export function settingName(setting: string): string {
  return setting.split('=', 1)[0] ?? '';
}

/** For people, without the value, which may be a secret. */
export function describeSetting({role, setting}: DatabaseProperties['databaseSettings'][number]): string {
  const name = settingName(setting);
  return role === null
    ? `the setting ${name} of the database`
    : `the setting ${name} of the role "${role}" in the database`;
}

/** Settings with a list of names, which SET expects one by one (GUC_LIST_QUOTE in src/bin/pg_dump/dumputils.c). */
export const listSettings: ReadonlySet<string> = new Set([
  'local_preload_libraries',
  'search_path',
  'session_preload_libraries',
  'shared_preload_libraries',
  'temp_tablespaces',
  'unix_socket_directories',
]);

/**
 * `ALTER DATABASE name SET ...`, or `ALTER ROLE role IN DATABASE name SET ...`.
 * @param setting as in pg_db_role_setting: "search_path=app, public"
 */
export function settingStatement(database: string, role: string | null, setting: string): string {
  return setStatement(
    role === null
      ? `DATABASE ${quoteIdentifier(database)}`
      : `ROLE ${quoteIdentifier(role)} IN DATABASE ${quoteIdentifier(database)}`,
    setting,
  );
}

/** `ALTER ROLE role SET ...`, in every database. */
export function roleSettingStatement(role: string, setting: string): string {
  return setStatement(`ROLE ${quoteIdentifier(role)}`, setting);
}

function setStatement(target: string, setting: string): string {
  const index = setting.indexOf('=');
  const key = setting.slice(0, index);
  const value = setting.slice(index + 1);
  const quoted = listSettings.has(key.toLowerCase())
    ? splitNames(value).map(quoteLiteral).join(', ') || "''"
    : quoteLiteral(value);
  // A name such as "app.tenant" has two parts, each an identifier.
  const name = key.split('.').map(quoteIdentifier).join('.');
  return `ALTER ${target} SET ${name} TO ${quoted}`;
}

const privilegeLetters: Readonly<Record<string, string>> = {C: 'CREATE', T: 'TEMPORARY', c: 'CONNECT'};

/** Privileges of PUBLIC on a new database (manual, 5.8, table 5.2); pg_database has null for them. */
export const defaultDatabaseAcl: readonly string[] = ['=Tc/'];

export interface AclStatement {
  /** The grantee; null for PUBLIC. */
  readonly role: string | null;
  readonly sql: string;
}

/**
 * Statements that give the database exactly these privileges, if only PUBLIC differs from a new database.
 * @param acl aclitem texts such as `app=CTc/owner`; null for no change
 */
export function aclStatements(database: string, acl: readonly string[] | null): AclStatement[] {
  if (acl === null) return [];
  const on = `ON DATABASE ${quoteIdentifier(database)}`;
  const grants = acl.flatMap((item) => {
    const match = /^("(?:[^"]|"")*"|[^"=]*)=([A-Za-z*]*)\//.exec(item);
    const name = (match?.[1] ?? '').replace(/^"(.*)"$/s, '$1').replaceAll('""', '"');
    const role = name === '' ? null : name;
    const letters = [...(match?.[2] ?? '').matchAll(/([A-Za-z])(\*?)/g)];
    return letters.flatMap(([, letter = '', option]) => {
      const privilege = privilegeLetters[letter];
      if (privilege === undefined) return [];
      const to = role === null ? 'PUBLIC' : quoteIdentifier(role);
      return [{role, sql: `GRANT ${privilege} ${on} TO ${to}${option === '*' ? ' WITH GRANT OPTION' : ''}`}];
    });
  });
  return [{role: null, sql: `REVOKE ALL ${on} FROM PUBLIC`}, ...grants];
}

/**
 * Sets these properties one by one and leaves out those that fail.
 * @returns the failed ones with the reason, a line each, without values
 */
export async function applyDatabaseProperties(
  session: Session,
  database: string,
  properties: DatabaseProperties,
): Promise<string[]> {
  const statements = [
    ...aclStatements(database, properties.databaseAcl).map(({sql}) => ({sql, what: sql, value: ''})),
    ...properties.databaseSettings.map((one) => ({
      sql: settingStatement(database, one.role, one.setting),
      what: describeSetting(one),
      value: one.setting.slice(one.setting.indexOf('=') + 1),
    })),
    ...(properties.databaseComment === null
      ? []
      : [
          {
            sql: `COMMENT ON DATABASE ${quoteIdentifier(database)} IS ${quoteLiteral(properties.databaseComment)}`,
            what: 'the comment of the database',
            value: '',
          },
        ]),
  ];
  const failures: string[] = [];
  for (const {sql, what, value} of statements) {
    try {
      await session.query(sql);
    } catch (error) {
      if (!(error instanceof AppError) || error.code === 'CONNECTION_LOST') throw error;
      // The server repeats a value that it refuses.
      const reason = value === '' ? error.message : error.message.replaceAll(value, '***');
      failures.push(`${what}: ${reason}`);
    }
  }
  return failures;
}

/**
 * Adds wanted properties that the database lacks. Existing ones are kept: somebody may rely on them, and privileges could
 * only be extended.
 * @returns remaining differences, a line each, without values
 */
export async function addDatabaseProperties(
  session: Session,
  database: string,
  wanted: DatabaseProperties,
): Promise<string[]> {
  const present = await inspectDatabaseProperties(session);
  const missing = wanted.databaseSettings.filter(
    (one) => !present.databaseSettings.some((other) => isSameSetting(one, other)),
  );
  const failures = await applyDatabaseProperties(session, database, {
    databaseSettings: missing,
    databaseAcl: null,
    databaseComment: present.databaseComment === null ? wanted.databaseComment : null,
  });
  const after = {
    ...present,
    databaseSettings: [...present.databaseSettings, ...missing],
    databaseComment: present.databaseComment ?? wanted.databaseComment,
  };
  return [...failures, ...comparedProperties(after, wanted)];
}

function isSameSetting(
  one: DatabaseProperties['databaseSettings'][number],
  other: DatabaseProperties['databaseSettings'][number],
): boolean {
  return one.role === other.role && settingName(one.setting) === settingName(other.setting);
}

/** Differences from the backup, a line each, without values. */
export function comparedProperties(present: DatabaseProperties, wanted: DatabaseProperties): string[] {
  const settings = wanted.databaseSettings.flatMap((one) => {
    const other = present.databaseSettings.find((found) => isSameSetting(one, found));
    if (other && normalSetting(other.setting) === normalSetting(one.setting)) return [];
    return [`${describeSetting(one)} is ${other ? 'different' : 'missing'} here and was not changed`];
  });
  const isOtherComment =
    wanted.databaseComment !== null && present.databaseComment !== wanted.databaseComment;
  return [
    ...settings,
    ...(isOtherComment ? ['the comment of the database is different here and was not changed'] : []),
  ];
}

/** A list of names can be written with and without quotes. */
function normalSetting(setting: string): string {
  const name = settingName(setting);
  return listSettings.has(name.toLowerCase())
    ? `${name}=${splitNames(setting.slice(name.length + 1))
        .map(quoteIdentifier)
        .join(', ')}`
    : setting;
}
