/** Where and as whom to connect, for the driver and for libpq's programs. */
import {randomBytes} from 'node:crypto';
import {AppError} from '../../base/errors.js';
import type {TypedPasswords} from '../../settings/typed-passwords.js';

export interface Connection {
  /** Host name, address, or the folder of a unix socket (starts with "/"). */
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly database: string;
  /** Decoded; undefined means that libpq looks into its password file. */
  readonly password: string | undefined;
  /** Passwords that were typed in; absent where nobody can be asked. */
  readonly typedPasswords?: TypedPasswords | undefined;
  /** libpq connection keywords that the URL carried beside the ones above (sslmode, sslrootcert, ...). */
  readonly options: Readonly<Record<string, string>>;
  /** Prisma's `schema` parameter, which libpq does not know. */
  readonly schema: string | undefined;
  /** Whether the URL leads to a pooler in transaction mode. */
  readonly isTransactionPooler: boolean;
  /** Where the URL came from, for people: "--database-url", "DIRECT_URL from .env.local". */
  readonly origin: string;
}

/** libpq keywords that are honoured in URLs, and the environment variable that carries each (manual, 34.15). */
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
 * Dump, restore and everything that needs a session of its own cannot go through a transaction pooler.
 * @throws TRANSACTION_POOLER
 */
export function refuseTransactionPooler(connection: Connection): void {
  if (connection.isTransactionPooler)
    throw transactionPooler(`${describeConnection(connection)} (${connection.origin})`, connection.host);
}

/** TRANSACTION_POOLER, with the way out that fits the host. */
export function transactionPooler(described: string, host: string): AppError {
  const supabase = host.endsWith('.pooler.supabase.com');
  return new AppError(
    'TRANSACTION_POOLER',
    `${described} is a transaction pooler, which keeps no session; nothing was done.`,
    {
      hint: supabase
        ? 'Set DIRECT_URL to the session pooler: the same host with port 5432 and without pgbouncer=true.'
        : 'Set DIRECT_URL to the address of the database itself, usually port 5432 and without pgbouncer=true.',
    },
  );
}

/** The same connection to another database of the server. */
export function withDatabase(connection: Connection, database: string): Connection {
  return {...connection, database};
}

/** "user@host:port/database": for people; never with the password. */
export function describeConnection(connection: Connection): string {
  const host = connection.host.includes(':') ? `[${connection.host}]` : connection.host;
  return `${connection.user}@${host}:${connection.port}/${connection.database}`;
}

/** The application name of the client tools that this process runs, and of the session that loads a dump: tells them from those of other runs. */
export const toolsName = `destino-db ${process.pid} ${randomBytes(4).toString('hex')}`;

/**
 * The variables that give a libpq program this connection and stable, UTC, English output.
 * Everything goes by environment, so `ps` shows nothing; PGDATABASE also takes names that look like conninfo strings.
 * @param more variables beside these; their PGOPTIONS follow the connection's own
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
    // The text of timestamptz values follows the session's zone, in dumps too.
    PGTZ: 'UTC',
    PGDATESTYLE: 'ISO, MDY',
  };
  for (const [key, value] of Object.entries(connection.options)) {
    const variable = libpqVariables[key];
    if (variable !== undefined) variables[variable] = value;
  }
  const password = connection.password ?? connection.typedPasswords?.known(connection);
  if (password !== undefined) variables['PGPASSWORD'] = password;
  const settings = [variables, ...more].flatMap((each) => each?.['PGOPTIONS'] ?? []);
  for (const each of more) Object.assign(variables, each);
  if (settings.length > 0) variables['PGOPTIONS'] = settings.join(' ');
  return variables;
}
