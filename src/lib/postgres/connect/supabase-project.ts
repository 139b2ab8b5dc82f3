/** Finds the Supabase project of an address: all its databases are called "postgres", and a pooler serves many projects. */

/**
 * The project's reference in "db.REF.supabase.co" or, at a pooler, in the user "postgres.REF"; undefined for other servers.
 * @see https://supabase.com/docs/guides/database/connecting-to-postgres
 */
export function supabaseProject({
  host,
  user,
}: {
  readonly host: string;
  readonly user?: string;
}): string | undefined {
  const direct = /^db\.([a-z0-9]+)\.supabase\.(?:co|com|red)\.?$/i.exec(host)?.[1];
  if (direct !== undefined) return direct.toLowerCase();
  if (!/\.pooler\.supabase\.com\.?$/i.test(host)) return undefined;
  return /^[^.]+\.([a-z0-9]+)$/i.exec(user ?? '')?.[1]?.toLowerCase();
}

/** The beginning of backup names: with the reference for Supabase's projects, because their databases have the same name. */
export function databaseInNames(database: string, connection: Parameters<typeof supabaseProject>[0]): string {
  const project = supabaseProject(connection);
  return project === undefined ? database : `${database}-${project}`;
}
