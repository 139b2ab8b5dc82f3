/** The effective privileges of roles in a database: every statement is tried as the role, and rolled back. */
import {withSession} from '../../src/lib/postgres/client.js';
import type {Connection} from '../../src/lib/postgres/connect/connection.js';

const attempt = `
  CREATE FUNCTION pg_temp.attempt(role text, statement text) RETURNS text LANGUAGE plpgsql AS $$
  DECLARE result text;
  BEGIN
    EXECUTE pg_catalog.format('SET LOCAL ROLE %I', role);
    EXECUTE statement INTO result;
    RAISE EXCEPTION USING ERRCODE = 'P0099', MESSAGE = coalesce(result, 'null');
  EXCEPTION
    WHEN SQLSTATE 'P0099' THEN RETURN 'yes, ' || SQLERRM;
    WHEN insufficient_privilege THEN RETURN 'no';
    WHEN OTHERS THEN RETURN 'yes, then ' || SQLSTATE;
  END $$`;

/** Rows that are seen and changed are counted, so that row security shows; each statement needs only one privilege. */
const statements = `
  WITH named AS (
    SELECT c.oid, c.relkind, pg_catalog.format('%I.%I', n.nspname, c.relname) AS name
      FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = ANY ($1::text[]) AND c.relkind IN ('r', 'p', 'v', 'm', 'S')
  )
  SELECT 'SELECT ' || name AS what, 'SELECT count(*) FROM ' || name AS statement FROM named WHERE relkind <> 'S'
  UNION ALL SELECT 'INSERT ' || name, 'WITH x AS (INSERT INTO ' || name || ' DEFAULT VALUES RETURNING 1) SELECT count(*) FROM x' FROM named WHERE relkind NOT IN ('m', 'S')
  UNION ALL SELECT 'DELETE ' || name, 'WITH x AS (DELETE FROM ' || name || ' RETURNING 1) SELECT count(*) FROM x' FROM named WHERE relkind NOT IN ('m', 'S')
  UNION ALL SELECT 'USE ' || name, 'SELECT pg_catalog.has_sequence_privilege(' || oid || '::oid, ''USAGE'')' FROM named WHERE relkind = 'S'
  UNION ALL
  SELECT p || ' ' || name || '.' || a.attname, pg_catalog.format('SELECT pg_catalog.has_column_privilege(%s::oid, %s::int2, %L)', n.oid, a.attnum, p)
    FROM named n JOIN pg_catalog.pg_attribute a ON a.attrelid = n.oid AND a.attnum > 0 AND NOT a.attisdropped, unnest('{SELECT,INSERT,UPDATE,REFERENCES}'::text[]) p
  UNION ALL
  SELECT 'CALL ' || p.oid::regprocedure,
         pg_catalog.format('SELECT %I.%I(%s)::text', n.nspname, p.proname,
           (SELECT pg_catalog.string_agg('NULL::' || pg_catalog.format_type(t, NULL), ', ') FROM unnest(p.proargtypes) t))
    FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = ANY ($1::text[]) AND p.prokind = 'f'`;

/**
 * Sorted lines such as "anon | DELETE public.payments | no". Sequences may be further afterwards.
 * @param connection as a superuser
 * @param claims of the signed-in user, as the API sets them
 */
export async function accessOf(
  connection: Connection,
  {roles, schemas, claims}: {roles: readonly string[]; schemas: readonly string[]; claims: string},
): Promise<string[]> {
  return withSession(connection, async (session) => {
    await session.query(attempt);
    await session.query(`SELECT pg_catalog.set_config('request.jwt.claims', $1, false)`, [claims]);
    const rows = await session.query(
      `SELECT r || ' | ' || s.what || ' | ' || pg_temp.attempt(r, s.statement) AS line FROM (${statements}) s, unnest($2::text[]) r ORDER BY 1`,
      [schemas, roles],
    );
    return rows.map((row) => row['line'] ?? '');
  });
}
