/** A database for a restore test, which is always dropped afterwards. */
import type {RestoredSize} from '../../catalog/restored-size.js';
import {AppError, messageOf} from '../../base/errors.js';
import {type Session, withSession} from '../../postgres/client.js';
import {
  type Connection,
  describeConnection,
  refuseTransactionPooler,
  withDatabase,
} from '../../postgres/connect/connection.js';
import {resolveConnection, scratchConnection} from '../../postgres/connect/resolve-connection.js';
import {
  createWorkDatabase,
  dropWorkDatabase,
  type Existence,
  openWorkDatabase,
} from '../../postgres/databases/create-database.js';
import type {DatabaseLocale} from '../../postgres/inspect/inspect-database.js';
import {inspectRole, type RoleRights} from '../../postgres/inspect/inspect-target.js';
import {
  createScratchRole,
  dropScratchRole,
  scratchName,
  type ScratchRole,
} from '../../postgres/databases/scratch-role.js';
import {serverBinFolders, startLocalCluster} from '../../postgres/tools/local-cluster.js';
import {requireWritable} from '../../postgres/inspect/writable.js';
import {thisProcess} from '../../base/process-identity.js';
import type {RunContext} from '../../run/run-context.js';
import {openJournal} from '../../run/journal.js';
import {requireServerDisk} from '../guards/server-disk.js';
import {isProductionDatabase} from '../guards/production.js';

export type ScratchPlace =
  {readonly kind: 'same'} | {readonly kind: 'local'} | {readonly kind: 'url'; readonly url: string};

export interface Scratch {
  /** Connection to the scratch database, as the role that loads it. */
  readonly connection: Connection;
  /** The rights of that role on the server. */
  readonly rights: RoleRights;
  /** Whether the whole server is removed afterwards, so that roles may be created on it. */
  readonly isOwnServer: boolean;
  /** Connection to the scratch database as the role of the URL if a role without rights loads it; null if the URL's role does. */
  readonly creator: {readonly connection: Connection; readonly rights: RoleRights} | null;
}

export interface ScratchSource {
  /** Name of the dumped database. */
  readonly database: string;
  /** Null if the dump does not contain it; the server's default is used then. */
  readonly locale: DatabaseLocale | null;
  /** Major version of the dumped server, if known. */
  readonly serverMajor: number | null;
  /** Size on disk after the restore. */
  readonly size: RestoredSize;
}

/**
 * Creates an empty database with the source's encoding and locale, passes it to `work` and drops it, also after errors
 * and interruption. After a kill, `recover` drops it, guided by the journal and the owner comment.
 * @throws PERMISSION_DENIED without CREATEDB, NOT_SUPPORTED_HERE without the locale or without server programs,
 *   CONNECTION_REFUSED, ..., and the errors of `work`
 */
export async function withScratchDatabase<T>(
  context: RunContext,
  place: ScratchPlace,
  source: ScratchSource,
  work: (scratch: Scratch) => Promise<T>,
): Promise<T> {
  if (place.kind !== 'local') return onServer(context, scratchServer(context, place), source, false, work);
  const cluster = await startLocalCluster({
    binFolder: await chooseServer(source.serverMajor),
    settings: ['max_connections = 50', 'max_wal_size = 4GB', 'autovacuum = off', 'jit = off'],
    signal: context.signal,
  });
  try {
    return await onServer(context, cluster.connection, source, true, work);
  } finally {
    await cluster.stop();
  }
}

function scratchServer(context: RunContext, place: ScratchPlace): Connection {
  const connection =
    place.kind === 'url'
      ? scratchConnection(context.settings, place.url)
      : resolveConnection(context.settings);
  refuseTransactionPooler(connection);
  return connection;
}

/** The oldest installed server that is not older than the dumped one. */
async function chooseServer(major: number | null): Promise<string> {
  const servers = await serverBinFolders();
  const fitting = servers.filter((server) => server.major >= (major ?? 0)).at(-1);
  if (fitting) return fitting.folder;
  const found =
    servers.length === 0
      ? 'none is installed'
      : `installed: ${servers.map((server) => server.major).join(', ')}`;
  throw new AppError(
    'NOT_SUPPORTED_HERE',
    `A restore test on a local server needs the server programs of PostgreSQL ${major ?? ''} or newer; ${found}.`,
    {hint: 'Install a server (apt-get install postgresql), or use --scratch same or --scratch-url URL.'},
  );
}

/** The server on which the database is created, and the rights there. */
interface Site {
  readonly server: Connection;
  /** Rights of the URL's role. */
  readonly rights: RoleRights;
  readonly isOwnServer: boolean;
}

/** The reason why no role without rights can load the database. */
class NoScratchRole extends Error {}

async function onServer<T>(
  context: RunContext,
  server: Connection,
  source: ScratchSource,
  isOwnServer: boolean,
  work: (scratch: Scratch) => Promise<T>,
): Promise<T> {
  const rights = await withSession(server, (session) => inspectServer(context, session, server, source), {
    signal: context.signal,
  });
  const site = {server, rights, isOwnServer};
  try {
    return await withDatabaseOn(context, site, source, true, work);
  } catch (error) {
    const why = whyOwnRights(error, rights);
    if (why === undefined) throw error;
    await agreeToOwnRights(context, site, source, why);
  }
  return withDatabaseOn(context, site, source, false, work);
}

/** The reason why the URL's role has to load the database itself; undefined for every other error. */
function whyOwnRights(error: unknown, rights: RoleRights): string | undefined {
  if (error instanceof NoScratchRole) return error.message;
  if (!(error instanceof AppError)) return undefined;
  // Before 16, a role with BYPASSRLS cannot grant it, and FORCE ROW LEVEL SECURITY hides rows even from their owner.
  const needsMore =
    error.code === 'ROW_SECURITY' || (error.code === 'PERMISSION_DENIED' && rights.isSuperuser);
  return needsMore ? `a role without rights may not restore all of it: ${error.message}` : undefined;
}

/**
 * A superuser has to confirm before code of others runs with superuser rights, except on a temporary server whose account owns
 * nothing else.
 * @throws CONFIRMATION_NEEDED, NOT_CONFIRMED
 */
async function agreeToOwnRights(
  context: RunContext,
  {server, rights, isOwnServer}: Site,
  source: ScratchSource,
  why: string,
): Promise<void> {
  if (!rights.isSuperuser || (isOwnServer && process.getuid?.() === 0)) return;
  await context.confirm({
    action: `Run the code in the backup of "${source.database}" (functions, triggers, checks) as the superuser "${rights.name}".`,
    host: server.host,
    database: server.database,
    isProduction: !isOwnServer && (await isProductionDatabase(context, server)),
    plan: [
      `because   ${why}`,
      'instead   use a URL with a role that has only CREATEDB, or --scratch local; the code has no rights here then',
    ],
  });
}

async function withDatabaseOn<T>(
  context: RunContext,
  {server, rights, isOwnServer}: Site,
  source: ScratchSource,
  hasOwnRole: boolean,
  work: (scratch: Scratch) => Promise<T>,
): Promise<T> {
  const name = scratchName();
  const journal = openJournal(context, 'verify');
  const done = isOwnServer
    ? async () => {}
    : await journal.begin({
        kind: 'scratch-database',
        server: {host: server.host, port: server.port},
        database: name,
      });
  const existence: Existence = {isPossible: false};
  const scratch = {connection: withDatabase(server, name), rights, isOwnServer};
  try {
    const role = await withSession(
      server,
      (session) => makeScratch(context, session, {name, rights, source, hasOwnRole}, existence),
      {signal: context.signal},
    );
    if (!role) return await work({...scratch, creator: null});
    const connection = await logInAs(scratch.connection, role, rights, context.signal);
    const own = {...rights, name: role.name, isSuperuser: false, canCreateDatabases: false};
    return await work({connection, rights: own, isOwnServer, creator: scratch});
  } finally {
    // Without a signal, because the cleanup is needed after an interruption too.
    const isGone = isOwnServer || !existence.isPossible || (await dropScratch(context, server, name));
    try {
      await context.checkpoint('verify.dropped');
    } finally {
      if (isGone) await done();
      await journal.close();
    }
  }
}

/** @throws NoScratchRole if the server does not accept the role's password */
async function logInAs(
  scratch: Connection,
  role: ScratchRole,
  rights: RoleRights,
  signal: AbortSignal,
): Promise<Connection> {
  // Poolers of Supabase expect "role.project" as the user.
  const suffix = scratch.user.startsWith(`${rights.name}.`) ? scratch.user.slice(rights.name.length) : '';
  const connection = {...scratch, user: role.name + suffix, password: role.password};
  try {
    const [row] = await withSession(connection, (session) => session.query('SELECT session_user AS name'), {
      signal,
    });
    if (row?.['name'] === role.name) return connection;
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== 'AUTHENTICATION_FAILED') throw error;
    throw new NoScratchRole(
      `the server refuses the login of a role with a password (pg_hba.conf): ${error.message}`,
    );
  }
  throw new NoScratchRole('the server logs the role in under another name');
}

/** Checks that the database can be created, and reads the role's rights. @throws NOT_SUPPORTED_HERE, DISK_FULL */
async function inspectServer(
  context: RunContext,
  session: Session,
  server: Connection,
  {database, size}: ScratchSource,
): Promise<RoleRights> {
  const hint = 'Use --scratch local, or --scratch-url with the URL of another server.';
  await requireWritable(session, 'A scratch database cannot be created', {hint});
  await requireServerDisk(context, session, server, {
    what: `A restore test of "${database}"`,
    size,
    isLikeCurrent: false,
    hint: 'Free space on the server, or restore on another one with --scratch-url.',
  });
  return inspectRole(session);
}

/** @returns the role that owns the database, unless it is the session's role @throws NoScratchRole */
async function makeScratch(
  context: RunContext,
  session: Session,
  {
    name,
    rights,
    source,
    hasOwnRole,
  }: {
    readonly name: string;
    readonly rights: RoleRights;
    readonly source: ScratchSource;
    readonly hasOwnRole: boolean;
  },
  existence: Existence,
): Promise<ScratchRole | undefined> {
  const {locale, database} = source;
  const at = context.clock.now().toISOString();
  const ownerComment = {kind: 'scratch', database, at, owner: await thisProcess(), comment: null} as const;
  let role: ScratchRole | undefined;
  if (hasOwnRole) {
    existence.isPossible = true;
    role = await createScratchRole(session, name, ownerComment, rights.serverMajor);
    if (!role) {
      existence.isPossible = false;
      throw new NoScratchRole('the role may not create a role without rights (CREATEROLE)');
    }
    await context.checkpoint('verify.role-made');
  }
  const owned = {isPossible: false};
  try {
    await createWorkDatabase(session, name, {locale, owner: role?.name}, rights.serverMajor, owned);
  } finally {
    existence.isPossible = owned.isPossible || role !== undefined;
  }
  await context.checkpoint('verify.scratch-made');
  await openWorkDatabase(session, name, ownerComment);
  await context.checkpoint('verify.scratch-marked');
  return role;
}

/**
 * A failure is a warning and does not change the outcome of the test.
 * @returns whether the database is gone; if not, `recover` needs its journal
 */
async function dropScratch(context: RunContext, server: Connection, name: string): Promise<boolean> {
  try {
    await withSession(server, async (session) => {
      await dropWorkDatabase(session, server, name);
      await dropScratchRole(session, name);
    });
    return true;
  } catch (error) {
    context.warn(
      `Could not drop the scratch database "${name}" on ${describeConnection(server)}: ${messageOf(error)} Drop it later: destino-db recover`,
    );
    return false;
  }
}
