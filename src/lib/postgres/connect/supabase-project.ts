/** Which Supabase project an address leads to: there every database is called "postgres", and a pooler serves many projects. */

/**
 * The project's reference, out of "db.REF.supabase.co" or, at a pooler, out of the user "postgres.REF"; undefined for other servers.
 * @see https://supabase.com/docs/guides/database/connecting-to-postgres
 */
export function supabaseProject({
  host,
  user,
}: {
  readonly host: string;
  readonly user?: string | undefined;
}): string | undefined {
  const direct = /^db\.([a-z0-9]+)\.supabase\.(?:co|com|red)\.?$/i.exec(host)?.[1];
  if (direct !== undefined) return direct.toLowerCase();
  if (!/\.pooler\.supabase\.com\.?$/i.test(host)) return undefined;
  return /^[^.]+\.([a-z0-9]+)$/i.exec(user ?? '')?.[1]?.toLowerCase();
}

/** What names of backups begin with: of Supabase's projects, whose databases are all called alike, with the reference. */
export function databaseInNames(database: string, connection: Parameters<typeof supabaseProject>[0]): string {
  const project = supabaseProject(connection);
  return project === undefined ? database : `${database}-${project}`;
}
