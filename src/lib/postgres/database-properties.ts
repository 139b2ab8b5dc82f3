/** What belongs to a database and is in no dump of it: settings and access rights, as statements that give them back. */
import {z} from 'zod';
import {AppError} from '../errors.js';
import type {Session} from './client.js';
import {quoteIdentifier, quoteLiteral} from './quote.js';
import {splitNames} from './search-path.js';

/** The part of a backup's inventory that is read here; backups of other versions may lack keys. */
export const databasePropertiesSchema = z.object({
  databaseSettings: z.array(z.object({role: z.string().nullable(), setting: z.string()})).default([]),
  databaseAcl: z.array(z.string()).nullable().default(null),
  databaseComment: z.string().nullable().default(null),
});
export type DatabaseProperties = z.infer<typeof databasePropertiesSchema>;

/** Settings whose value is a list of names, which SET wants one by one (GUC_LIST_QUOTE in src/bin/pg_dump/dumputils.c). */
const listSettings = new Set([
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
  const index = setting.indexOf('=');
  const key = setting.slice(0, index);
  const value = setting.slice(index + 1);
  const target =
    role === null
      ? `DATABASE ${quoteIdentifier(database)}`
      : `ROLE ${quoteIdentifier(role)} IN DATABASE ${quoteIdentifier(database)}`;
  const quoted = listSettings.has(key.toLowerCase())
    ? splitNames(value).map(quoteLiteral).join(', ') || "''"
    : quoteLiteral(value);
  // A name such as "app.tenant" has two parts, each an identifier.
  const name = key.split('.').map(quoteIdentifier).join('.');
  return `ALTER ${target} SET ${name} TO ${quoted}`;
}

const privilegeLetters: Readonly<Record<string, string>> = {C: 'CREATE', T: 'TEMPORARY', c: 'CONNECT'};

export interface AclStatement {
  /** The role that is granted something; null for PUBLIC. */
  readonly role: string | null;
  readonly sql: string;
}

/**
 * Statements that give the database exactly these access rights, where only PUBLIC has others than a new database gives it.
 * @param acl aclitem texts such as `app=CTc/owner`; null for the rights of a new database (manual, 5.8, table 5.2)
 */
export function aclStatements(database: string, acl: readonly string[] | null): AclStatement[] {
  const on = `ON DATABASE ${quoteIdentifier(database)}`;
  if (acl === null) return [{role: null, sql: `GRANT CONNECT, TEMPORARY ${on} TO PUBLIC`}];
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
 * Gives the database these properties, each for itself: one that fails is left out and told.
 * @returns what could not be carried over, a line each
 */
export async function applyDatabaseProperties(
  session: Session,
  database: string,
  properties: DatabaseProperties,
): Promise<string[]> {
  const statements = [
    ...aclStatements(database, properties.databaseAcl).map(({sql}) => sql),
    ...properties.databaseSettings.map(({role, setting}) => settingStatement(database, role, setting)),
    ...(properties.databaseComment === null
      ? []
      : [`COMMENT ON DATABASE ${quoteIdentifier(database)} IS ${quoteLiteral(properties.databaseComment)}`]),
  ];
  const failures: string[] = [];
  for (const statement of statements) {
    try {
      await session.query(statement);
    } catch (error) {
      if (!(error instanceof AppError) || error.code === 'CONNECTION_LOST') throw error;
      failures.push(`${statement}: ${error.message}`);
    }
  }
  return failures;
}
