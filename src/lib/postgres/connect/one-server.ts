/**
 * Recognises servers that share a name (several addresses, a load balancer, a primary and its standby): results and locks of a
 * session on one server mean nothing on another one.
 */
import {z} from 'zod';
import {AppError} from '../../base/errors.js';
import {type Connection, describeConnection} from './connection.js';

const asText = (time: string): string =>
  `pg_catalog.to_char(${time} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`;

/** The row that identifies a server; needs no privileges. */
export const serverColumns = `
  ${asText('pg_catalog.pg_postmaster_start_time()')} AS started, ${asText('pg_catalog.clock_timestamp()')} AS seen,
  pg_catalog.host(pg_catalog.inet_server_addr()) AS address,
  pg_catalog.inet_server_port()::text AS port, pg_catalog.pg_is_in_recovery()::text AS is_standby,
  current_setting('transaction_read_only') AS is_read_only`;

/** SQL: whether the statement runs on that server. */
export const startedAt = ({started}: ServerRow): string =>
  `${asText('pg_catalog.pg_postmaster_start_time()')} = '${started}'`;

const serverRow = z.object({
  /** To the microsecond, so that no two servers have the same. */
  started: z.string(),
  /** By the server's clock. */
  seen: z.string(),
  /** Null through a socket. */
  address: z.string().nullable(),
  port: z.string().nullable(),
  is_standby: z.enum(['true', 'false']),
  is_read_only: z.string(),
});
export type ServerRow = Readonly<z.infer<typeof serverRow>>;

/** The parts of the driver's client that are needed. */
interface Ending {
  once(event: 'end', listener: () => void): unknown;
}

interface Known {
  server: ServerRow;
  /** Number of open sessions on it. */
  readonly open: Set<Ending>;
}

/** By the address of the connection. */
const known = new Map<string, Known>();

const addressOf = ({host, port, options}: Connection): string => `${options['hostaddr'] ?? host}:${port}`;

/**
 * Compares the server of a session with that of earlier sessions, and with the requirements of the URL.
 * @param row of a query with `serverColumns`
 * @throws SEVERAL_SERVERS, NOT_SUPPORTED_HERE
 */
export function enterServer(client: Ending, connection: Connection, row: unknown): ServerRow {
  const server = serverRow.parse(row);
  const address = addressOf(connection);
  const before = known.get(address);
  if (before && before.server.started !== server.started) {
    // A restart in between ended the earlier sessions, and the server is otherwise the same.
    const isSame =
      before.open.size === 0 &&
      server.started > before.server.seen &&
      before.server.address === server.address &&
      before.server.port === server.port &&
      before.server.is_standby === server.is_standby;
    if (!isSame) throw severalServers(connection, [describe(before.server), describe(server)]);
  }
  requireAttributes(connection, server);
  const entry = before ?? {server, open: new Set()};
  entry.server = server;
  entry.open.add(client);
  known.set(address, entry);
  client.once('end', () => entry.open.delete(client));
  return server;
}

export function severalServers(connection: Connection, details: readonly string[]): AppError {
  return new AppError(
    'SEVERAL_SERVERS',
    `${describeConnection(connection)} (${connection.origin}) leads to several servers. Nothing was done on the second one.`,
    {hint: 'Use the address of one server, or a name that always leads to the same one.', details},
  );
}

/** "10.0.0.7:5432, a standby, running since 2026-11-22T03:10:05.123456Z" */
function describe({address, port, is_standby, started}: ServerRow): string {
  const at = address === null ? 'a socket' : `${address}:${port ?? ''}`;
  return `${at}, ${is_standby === 'true' ? 'a standby' : 'a primary'}, running since ${started}`;
}

/** The check of libpq's target_session_attrs (manual, 34.1.2) for a single host. */
function requireAttributes(connection: Connection, {is_standby, is_read_only}: ServerRow): void {
  const wanted = connection.options['target_session_attrs'];
  const isStandby = is_standby === 'true';
  const isReadOnly = isStandby || is_read_only === 'on';
  const fits: Readonly<Record<string, boolean>> = {
    'read-write': !isReadOnly,
    'read-only': isReadOnly,
    primary: !isStandby,
    standby: isStandby,
  };
  if (wanted === undefined || fits[wanted] !== false) return;
  const what = isStandby ? 'a standby' : isReadOnly ? 'a primary with read-only sessions' : 'a primary';
  throw new AppError(
    'NOT_SUPPORTED_HERE',
    `${describeConnection(connection)} (${connection.origin}) is ${what}, and target_session_attrs=${wanted} requires another one. Nothing was done.`,
    {hint: 'Use the address of such a server, or remove the parameter.'},
  );
}
