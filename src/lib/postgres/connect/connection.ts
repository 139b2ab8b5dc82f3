/** A connection to a database, for the driver and for libpq's programs. */
import {randomBytes} from 'node:crypto';
import {AppError} from '../../base/errors.js';
import type {SshTunnel} from '../../settings/ssh-config.js';
import type {CommandPassword} from '../../settings/command-password.js';
import type {TypedPasswords} from '../../settings/typed-passwords.js';

export interface Connection {
  /** Host name, address, or the folder of a unix socket (starts with "/"). */
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly database: string;
  /** Decoded; undefined means that libpq reads its password file. */
  readonly password: string | undefined;
  /** The tunnel that leads to host and port; absent if they are reached directly. */
  readonly sshTunnel?: SshTunnel;
  /** The password that a command prints; absent if the URL or PGPASSWORD has one. */
  readonly commandPassword?: CommandPassword;
  /** Passwords typed by the user; absent without a terminal. */
  readonly typedPasswords?: TypedPasswords;
  /** Further libpq keywords of the URL (sslmode, sslrootcert, ...). */
  readonly options: Readonly<Record<string, string>>;
  /** Prisma's `schema` parameter, which libpq does not support. */
  readonly schema: string | undefined;
  /** Whether the URL leads to a pooler in transaction mode. */
  readonly isTransactionPooler: boolean;
  /** Source of the URL, for people: "--database-url", "DIRECT_URL from .env.local". */
  readonly origin: string;
}

/** libpq keywords that are supported in URLs, and their environment variables (manual, 34.15). */
export const libpqVariables: Readonly<Record<string, string>> = {
  sslmode: 'PGSSLMODE',
  sslrootcert: 'PGSSLROOTCERT',
  sslcert: 'PGSSLCERT',
  sslkey: 'PGSSLKEY',
  sslcrl: 'PGSSLCRL',
  sslsni: 'PGSSLSNI',
  sslnegotiation: 'PGSSLNEGOTIATION',
  ssl_min_protocol_version: 'PGSSLMINPROTOCOLVERSION',
  channel_binding: 'PGCHANNELBINDING',
  gssencmode: 'PGGSSENCMODE',
  krbsrvname: 'PGKRBSRVNAME',
  hostaddr: 'PGHOSTADDR',
  passfile: 'PGPASSFILE',
  require_auth: 'PGREQUIREAUTH',
  target_session_attrs: 'PGTARGETSESSIONATTRS',
  connect_timeout: 'PGCONNECT_TIMEOUT',
  options: 'PGOPTIONS',
};

/**
 * Requires a real session: dump, restore and other operations cannot use a transaction pooler.
 * @throws TRANSACTION_POOLER
 */
export function refuseTransactionPooler(connection: Connection): void {
  if (connection.isTransactionPooler)
    throw transactionPooler(`${describeConnection(connection)} (${connection.origin})`, connection.host);
}

/** TRANSACTION_POOLER, with the hint for the host. */
export function transactionPooler(described: string, host: string): AppError {
  const supabase = host.endsWith('.pooler.supabase.com');
  return new AppError(
    'TRANSACTION_POOLER',
    `${described} is a transaction pooler, which keeps no session. Nothing was done.`,
    {
      hint: supabase
        ? 'Set DIRECT_URL to the session pooler: the same host with port 5432 and without pgbouncer=true.'
        : 'Set DIRECT_URL to the address of the database itself, usually port 5432 and without pgbouncer=true.',
    },
  );
}

/** Longest identifier, in bytes (NAMEDATALEN - 1); a server cuts a longer one without an error. */
export const longestName = 63;

/**
 * The same connection to another database of the server.
 * @throws USAGE for a name that the server would cut, because the cut name can be that of another database
 */
export function withDatabase(connection: Connection, database: string): Connection {
  const bytes = Buffer.byteLength(database);
  if (bytes > longestName)
    throw new AppError(
      'USAGE',
      `The database name "${database}" has ${bytes} bytes. PostgreSQL would cut it after ${longestName}, and another database can have that name. Nothing was done.`,
      {hint: `Choose a name of at most ${longestName} bytes.`},
    );
  return {...connection, database};
}

/** One role on one server. */
export function loginOf({user, host, port}: Connection): string {
  return `${user}@${host}:${port}`;
}

/** "user@host:port/database" for people, without the password. */
export function describeConnection(connection: Connection): string {
  const host = connection.host.includes(':') ? `[${connection.host}]` : connection.host;
  return `${connection.user}@${host}:${connection.port}/${connection.database}`;
}

/** The application name of this process's client tools and of the session that loads a dump: distinguishes them from other runs. */
export const toolsName = `destino-db ${process.pid} ${randomBytes(4).toString('hex')}`;

/**
 * The variables that give a libpq program this connection and stable, UTC, English output.
 * All values are passed by environment, so `ps` shows nothing; PGDATABASE also accepts names that look like conninfo strings.
 * @param more further variables; their PGOPTIONS are appended to the connection's own
 */
export function libpqEnvironment(
  connection: Connection,
  ...more: readonly (Readonly<Record<string, string>> | undefined)[]
): Record<string, string> {
  const variables: Record<string, string> = {
    PGHOST: connection.host,
    PGPORT: String(connection.port),
    PGUSER: connection.user,
    PGDATABASE: connection.database,
    PGAPPNAME: toolsName,
    PGCONNECT_TIMEOUT: connection.options['connect_timeout'] ?? '15',
    // The text of timestamptz values depends on the session's zone, in dumps too.
    PGTZ: 'UTC',
    PGDATESTYLE: 'ISO, MDY',
  };
  for (const [key, value] of Object.entries(connection.options)) {
    const variable = libpqVariables[key];
    if (variable !== undefined) variables[variable] = value;
  }
  // The name of the host stays, because certificates are issued for it.
  if (connection.sshTunnel) {
    variables['PGHOSTADDR'] = '127.0.0.1';
    variables['PGPORT'] = String(connection.sshTunnel.port(connection));
  }
  const password =
    connection.password ??
    connection.sshTunnel?.passwords.get(loginOf(connection)) ??
    connection.commandPassword?.latest() ??
    connection.typedPasswords?.known(connection);
  if (password !== undefined) variables['PGPASSWORD'] = password;
  const settings = [variables, ...more].flatMap((each) => each?.['PGOPTIONS'] ?? []);
  for (const each of more) Object.assign(variables, each);
  if (settings.length > 0) variables['PGOPTIONS'] = settings.join(' ');
  return variables;
}
