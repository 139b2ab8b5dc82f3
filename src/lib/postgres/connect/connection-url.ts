/** Parses connection URLs in the form of Prisma, Supabase and libpq. */
import {AppError} from '../../base/errors.js';
import {type Connection, libpqVariables} from './connection.js';

const sslModes = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'];

/** Parameters of Prisma and of drivers, which are accepted and not passed to libpq. */
const foreignParameters = new Set([
  'schema', 'pgbouncer', 'connection_limit', 'pool_timeout', 'statement_cache_size', 'socket_timeout',
  'sslaccept', 'sslidentity', 'sslpassword', 'prepare', 'prepareThreshold', 'workaround', 'supa',
  'pool', 'pool_mode', 'uselibpqcompat', 'application_name', 'fallback_application_name',
  'single_use_connections', 'max_idle_connection_lifetime', 'max_connection_lifetime', 'keepalives',
  'keepalives_idle', 'keepalives_interval', 'keepalives_count', 'tcp_user_timeout', 'client_encoding',
]); // prettier-ignore

/** With several hosts, the sessions of a run and the client tools could reach different servers. */
export const oneHost = 'Name exactly one server.';

/** Supabase's and PgBouncer's usual port in transaction mode. */
export const transactionPoolerPort = 6543;

/**
 * Parses a connection URL and decodes all its parts.
 * @param origin source of the URL, for messages; the URL itself never appears in them
 * @param defaultUser the role if the URL names none: PGUSER, else the account's name, as in libpq
 * @throws URL_INVALID
 */
export function parseConnectionUrl(url: string, origin: string, defaultUser = ''): Connection {
  const invalid = (why: string, hint?: string): AppError =>
    new AppError('URL_INVALID', `The connection URL (${origin}) is not valid: ${why}.`, {
      hint: hint ?? 'The form is postgresql://USER:PASSWORD@HOST:5432/DATABASE?sslmode=require.',
    });
  const match = /^([a-z][a-z0-9+.-]*):\/\/(.*)$/is.exec(url.trim());
  // Docker's --env-file and systemd's Environment= keep quotes, which a shell would remove.
  if (/^["']/.test(url.trim())) throw invalid('it begins with a quotation mark');
  if (!match) throw invalid('it has no scheme');
  const scheme = (match[1] ?? '').toLowerCase();
  if (scheme.startsWith('prisma')) {
    throw invalid(
      'it addresses a Prisma service, not a database',
      'Set DIRECT_URL to the URL of the database (postgresql://...).',
    );
  }
  if (scheme !== 'postgres' && scheme !== 'postgresql')
    throw invalid(`"${scheme}" is not a PostgreSQL scheme`);

  const decode = (text: string, part: string): string => {
    let decoded: string;
    try {
      decoded = decodeURIComponent(text);
    } catch {
      throw invalid(
        `its ${part} has a "%" without two hexadecimal digits`,
        `Write a "%" in the ${part} as %25.`,
      );
    }
    if (decoded.includes('\0')) throw invalid(`its ${part} contains a NUL`);
    return decoded;
  };

  const [beforeQuery, query = ''] = splitOnce(match[2] ?? '', '?');
  // The last "@" ends the user part, so that a password with an unescaped "@" works.
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
  if (
    [hostport, ...['host', 'hostaddr', 'port'].map((key) => parameters.get(key))].some((part) =>
      part?.includes(','),
    )
  )
    throw invalid('it names several hosts or ports', oneHost);
  if (!hostMatch) throw invalid('its host part cannot be read');
  const urlHost = decode((hostMatch[1] ?? '').replace(/^\[|\]$/g, ''), 'host');
  const portText = parameters.get('port') ?? hostMatch[2] ?? '';
  const port = portText === '' ? 5432 : Number(portText);
  if (!Number.isInteger(port) || port < 1 || port > 65535)
    throw invalid('its port is not a number from 1 to 65535');

  const options: Record<string, string> = {};
  for (const [key, value] of parameters) {
    if (Object.hasOwn(libpqVariables, key)) options[key] = value;
    else if (!foreignParameters.has(key) && !['host', 'port', 'user', 'password', 'dbname'].includes(key)) {
      // If an "@" follows, the "?" is probably part of the password, and so is the "parameter".
      throw invalid(
        query.includes('@') ? 'it has an unknown parameter' : `it has the unknown parameter "${key}"`,
        'Parameters of libpq and Prisma are allowed. Is a "?" or "&" in the password not percent-encoded?',
      );
    }
  }
  if (options['sslmode'] !== undefined && !sslModes.includes(options['sslmode'])) {
    throw invalid(`its sslmode is not one of ${sslModes.join(', ')}`);
  }

  if (parameters.get('sslaccept') === 'strict' && !(options['sslmode'] ?? '').startsWith('verify')) {
    throw invalid(
      'it requires a verified certificate with a keyword of Prisma (sslaccept=strict)',
      "Write sslmode=verify-full&sslrootcert=FILE for PostgreSQL's own tools.",
    );
  }

  const user = parameters.get('user') ?? (rawUser === '' ? defaultUser : decode(rawUser, 'user'));
  const database = parameters.get('dbname') ?? decode(path, 'database name');
  const host = parameters.get('host') ?? (urlHost === '' ? 'localhost' : urlHost);
  if (user === '') throw invalid('it does not name a user');
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

/** Parameters in a URL that are meant for Prisma and drivers and are not passed to libpq. */
export function foreignParametersOf(url: string): string[] {
  const query = splitOnce(url, '?')[1] ?? '';
  const names = query.split('&').map((pair) => splitOnce(pair, '=')[0]);
  return [...new Set(names.filter((name) => foreignParameters.has(name)))];
}

/**
 * libpq 16 and newer accept the system's certificates only with sslmode=verify-full, and make that the default. Older versions look for
 * a file named "system" and verify nothing without it. An explicit verify-full makes all of them strict.
 * @throws URL_INVALID
 */
export function checkedForSystemRoots(
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

function splitOnce(text: string, separator: string): [string, string | undefined] {
  const index = text.indexOf(separator);
  return index === -1 ? [text, undefined] : [text.slice(0, index), text.slice(index + 1)];
}
