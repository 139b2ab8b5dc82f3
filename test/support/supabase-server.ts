/** Servers like a project's at Supabase: the platform's roles, schemas and extensions, and an application on them. */
import {readFile} from 'node:fs/promises';
import {fileURLToPath} from 'node:url';
import {inject} from 'vitest';
import {withAppSession} from './app-session.js';
import {type Connection, withDatabase} from '../../src/lib/postgres/connect/connection.js';
import {serverBinFolders, startLocalCluster} from '../../src/lib/postgres/tools/local-cluster.js';
import {quoteIdentifier} from '../../src/lib/postgres/quote.js';
import {installationWithExtensions} from './extensions.js';

/** The content of a database: the platform with the application and its rows, or only the platform as in a new project. */
export type ProjectContent = 'application' | 'platform';

export interface SupabaseServer {
  readonly major: number;
  /** The server's own programs, such as a pg_dump of its version, without the platform's extensions. */
  readonly binFolder: string;
  /** As postgres, the role that users are given, to the project's database "postgres". */
  readonly project: Connection;
  /** As the superuser supabase_admin, to the project's database unless another is named. */
  readonly admin: (database?: string) => Connection;
  /** Drops the database and creates it again; as supabase_admin if no other role may. */
  reset(content: ProjectContent, database?: string): Promise<void>;
  stop(): Promise<void>;
}

const fixtures = fileURLToPath(new URL('../fixtures/supabase/', import.meta.url));
const password = 'the password of the project';

/** Major versions on which tests of Supabase run: the run's own server and, where it is installed, the newest. */
export async function supabaseMajors(): Promise<number[]> {
  const [newest] = await serverBinFolders();
  return [...new Set([inject('serverMajor'), newest?.major ?? inject('serverMajor')])];
}

/**
 * Starts a server with one project, whose database is called "postgres" as on Supabase.
 * @param content "platform" for a new project, which also lacks the application's own role
 */
export async function startSupabaseServer(
  major: number = inject('serverMajor'),
  content: ProjectContent = 'application',
): Promise<SupabaseServer> {
  const server = (await serverBinFolders()).find((found) => found.major === major);
  if (!server) throw new Error(`PostgreSQL ${major} is not installed`);
  const cluster = await startLocalCluster({
    binFolder: await installationWithExtensions(server.folder, `${fixtures}extension`),
    superuser: 'supabase_admin',
    settings: ['max_connections = 100', 'shared_buffers = 64MB', 'jit = off', 'wal_level = logical'],
  });
  const admin = (database = 'postgres'): Connection => withDatabase(cluster.connection, database);
  const as = (user: string, database: string): Connection =>
    user === 'postgres' ? {...admin(database), user, password} : admin(database);
  const load = async (connection: Connection, ...files: string[]): Promise<void> => {
    for (const file of files) await run(connection, await readFile(`${fixtures}${file}.sql`, 'utf8'));
  };
  const reset = async (wanted: ProjectContent, database = 'postgres'): Promise<void> => {
    // A database cannot be dropped from within.
    await run(
      admin('template1'),
      `DROP DATABASE IF EXISTS ${quoteIdentifier(database)} WITH (FORCE)`,
      `CREATE DATABASE ${quoteIdentifier(database)} TEMPLATE ${wanted}_template`,
    );
    await load(admin(database), 'database');
    if (wanted === 'application') await load(as('postgres', database), 'application-database');
  };
  try {
    await load(admin('template1'), 'roles');
    await run(admin('template1'), `ALTER ROLE postgres PASSWORD '${password}'`);
    await run(admin('template1'), 'CREATE DATABASE platform_template');
    await load(admin('platform_template'), 'platform');
    if (content === 'application') {
      await load(as('postgres', 'template1'), 'application-roles');
      await run(admin('template1'), 'CREATE DATABASE application_template TEMPLATE platform_template');
      await run(admin('template1'), 'ALTER DATABASE application_template OWNER TO postgres');
      await load(as('postgres', 'application_template'), 'application', 'application-rows');
    }
    await run(
      admin('template1'),
      `UPDATE pg_database SET datistemplate = true, datallowconn = false WHERE datname LIKE '%\\_template'`,
    );
    await reset(content);
  } catch (error) {
    await cluster.stop();
    throw error;
  }
  return {
    major,
    binFolder: server.folder,
    project: as('postgres', 'postgres'),
    admin,
    reset,
    stop: () => cluster.stop(),
  };
}

async function run(connection: Connection, ...statements: string[]): Promise<void> {
  await withAppSession(connection, async (session) => {
    for (const statement of statements) await session.client.query(statement);
  });
}
