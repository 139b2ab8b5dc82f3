/** Sessions on the server: the only file that uses pg. */
import {Socket} from 'node:net';
import type {Client} from 'pg';
import {AppError, systemErrorCode} from '../base/errors.js';
import {type Connection, describeConnection, loginOf} from './connect/connection.js';
import {explainDatabaseError} from './explain-failure.js';
import {guardAuthentication} from './connect/guard-authentication.js';
import {PasswordMissing, passwordOf} from './connect/missing-password.js';
import {enterServer, serverColumns, type ServerRow, startedAt} from './connect/one-server.js';
import {pinnedSettings} from './pinned-settings.js';
import {keepsSessions, startOwnSession} from './connect/pooler.js';
import {emptySearchPath} from './search-path.js';
import {type Encryption, encryptionOrder, tlsOptions} from './connect/tls.js';

/** A row as the server sent it: all values as text, null as null. */
export type TextRow = Readonly<Record<string, string | null>>;

export interface Session {
  /**
   * Runs one statement, after those that were asked for before; values are sent separately. Columns are returned as the server's text, never as numbers or dates.
   * @throws AppError with the code for the server's SQLSTATE
   */
  query(
    sql: string,
    values?: readonly (string | number | boolean | null | readonly string[])[],
  ): Promise<TextRow[]>;
  /** Like `query`, but returns the number of affected rows. */
  execute(
    sql: string,
    values?: readonly (string | number | boolean | null | readonly string[])[],
  ): Promise<number>;
  /** The driver's client, for COPY streams only. */
  readonly client: Client;
  /** Backend process id as the server reports it, for pg_cancel_backend and for naming blockers; the id in a pooler's protocol messages differs. */
  readonly backendPid: number;
  /** The role's own search_path, as `SHOW search_path` would print it: the session's is empty. */
  readonly ownSearchPath: string;
}

/** How long a statement waits for a lock that nobody else queues for; other statements set less, ms. */
const longestLockWaitMs = 60_000;

/**
 * Session settings: our statements never run other roles' functions, use pinned settings and no JIT, which takes longer than they
 * do, limit each wait for a lock, and have no timeout that would end a long session (manual, 20.11).
 */
const pinSession = `
  ${emptySearchPath};
  SET jit = off; SET statement_timeout = 0; SET lock_timeout = ${longestLockWaitMs};
  WITH s AS MATERIALIZED (SELECT * FROM pg_catalog.pg_settings),
  pinned AS MATERIALIZED (
    SELECT pg_catalog.set_config(s.name, p.value, false) FROM s JOIN ${pinnedSettings} ON p.name = s.name
     WHERE s.setting <> p.value AND (s.context <> 'superuser' OR current_setting('is_superuser') = 'on'))
  SELECT (SELECT count(*) FROM pinned) AS pinned, pg_catalog.pg_backend_pid() AS pid, ${serverColumns},
         (SELECT reset_val FROM s WHERE name = 'search_path') AS own_path;
`;

export interface SessionOptions {
  /** Aborts the connection attempt, or cancels the session's running statement on the server, and rejects. */
  signal?: AbortSignal;
}

/**
 * Opens a session, passes it to `work` and always closes it.
 * Aborting `signal` cancels the running statement on the server.
 * @throws CONNECTION_REFUSED, AUTHENTICATION_FAILED, ... according to `explainDatabaseError`
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
  // A connection that breaks while idle emits an error event; the next query fails with the same error.
  let broken: Error | undefined;
  client.on('error', (error) => {
    broken = error;
  });
  let backendPid = (client as Client & {processID?: number}).processID ?? 0;
  let watch: NodeJS.Timeout | undefined;
  let server: ServerRow | undefined;
  let ownSearchPath = '';
  const cancel = (): void => {
    void cancelBackend(connection, backendPid, server);
    watch = breakWhenSilent(client);
  };
  signal?.addEventListener('abort', cancel, {once: true});
  try {
    signal?.throwIfAborted(); // in the meantime
    // The server may have ended the session before this listener existed; the driver's own error then appears here.
    try {
      if (!keepsSessions(connection))
        await startOwnSession(client, connection, backendPid, () => connect(connection, signal));
      const result = [await client.query<Record<string, string | null>>(pinSession)].flat().at(-1);
      const [facts] = result?.rows ?? [];
      backendPid = Number(facts?.['pid']);
      ownSearchPath = facts?.['own_path'] ?? '';
      server = enterServer(client, connection, facts);
    } catch (error) {
      throw error instanceof AppError
        ? error
        : explainDatabaseError(error, `The session on ${describeConnection(connection)}`);
    }
    return await work(sessionOf(client, connection, {backendPid, ownSearchPath, ended: () => broken}));
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
    // If the network is down, the server never closes its side.
    const unheard = setTimeout(() => client.connection.stream.destroy(), silenceMs);
    await client.end().catch(() => undefined); // the connection may be closed already
    clearTimeout(unheard);
  }
}

/**
 * Runs `work` between BEGIN and COMMIT; any error causes a rollback and is passed on.
 * @param mode the words after BEGIN, such as "ISOLATION LEVEL REPEATABLE READ, READ ONLY"
 */
export async function withTransaction<T>(session: Session, mode: string, work: () => Promise<T>): Promise<T> {
  await session.query(`BEGIN ${mode}`);
  let result: T;
  try {
    result = await work();
  } catch (error) {
    await session.query('ROLLBACK').catch(() => undefined); // report the first error
    throw error;
  }
  await session.query('COMMIT');
  return result;
}

/** @param facts.ended returns the error that ended the session, if any */
function sessionOf(
  client: Client,
  connection: Connection,
  {ended, ...facts}: Pick<Session, 'backendPid' | 'ownSearchPath'> & {ended: () => Error | undefined},
): Session {
  let before: Promise<unknown> = Promise.resolve();
  const run = (sql: string, values?: readonly unknown[]) => {
    // One after the other: the driver's own queue is deprecated.
    const answer = before.then(() => runAlone(sql, values));
    before = answer.catch(() => undefined);
    return answer;
  };
  const runAlone = async (sql: string, values?: readonly unknown[]) => {
    try {
      return await client.query<Record<string, string | null>>({
        text: sql,
        values: values ? [...values] : undefined,
      });
    } catch (error) {
      // The error that ended the session is a better explanation than that of the query.
      const broken = error instanceof Error && 'severity' in error ? undefined : ended();
      throw broken === undefined
        ? explainDatabaseError(error, `A query on ${describeConnection(connection)}`)
        : explainDatabaseError(broken, `The session on ${describeConnection(connection)}`);
    }
  };
  return {
    ...facts,
    client,
    query: async (sql, values) => (await run(sql, values)).rows,
    execute: async (sql, values) => (await run(sql, values)).rowCount ?? 0,
  };
}

async function connect(connection: Connection, signal?: AbortSignal): Promise<Client> {
  try {
    return await connectAsKnown(connection, signal);
  } catch (error) {
    // Disconnect while the user types, because the server does not wait that long.
    if (!(error instanceof PasswordMissing) || !(await connection.typedPasswords?.ask(connection)))
      throw error;
  }
  return connectAsKnown(connection, signal);
}

/** Connections that only the second attempt made: later sessions of the run begin with it. */
const refused = new WeakSet<Connection>();

async function connectAsKnown(connection: Connection, signal?: AbortSignal): Promise<Client> {
  // Before the connection, because the server limits the time of a login.
  await connection.commandPassword?.refresh();
  await connection.sshTunnel?.open(connection);
  const [first, second] = encryptionOrder(connection);
  const explain = (error: unknown): AppError =>
    explainDatabaseError(error, `Connecting to ${describeConnection(connection)} (${connection.origin})`);
  if (second === undefined || !refused.has(connection)) {
    try {
      return await open(connection, first ?? 'plain', signal);
    } catch (error) {
      const failure = explain(error);
      if (second === undefined || !isAboutEncryption(failure)) throw failure;
    }
  }
  try {
    const client = await open(connection, second, signal);
    refused.add(connection);
    return client;
  } catch (error) {
    throw explain(error);
  }
}

function refusedPassword(error: unknown, connection: Connection, source: string): AppError {
  const {message} = explainDatabaseError(error, `Connecting to ${describeConnection(connection)}`);
  return new AppError('AUTHENTICATION_FAILED', message, {
    hint: `Check user and password; the password came from ${source}. In a URL, special characters must be percent-encoded (@ is %40).`,
    cause: error,
  });
}

/** Whether libpq would try the alternative under sslmode allow and prefer: TLS failed, or pg_hba.conf requires the other one. */
function isAboutEncryption(failure: AppError): boolean {
  return failure.code === 'TLS_FAILED' || systemErrorCode(failure.cause) === '28000';
}

/**
 * Node 20 has no navigator. Without it the driver creates a Response to detect Cloudflare, which loads all of fetch with its
 * WebAssembly, and that needs 10 GB of address space.
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
  const {options, sshTunnel} = connection;
  const socket = new Socket();
  let passwordSource: string | undefined;
  const client = new pg.Client({
    stream: () => socket,
    host: sshTunnel ? '127.0.0.1' : (options['hostaddr'] ?? connection.host),
    port: sshTunnel ? sshTunnel.port(connection) : connection.port,
    user: connection.user,
    database: connection.database,
    password: async () => {
      // Called only if the server asks for a password.
      const {password, source} = await passwordOf(connection);
      passwordSource = source;
      sshTunnel?.passwords.set(loginOf(connection), password);
      return password;
    },
    ssl: encryption === 'tls' ? await tlsOptions(connection) : false,
    sslnegotiation: encryption === 'tls' && options['sslnegotiation'] === 'direct' ? 'direct' : 'postgres',
    enableChannelBinding: encryption === 'tls' && options['channel_binding'] === 'require',
    application_name: 'destino-db',
    options: options['options'],
    connectionTimeoutMillis: Number(options['connect_timeout'] ?? '15') * 1000,
    keepAlive: true,
    // Values stay the server's own text: JavaScript numbers and dates would lose data.
    types: {getTypeParser: () => (text: unknown) => text},
  });
  // Without a listener, a socket error after an aborted attempt would end the process.
  client.on('error', () => undefined);
  const checkAuthentication = guardAuthentication(client.connection, options);
  const giveUp = (): unknown => socket.destroy(new Error('given up'));
  signal?.addEventListener('abort', giveUp, {once: true});
  try {
    await client.connect();
    checkAuthentication();
  } catch (error) {
    // The driver's end() waits for ever if TLS fails after its handshake, for example if a client certificate is refused.
    socket.destroy();
    if (systemErrorCode(error) === '28P01' && passwordSource !== undefined)
      throw refusedPassword(error, connection, passwordSource);
    throw error;
  } finally {
    signal?.removeEventListener('abort', giveUp);
  }
  return client;
}

/** Time limit for the answer to a cancelled statement and for closing, unless the network is down, ms. */
const silenceMs = 5000;

/** Breaks the connection if the running statement gets no answer at all. */
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

/** @param server where the session runs; on another server of the same name, that process number may belong to another session */
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
    // The server itself may be down; closing the session then ends the statement.
  }
}
