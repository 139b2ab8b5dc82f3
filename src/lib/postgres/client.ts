/** Sessions on the server: the only file that uses pg. */
import {Socket} from 'node:net';
import type {Client} from 'pg';
import {AppError, systemErrorCode} from '../base/errors.js';
import {type Connection, describeConnection} from './connect/connection.js';
import {explainDatabaseError} from './explain-failure.js';
import {guardAuthentication} from './connect/guard-authentication.js';
import {PasswordMissing, passwordOf} from './connect/missing-password.js';
import {enterServer, serverColumns, type ServerRow, startedAt} from './connect/one-server.js';
import {pinnedSettings} from './pinned-settings.js';
import {keepsSessions, startOwnSession} from './connect/pooler.js';
import {emptySearchPath, readOwnSearchPath} from './search-path.js';
import {type Encryption, encryptionOrder, tlsOptions} from './connect/tls.js';

/** A row as the server sent it: every value as its text, null as null. */
export type TextRow = Readonly<Record<string, string | null>>;

export interface Session {
  /**
   * Runs one statement; values are sent apart from it. Columns come back as the server's text, never as numbers or dates.
   * @throws AppError with the code that the server's SQLSTATE stands for
   */
  query(
    sql: string,
    values?: readonly (string | number | boolean | null | readonly string[])[],
  ): Promise<TextRow[]>;
  /** Like `query`; the number of rows that the statement affected. */
  execute(
    sql: string,
    values?: readonly (string | number | boolean | null | readonly string[])[],
  ): Promise<number>;
  /** The driver's client, for COPY streams only. */
  readonly client: Client;
  /** Backend process id as the server says, for pg_cancel_backend and for naming blockers; a pooler gives its clients another one. */
  readonly backendPid: number;
  /** The role's own search_path, as data: the session's is empty. Read once. */
  ownSearchPath(): Promise<string>;
}

/** How long a statement waits for a lock where nobody queues behind it; what others queue behind sets less, ms. */
const longestLockWaitMs = 60_000;

/**
 * No code of other roles under the names in our statements, the settings that they rely on, nothing compiled, which takes longer than they
 * do, a limit for each wait for a lock, and no timeout that would kill a long session (manual, 20.11). All of it holds for the session only.
 */
const pinSession = `
  ${emptySearchPath};
  SET jit = off; SET statement_timeout = 0; SET lock_timeout = ${longestLockWaitMs};
  SELECT pg_catalog.set_config(s.name, p.value, false)
    FROM pg_catalog.pg_settings s JOIN ${pinnedSettings} ON p.name = s.name
   WHERE s.setting <> p.value AND (s.context <> 'superuser' OR current_setting('is_superuser') = 'on');
  SELECT pg_catalog.pg_backend_pid() AS pid, ${serverColumns};
`;

export interface SessionOptions {
  /** Gives up the attempt to connect, or ends the session's running statement on the server, and rejects. */
  signal?: AbortSignal;
}

/**
 * Opens a session, hands it to `work` and closes it, whatever happens.
 * When `signal` is aborted the running statement is cancelled on the server.
 * @throws CONNECTION_REFUSED, AUTHENTICATION_FAILED, ... as `explainDatabaseError` reads the failure
 */
export async function withSession<T>(
  connection: Connection,
  work: (session: Session) => Promise<T>,
  {signal}: SessionOptions = {},
): Promise<T> {
  signal?.throwIfAborted();
  const client = await connect(connection, signal).catch((error: unknown) => {
    signal?.throwIfAborted();
    throw error;
  });
  // A connection that breaks while idle emits an error event; the next query rejects with it as well.
  let broken: Error | undefined;
  client.on('error', (error) => {
    broken = error;
  });
  let backendPid = (client as Client & {processID?: number}).processID ?? 0;
  let watch: NodeJS.Timeout | undefined;
  let server: ServerRow | undefined;
  const cancel = (): void => {
    void cancelBackend(connection, backendPid, server);
    watch = breakWhenSilent(client);
  };
  signal?.addEventListener('abort', cancel, {once: true});
  try {
    signal?.throwIfAborted(); // since it was looked at last
    // The server may have ended the session before anybody listened; the driver says so here, in words of its own.
    try {
      if (!keepsSessions(connection))
        await startOwnSession(client, connection, backendPid, () => connect(connection, signal));
      const result = [await client.query<Record<string, unknown>>(pinSession)].flat().at(-1);
      backendPid = Number(result?.rows[0]?.['pid']);
      server = enterServer(client, connection, result?.rows[0]);
    } catch (error) {
      throw error instanceof AppError
        ? error
        : explainDatabaseError(error, `The session on ${describeConnection(connection)}`);
    }
    return await work(sessionOf(client, connection, backendPid, () => broken));
  } catch (error) {
    signal?.throwIfAborted();
    if (broken && !(error instanceof AppError)) {
      throw explainDatabaseError(broken, `The session on ${describeConnection(connection)}`);
    }
    throw error instanceof Error && 'severity' in error
      ? explainDatabaseError(error, `A query on ${describeConnection(connection)}`)
      : error;
  } finally {
    signal?.removeEventListener('abort', cancel);
    clearInterval(watch);
    // Where the network lets nothing through any more, the server would never close its side.
    const unheard = setTimeout(() => client.connection.stream.destroy(), silenceMs);
    await client.end().catch(() => undefined); // the connection may be gone already; there is nothing left to lose
    clearTimeout(unheard);
  }
}

/**
 * Runs `work` between BEGIN and COMMIT; any error rolls back and is passed on.
 * @param mode the words after BEGIN, such as "ISOLATION LEVEL REPEATABLE READ, READ ONLY"
 */
export async function withTransaction<T>(session: Session, mode: string, work: () => Promise<T>): Promise<T> {
  await session.query(`BEGIN ${mode}`);
  let result: T;
  try {
    result = await work();
  } catch (error) {
    await session.query('ROLLBACK').catch(() => undefined); // the first error is the one to tell
    throw error;
  }
  await session.query('COMMIT');
  return result;
}

/** @param ended what ended the session, once something did */
function sessionOf(
  client: Client,
  connection: Connection,
  backendPid: number,
  ended: () => Error | undefined,
): Session {
  const run = async (sql: string, values?: readonly unknown[]) => {
    try {
      return await client.query<Record<string, string | null>>({
        text: sql,
        values: values ? [...values] : undefined,
      });
    } catch (error) {
      // What ended the session says more than the query that found it ended.
      const broken = error instanceof Error && 'severity' in error ? undefined : ended();
      throw broken === undefined
        ? explainDatabaseError(error, `A query on ${describeConnection(connection)}`)
        : explainDatabaseError(broken, `The session on ${describeConnection(connection)}`);
    }
  };
  let ownPath: Promise<string> | undefined;
  const session: Session = {
    client,
    backendPid,
    query: async (sql, values) => (await run(sql, values)).rows,
    execute: async (sql, values) => (await run(sql, values)).rowCount ?? 0,
    ownSearchPath: () => (ownPath ??= readOwnSearchPath(session)),
  };
  return session;
}

async function connect(connection: Connection, signal?: AbortSignal): Promise<Client> {
  try {
    return await connectAsKnown(connection, signal);
  } catch (error) {
    // The server is left meanwhile: it does not wait for somebody who types.
    if (!(error instanceof PasswordMissing) || !(await connection.typedPasswords?.ask(connection)))
      throw error;
  }
  return connectAsKnown(connection, signal);
}

async function connectAsKnown(connection: Connection, signal?: AbortSignal): Promise<Client> {
  const [first, second] = encryptionOrder(connection);
  const explain = (error: unknown): AppError =>
    explainDatabaseError(error, `Connecting to ${describeConnection(connection)} (${connection.origin})`);
  try {
    return await open(connection, first ?? 'plain', signal);
  } catch (error) {
    const failure = explain(error);
    if (second === undefined || !isAboutEncryption(failure)) throw failure;
  }
  try {
    return await open(connection, second, signal);
  } catch (error) {
    throw explain(error);
  }
}

function refusedPassword(error: unknown, connection: Connection, source: string): AppError {
  const {message} = explainDatabaseError(error, `Connecting to ${describeConnection(connection)}`);
  return new AppError('AUTHENTICATION_FAILED', message, {
    hint: `Check user and password; the password came from ${source}. In a URL special characters must be percent-encoded (@ is %40).`,
    cause: error,
  });
}

/** Whether libpq would try the other way under sslmode allow and prefer: no TLS came about, or pg_hba.conf wants the other. */
function isAboutEncryption(failure: AppError): boolean {
  return failure.code === 'TLS_FAILED' || systemErrorCode(failure.cause) === '28000';
}

/**
 * Node 20 has no navigator, which newer ones have. Without one the driver makes a Response to see whether it runs at Cloudflare, which loads
 * all of fetch with its WebAssembly, and that needs 10 GB of address space.
 */
async function importDriver() {
  if (!('navigator' in globalThis))
    Object.defineProperty(globalThis, 'navigator', {value: {userAgent: 'Node.js'}, configurable: true});
  return import('pg');
}

async function open(
  connection: Connection,
  encryption: Encryption,
  signal: AbortSignal | undefined,
): Promise<Client> {
  const {default: pg} = await importDriver();
  const {options} = connection;
  const socket = new Socket();
  let passwordSource: string | undefined;
  const client = new pg.Client({
    stream: () => socket,
    host: options['hostaddr'] ?? connection.host,
    port: connection.port,
    user: connection.user,
    database: connection.database,
    password: async () => {
      // Called only where the server asks for a password.
      const {password, source} = await passwordOf(connection);
      passwordSource = source;
      return password;
    },
    ssl: encryption === 'tls' ? await tlsOptions(connection) : false,
    sslnegotiation: encryption === 'tls' && options['sslnegotiation'] === 'direct' ? 'direct' : 'postgres',
    enableChannelBinding: encryption === 'tls' && options['channel_binding'] === 'require',
    application_name: 'destino-db',
    options: options['options'],
    connectionTimeoutMillis: Number(options['connect_timeout'] ?? '15') * 1000,
    keepAlive: true,
    // Every value stays the server's own text: JavaScript numbers and dates would lose data.
    types: {getTypeParser: () => (text: unknown) => text},
  });
  // A socket that fails after the connection attempt was given up would otherwise end the process.
  client.on('error', () => undefined);
  const checkAuthentication = guardAuthentication(client.connection, options);
  const giveUp = (): unknown => socket.destroy(new Error('given up'));
  signal?.addEventListener('abort', giveUp, {once: true});
  try {
    await client.connect();
    checkAuthentication();
  } catch (error) {
    // The driver's own end() waits for ever where TLS fails after its handshake, as with a client certificate that is refused.
    socket.destroy();
    if (systemErrorCode(error) === '28P01' && passwordSource !== undefined)
      throw refusedPassword(error, connection, passwordSource);
    throw error;
  } finally {
    signal?.removeEventListener('abort', giveUp);
  }
  return client;
}

/** The answer to a cancelled statement, and a farewell, take no longer than this, unless the network lets nothing through, ms. */
const silenceMs = 5000;

/** Breaks the connection when the statement that runs gets no answer, not even that it was cancelled. */
function breakWhenSilent(client: Client): NodeJS.Timeout | undefined {
  const {connection, readyForQuery} = client as Client & {readyForQuery?: boolean};
  if (readyForQuery === true) return undefined;
  // A listener for data would disturb COPY streams.
  const bytesRead = (): number | undefined => (connection.stream as Partial<Socket>).bytesRead;
  let heard = {bytes: bytesRead(), atMs: performance.now()};
  const watch = setInterval(() => {
    if (bytesRead() !== heard.bytes) heard = {bytes: bytesRead(), atMs: performance.now()};
    if (performance.now() - heard.atMs >= silenceMs)
      connection.stream.destroy(new Error('Connection terminated'));
  }, silenceMs / 10);
  client.once('drain', () => clearInterval(watch));
  return watch;
}

/** @param server where the session is; another one under its name may have another process with that number */
async function cancelBackend(connection: Connection, pid: number, server?: ServerRow): Promise<void> {
  if (pid === 0) return;
  try {
    const client = await connect(connection);
    try {
      await client.query(
        `${emptySearchPath}; SELECT pg_catalog.pg_cancel_backend(${pid}) WHERE ${server ? startedAt(server) : 'true'}`,
      );
    } finally {
      await client.end();
    }
  } catch {
    // The server may be the very thing that is gone; closing the session ends the statement then.
  }
}
