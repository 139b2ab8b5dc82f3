/** Connection URLs, as Prisma, Supabase and libpq write them, turned into what libpq and pg take. */
import {AppError} from '../errors.js';
import type {Environment} from '../settings/environment.js';
import type {Settings} from '../settings/settings.js';
import {readService} from './service-file.js';

export interface Connection {
  /** Host name, address, or the folder of a unix socket (starts with "/"). */
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly database: string;
  /** Decoded; undefined means that libpq looks into its password file. */
  readonly password: string | undefined;
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
const libpqVariables: Readonly<Record<string, string>> = {
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
};

const sslModes = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'];

/** Parameters of Prisma and of drivers, known and meant for them, not for libpq. */
const foreignParameters = new Set([
  'schema', 'pgbouncer', 'connection_limit', 'pool_timeout', 'statement_cache_size', 'socket_timeout',
  'sslaccept', 'sslidentity', 'sslpassword', 'prepare', 'prepareThreshold', 'workaround', 'supa',
  'pool', 'pool_mode', 'uselibpqcompat', 'options', 'application_name', 'fallback_application_name',
  'single_use_connections', 'max_idle_connection_lifetime', 'max_connection_lifetime', 'keepalives',
  'keepalives_idle', 'keepalives_interval', 'keepalives_count', 'tcp_user_timeout', 'client_encoding',
]); // prettier-ignore

/** Supabase's and PgBouncer's usual port in transaction mode. */
const transactionPoolerPort = 6543;

/**
 * The connection a URL describes. Percent-encoding is undone in every part.
 * @param origin where the URL came from, for messages; the URL itself never appears in one.
 * @throws URL_INVALID
 */
export function parseConnectionUrl(url: string, origin: string): Connection {
  const invalid = (why: string, hint?: string): AppError =>
    new AppError('URL_INVALID', `The connection URL (${origin}) cannot be used: ${why}.`, {
      hint: hint ?? 'A URL reads postgresql://USER:PASSWORD@HOST:5432/DATABASE?sslmode=require.',
    });
  const match = /^([a-z][a-z0-9+.-]*):\/\/(.*)$/is.exec(url.trim());
  if (!match) throw invalid('it has no scheme');
  const scheme = (match[1] ?? '').toLowerCase();
  if (scheme.startsWith('prisma')) {
    throw invalid(
      'it addresses a Prisma service, not a database',
      'Set DIRECT_URL to the URL of the database itself (postgresql://...).',
    );
  }
  if (scheme !== 'postgres' && scheme !== 'postgresql') throw invalid(`"${scheme}" is no PostgreSQL scheme`);

  const decode = (text: string, part: string): string => {
    let decoded: string;
    try {
      decoded = decodeURIComponent(text);
    } catch {
      throw invalid(`its ${part} has a "%" that begins no escape`, `Write a "%" in the ${part} as %25.`);
    }
    if (decoded.includes('\0')) throw invalid(`its ${part} contains a NUL`);
    return decoded;
  };

  const [beforeQuery, query = ''] = splitOnce(match[2] ?? '', '?');
  // The last "@" ends the user part, so that a password with an unescaped "@" is still understood.
  const at = beforeQuery.lastIndexOf('@');
  const userinfo = at === -1 ? '' : beforeQuery.slice(0, at);
  const [hostport, path = ''] = splitOnce(beforeQuery.slice(at + 1), '/');
  const [rawUser, rawPassword] = splitOnce(userinfo, ':');

  const parameters = new Map<string, string>();
  for (const pair of query.split('&').filter((text) => text !== '')) {
    const [key, value = ''] = splitOnce(pair, '=');
    parameters.set(decode(key, 'query'), decode(value, 'query'));
  }

  const hostMatch = /^(\[[^\]]*\]|[^:]*)(?::(.*))?$/.exec(hostport);
  if (!hostMatch || hostport.includes(',')) {
    throw invalid(
      hostport.includes(',') ? 'it names several hosts' : 'its host part cannot be read',
      hostport.includes(',') ? 'Name one host.' : undefined,
    );
  }
  const urlHost = decode((hostMatch[1] ?? '').replace(/^\[|\]$/g, ''), 'host');
  const portText = parameters.get('port') ?? hostMatch[2] ?? '';
  const port = portText === '' ? 5432 : Number(portText);
  if (!Number.isInteger(port) || port < 1 || port > 65535)
    throw invalid('its port is no number from 1 to 65535');

  const options: Record<string, string> = {};
  for (const [key, value] of parameters) {
    if (Object.hasOwn(libpqVariables, key)) options[key] = value;
    else if (!foreignParameters.has(key) && !['host', 'port', 'user', 'password', 'dbname'].includes(key)) {
      // With an "@" behind it the "?" is likely part of the password, and so is the "parameter".
      throw invalid(
        query.includes('@') ? 'it has an unknown parameter' : `it has the unknown parameter "${key}"`,
        'Known are the parameters of libpq and of Prisma. Is a "?" or "&" in the password not percent-encoded?',
      );
    }
  }
  if (options['sslmode'] !== undefined && !sslModes.includes(options['sslmode'])) {
    throw invalid(`its sslmode is none of ${sslModes.join(', ')}`);
  }

  if (parameters.get('sslaccept') === 'strict' && !(options['sslmode'] ?? '').startsWith('verify')) {
    throw invalid(
      'it wants the certificate checked (sslaccept=strict), in a word that only Prisma knows',
      "Write sslmode=verify-full&sslrootcert=FILE for PostgreSQL's own tools.",
    );
  }

  const user = parameters.get('user') ?? decode(rawUser, 'user');
  const database = parameters.get('dbname') ?? decode(path, 'database name');
  const host = parameters.get('host') ?? (urlHost === '' ? 'localhost' : urlHost);
  if (user === '') throw invalid('it names no user');
  return {
    host,
    port,
    user,
    database: database === '' ? user : database,
    password:
      parameters.get('password') ?? (rawPassword === undefined ? undefined : decode(rawPassword, 'password')),
    options: checkedForSystemRoots(options, `The connection URL (${origin})`),
    schema: parameters.get('schema'),
    isTransactionPooler: port === transactionPoolerPort || parameters.get('pgbouncer') === 'true',
    origin,
  };
}

function splitOnce(text: string, separator: string): [string, string | undefined] {
  const index = text.indexOf(separator);
  return index === -1 ? [text, undefined] : [text.slice(0, index), text.slice(index + 1)];
}

/**
 * The connection that the settings name: `--database-url`, else the preferred variable of the strongest source
 * (process environment, .env.local, .env), else libpq's own PGSERVICE and PGHOST, PGDATABASE, ...
 * @throws NO_DATABASE_URL, URL_INVALID
 */
export function resolveConnection(settings: Settings): Connection {
  const named = findConnectionUrl(settings);
  if (named) return withLibpqDefaults(parseConnectionUrl(named.url, named.origin), settings.environment);
  const fromLibpq = connectionFromLibpqVariables(settings.environment);
  if (fromLibpq) return fromLibpq;
  throw new AppError(
    'NO_DATABASE_URL',
    `No database was named: ${settings.urlPreference.join(' and ')} are not set.`,
    {
      hint: `Set ${settings.urlPreference[0]} in the environment or in ${settings.cwd}/.env.local, or use --env-file FILE.`,
    },
  );
}

/** The URL in force and where it comes from; undefined when only libpq's variables may name a database. */
export function findConnectionUrl(settings: Settings): {url: string; origin: string} | undefined {
  if (settings.databaseUrl !== undefined) return {url: settings.databaseUrl, origin: '--database-url'};
  for (const source of settings.environment.sources) {
    for (const name of settings.urlPreference) {
      const url = source.values[name];
      if (url !== undefined && url !== '')
        return {url, origin: source.origin === 'environment' ? name : `${name} from ${source.origin}`};
    }
  }
  return undefined;
}

/** Names of the parameters in a URL that are meant for Prisma and drivers and never reach libpq. */
export function foreignParametersOf(url: string): string[] {
  const query = splitOnce(url, '?')[1] ?? '';
  const names = query.split('&').map((pair) => splitOnce(pair, '=')[0]);
  return [...new Set(names.filter((name) => foreignParameters.has(name)))];
}

function connectionFromLibpqVariables(environment: Environment): Connection | undefined {
  const get = (name: string): string | undefined => environment.get(name);
  const service = readService(environment); // a service file wins over the variables (manual, 34.17)
  const serviceName = get('PGSERVICE');
  if (serviceName === undefined && get('PGDATABASE') === undefined && get('PGHOST') === undefined)
    return undefined;
  const user = service['user'] ?? get('PGUSER') ?? get('USER') ?? 'postgres';
  const port = Number(service['port'] ?? get('PGPORT') ?? '5432');
  if (!Number.isInteger(port) || port < 1 || port > 65535) {
    throw new AppError('URL_INVALID', 'PGPORT is no number from 1 to 65535.');
  }
  const serviceOptions = Object.entries(service).filter(([key]) => Object.hasOwn(libpqVariables, key));
  const connection: Connection = {
    host: service['host'] ?? get('PGHOST') ?? 'localhost',
    port,
    user,
    database: service['dbname'] ?? get('PGDATABASE') ?? user,
    password: service['password'],
    options: Object.fromEntries(serviceOptions),
    schema: undefined,
    isTransactionPooler: port === transactionPoolerPort,
    origin: serviceName === undefined ? 'PGHOST, PGDATABASE and the like' : `PGSERVICE=${serviceName}`,
  };
  return withLibpqDefaults(connection, environment);
}

/**
 * libpq 16 and newer trust the system's certificates with sslmode=verify-full alone, and take that for granted; older ones look for
 * a file named "system" and check nothing without it. Saying verify-full makes all of them strict.
 * @throws URL_INVALID
 */
function checkedForSystemRoots(
  options: Readonly<Record<string, string>>,
  origin: string,
): Record<string, string> {
  if (options['sslrootcert'] !== 'system') return options;
  const sslmode = options['sslmode'] ?? 'verify-full';
  if (sslmode === 'verify-full') return {...options, sslmode};
  throw new AppError('URL_INVALID', `${origin}: sslmode=${sslmode} is too weak for sslrootcert=system.`, {
    hint: 'Use sslmode=verify-full.',
  });
}

/** What a connection leaves open is taken from libpq's variables, as libpq itself does (manual, 34.15). */
function withLibpqDefaults(connection: Connection, environment: Environment): Connection {
  const options: Record<string, string> = {};
  for (const [key, variable] of Object.entries(libpqVariables)) {
    const value = connection.options[key] ?? environment.get(variable);
    if (value !== undefined) options[key] = value;
  }
  return {
    ...connection,
    options: checkedForSystemRoots(options, connection.origin),
    password: connection.password ?? environment.get('PGPASSWORD'),
  };
}

/**
 * Dump, restore and everything that needs a session of its own cannot go through a transaction pooler.
 * @throws TRANSACTION_POOLER
 */
export function refuseTransactionPooler(connection: Connection): void {
  if (!connection.isTransactionPooler) return;
  const supabase = connection.host.endsWith('.pooler.supabase.com');
  throw new AppError(
    'TRANSACTION_POOLER',
    `${describeConnection(connection)} (${connection.origin}) is a transaction pooler, which keeps no session; nothing was done.`,
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

/**
 * The variables that give a libpq program this connection and stable, UTC, English output.
 * Everything goes by environment, so `ps` shows nothing; PGDATABASE also takes names that look like conninfo strings.
 */
export function libpqEnvironment(connection: Connection): Record<string, string> {
  const variables: Record<string, string> = {
    PGHOST: connection.host,
    PGPORT: String(connection.port),
    PGUSER: connection.user,
    PGDATABASE: connection.database,
    PGAPPNAME: 'destino-db',
    PGCONNECT_TIMEOUT: connection.options['connect_timeout'] ?? '15',
    // The text of timestamptz values follows the session's zone, in dumps too.
    PGTZ: 'UTC',
    PGDATESTYLE: 'ISO, MDY',
  };
  for (const [key, value] of Object.entries(connection.options)) {
    const variable = libpqVariables[key];
    if (variable !== undefined) variables[variable] = value;
  }
  if (connection.password !== undefined) variables['PGPASSWORD'] = connection.password;
  return variables;
}
