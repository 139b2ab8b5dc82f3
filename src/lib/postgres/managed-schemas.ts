/** Schemas that a hosting service keeps for itself. */
import type {Session} from './client.js';

/**
 * Supabase's own schemas, which its roles hide from or forbid to the project's `postgres` role
 * (supabase/cli leaves out the same in `db dump`).
 */
const supabaseSchemas = [
  '_analytics', '_realtime', '_supavisor', 'auth', 'cron', 'etl', 'extensions', 'graphql', 'graphql_public',
  'net', 'pgbouncer', 'pgmq', 'pgsodium', 'pgsodium_masks', 'pgtle', 'realtime', 'storage', 'supabase_functions',
  'supabase_migrations', 'tiger', 'topology', 'vault',
]; // prettier-ignore

/** The managed schemas that this database has; empty where no Supabase stands behind it. */
export async function findSupabaseSchemas(session: Session): Promise<string[]> {
  const rows = await session.query(
    `SELECT nspname AS name FROM pg_catalog.pg_namespace
      WHERE nspname = ANY ($1) AND EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'supabase_admin') ORDER BY 1`,
    [supabaseSchemas],
  );
  return rows.flatMap((row) => (row['name'] === null || row['name'] === undefined ? [] : [row['name']]));
}
