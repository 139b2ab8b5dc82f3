/**
 * The search_path of our sessions, and that of the role as data. With an empty search_path, only pg_catalog is searched for
 * functions and operators, so a role that may create objects in a schema cannot shadow a name in our statements
 * (CVE-2018-1058).
 */

/** The parts of a session that are needed here. */
interface Asked {
  query(sql: string, values?: readonly string[]): Promise<readonly Readonly<Record<string, string | null>>[]>;
  readonly ownSearchPath: string;
}

/** The first statement of every session. It contains no name that another schema could take. */
export const emptySearchPath = `SELECT pg_catalog.set_config('search_path', '', false)`;

/** The names in a list such as the value of search_path: `"$user", Shop` is [`$user`, `shop`]. */
export function splitNames(list: string): string[] {
  return [...list.matchAll(/"((?:[^"]|"")*)"|([^\s,]+)/g)].map(([, quoted, bare = '']) =>
    quoted === undefined
      ? bare.replace(/[A-Z]/g, (letter) => letter.toLowerCase())
      : quoted.replaceAll('""', '"'),
  );
}

/** The schemas that the role searches for tables, in order; "$user" is the schema with the role's name. */
export function searchedSchemas({ownSearchPath}: Pick<Asked, 'ownSearchPath'>): string[] {
  const names = splitNames(ownSearchPath);
  // If pg_catalog is not named, it comes first (manual, 5.10.5).
  return names.includes('pg_catalog') ? names : ['pg_catalog', ...names];
}

/**
 * SQL condition: whether the unqualified name finds the relation `c` (pg_class), like pg_table_is_visible under the
 * role's own search_path.
 * @param schemas SQL of type text[] with the result of `searchedSchemas`
 */
export function isVisibleSql(schemas: string): string {
  // Does not depend on the relation, so the server looks the schemas up once.
  const path = `(SELECT pg_catalog.array_agg(pn.oid ORDER BY p.position)
       FROM pg_catalog.unnest(${schemas}) WITH ORDINALITY p(name, position)
       JOIN pg_catalog.pg_namespace pn ON pn.nspname = CASE WHEN p.name = '$user' THEN CURRENT_USER ELSE p.name END
      WHERE pg_catalog.has_schema_privilege(pn.oid, 'USAGE'))::pg_catalog.oid[]`;
  return `coalesce(c.relnamespace = ANY (${path}) AND c.oid = (
    SELECT o.oid FROM pg_catalog.pg_class o WHERE o.relname = c.relname AND o.relnamespace = ANY (${path})
     ORDER BY pg_catalog.array_position(${path}, o.relnamespace) LIMIT 1), false)`;
}

/**
 * Runs `work`, one statement that fires user code (triggers, defaults, checks), under the role's own search_path,
 * as the application would. Everything in the statement's own text must be qualified, operators too.
 * @param session in a transaction, which must be rolled back if this rejects
 */
export async function withOwnSearchPath<T>(session: Asked, work: () => Promise<T>): Promise<T> {
  await session.query(`SELECT pg_catalog.set_config('search_path', $1, true)`, [session.ownSearchPath]);
  const result = await work();
  await session.query(`SELECT pg_catalog.set_config('search_path', '', true)`);
  return result;
}
