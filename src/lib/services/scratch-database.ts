/** A database made for a proof by restore, gone afterwards whatever happens. */
import {randomBytes} from 'node:crypto';
import type {RestoredSize} from '../backups/restored-size.js';
import {AppError, messageOf} from '../errors.js';
import {type Session, withSession} from '../postgres/client.js';
import {
  type Connection,
  describeConnection,
  refuseTransactionPooler,
  withDatabase,
} from '../postgres/connection.js';
import {parseConnectionUrl} from '../postgres/connection-url.js';
import {resolveConnection} from '../postgres/resolve-connection.js';
import {
  createWorkDatabase,
  dropWorkDatabase,
  type Existence,
  openWorkDatabase,
} from '../postgres/create-database.js';
import type {DatabaseLocale} from '../postgres/inspect-database.js';
import {inspectRole, requireWritable, type RoleRights} from '../postgres/inspect-target.js';
import {serverBinFolders, startLocalCluster} from '../postgres/local-cluster.js';
import {thisProcess} from '../process-identity.js';
import type {RunContext} from '../run-context.js';
import {openJournal} from '../watch/journal.js';
import {requireServerDisk} from './check-server-disk.js';

export type ScratchPlace =
  {readonly kind: 'same'} | {readonly kind: 'local'} | {readonly kind: 'url'; readonly url: string};

export interface Scratch {
  /** To the scratch database. */
  readonly connection: Connection;
  /** What the connection's role may do on the server. */
  readonly rights: RoleRights;
  /** Whether the whole server is thrown away afterwards, so that roles may be made on it. */
  readonly isOwnServer: boolean;
}

export interface ScratchSource {
  /** Name of the database that the backup is of. */
  readonly database: string;
  /** Null when the dump does not tell: then the server's default is taken. */
  readonly locale: DatabaseLocale | null;
  /** Major version of the dumped server, where known. */
  readonly serverMajor: number | null;
  /** What it will have on disk. */
  readonly size: RestoredSize;
}

/**
 * Makes an empty database with the source's encoding and locale, hands it to `work` and drops it, also after errors
 * and interruption; a killed process leaves a journal and a mark from which `recover` does so.
 * @throws PERMISSION_DENIED without CREATEDB, NOT_SUPPORTED_HERE without the locale or without server programs,
 *   CONNECTION_REFUSED, ..., and what `work` throws
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
      ? parseConnectionUrl(place.url, '--scratch-url')
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
    `A local server for the proof needs the server programs of PostgreSQL ${major ?? ''} or newer; ${found}.`,
    {hint: 'Install a server (apt-get install postgresql), or use --scratch same or --scratch-url URL.'},
  );
}

async function onServer<T>(
  context: RunContext,
  server: Connection,
  source: ScratchSource,
  isOwnServer: boolean,
  work: (scratch: Scratch) => Promise<T>,
): Promise<T> {
  const name = `destino_scratch_${randomBytes(6).toString('hex')}`;
  const rights = await withSession(server, (session) => inspectServer(context, session, server, source), {
    signal: context.signal,
  });
  const journal = openJournal(context, 'verify');
  const done = isOwnServer
    ? async () => {}
    : await journal.begin({
        kind: 'scratch-database',
        server: {host: server.host, port: server.port},
        database: name,
      });
  const existence: Existence = {isPossible: false};
  try {
    await withSession(server, (session) => makeScratch(context, session, name, source, rights, existence), {
      signal: context.signal,
    });
    return await work({connection: withDatabase(server, name), rights, isOwnServer});
  } finally {
    // No signal: clearing up has to be done after an interruption too.
    const isGone = isOwnServer || !existence.isPossible || (await dropScratch(context, server, name));
    try {
      await context.reach('verify.dropped');
    } finally {
      if (isGone) await done();
      await journal.close();
    }
  }
}

/** What the role may do on a server where the database can be created. @throws NOT_SUPPORTED_HERE, DISK_FULL */
async function inspectServer(
  context: RunContext,
  session: Session,
  server: Connection,
  {database, size}: ScratchSource,
): Promise<RoleRights> {
  const hint = 'Use --scratch local, or --scratch-url with the URL of another server.';
  await requireWritable(session, 'A scratch database cannot be created', hint);
  await requireServerDisk(context, session, server, {
    what: `A restore test of "${database}"`,
    size,
    isLikeCurrent: false,
    hint: 'Free space on the server, or restore on another one with --scratch-url.',
  });
  return inspectRole(session);
}

async function makeScratch(
  context: RunContext,
  session: Session,
  name: string,
  source: ScratchSource,
  rights: RoleRights,
  existence: Existence,
): Promise<void> {
  const {locale} = source;
  await createWorkDatabase(session, name, {locale, owner: undefined}, rights.serverMajor, existence);
  await context.reach('verify.scratch-made');
  await openWorkDatabase(session, name, {
    kind: 'scratch',
    database: source.database,
    at: context.clock.now().toISOString(),
    owner: await thisProcess(),
    comment: null,
  });
  await context.reach('verify.scratch-marked');
}

/**
 * The outcome of the proof stands whether or not this succeeds.
 * @returns whether the database is gone; if not, its journal has to stay for `recover`
 */
async function dropScratch(context: RunContext, server: Connection, name: string): Promise<boolean> {
  try {
    await withSession(server, (session) => dropWorkDatabase(session, server, name));
    return true;
  } catch (error) {
    context.warn(
      `Could not drop the scratch database "${name}" on ${describeConnection(server)}: ${messageOf(error)} Drop it later: destino-db recover`,
    );
    return false;
  }
}
