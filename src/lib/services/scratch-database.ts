/** A database made for a proof by restore, gone afterwards whatever happens. */
import {randomBytes} from 'node:crypto';
import {AppError, withState} from '../errors.js';
import {type Session, withSession} from '../postgres/client.js';
import {
  type Connection,
  describeConnection,
  refuseTransactionPooler,
  withDatabase,
} from '../postgres/connection.js';
import {parseConnectionUrl} from '../postgres/connection-url.js';
import {resolveConnection} from '../postgres/resolve-connection.js';
import {createDatabase, dropWorkDatabase} from '../postgres/create-database.js';
import {markStatement} from '../postgres/database-mark.js';
import type {DatabaseLocale} from '../postgres/inspect-database.js';
import {inspectRole, type RoleRights} from '../postgres/inspect-target.js';
import {serverBinFolders, startLocalCluster} from '../postgres/local-cluster.js';
import {thisProcess} from '../process-identity.js';
import type {RunContext} from '../run-context.js';
import {openJournal} from '../watch/journal.js';

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
  const journal = openJournal(context, 'verify');
  const done = isOwnServer
    ? async () => {}
    : await journal.begin({
        kind: 'scratch-database',
        server: {host: server.host, port: server.port},
        database: name,
      });
  try {
    const rights = await withSession(server, (session) => makeScratch(context, session, name, source), {
      signal: context.signal,
    });
    return await work({connection: withDatabase(server, name), rights, isOwnServer});
  } finally {
    // No signal: clearing up has to be done after an interruption too.
    if (!isOwnServer) await dropScratch(server, name);
    try {
      await context.reach('verify.dropped');
    } finally {
      await done();
      await journal.close();
    }
  }
}

async function makeScratch(
  context: RunContext,
  session: Session,
  name: string,
  source: ScratchSource,
): Promise<RoleRights> {
  const rights = await inspectRole(session);
  await createDatabase(session, name, {locale: source.locale, owner: undefined}, rights.serverMajor);
  await context.reach('verify.scratch-made');
  const at = context.clock.now().toISOString();
  const mark = {
    kind: 'scratch' as const,
    database: source.database,
    at,
    owner: await thisProcess(),
    comment: null,
  };
  await session.query(markStatement(name, mark));
  await context.reach('verify.scratch-marked');
  return rights;
}

/** @throws what the server says, with the name of the database that stays */
async function dropScratch(server: Connection, name: string): Promise<void> {
  try {
    await withSession(server, (session) => dropWorkDatabase(session, server, name));
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    throw withState(
      error,
      `The scratch database "${name}" on ${describeConnection(server)} could not be dropped and is still there.`,
    );
  }
}
