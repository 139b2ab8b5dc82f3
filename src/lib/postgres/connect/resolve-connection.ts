/** Finds the database of the settings: by a URL, or by libpq's own variables. */
import {userInfo} from 'node:os';
import {AppError} from '../../base/errors.js';
import type {Environment} from '../../settings/environment.js';
import type {Settings} from '../../settings/settings.js';
import {noUrlOfSource} from '../../settings/sources.js';
import {type Connection, libpqVariables, withDatabase} from './connection.js';
import {checkedForSystemRoots, oneHost, parseConnectionUrl, transactionPoolerPort} from './connection-url.js';
import {readService} from './service-file.js';

/**
 * The connection of the settings: `--database-url`, else the preferred variable of the first source
 * (process environment, .env.local, .env), else libpq's own PGSERVICE and PGHOST, PGDATABASE, ...
 * @throws NO_DATABASE_URL, URL_INVALID
 */
export function resolveConnection(settings: Settings): Connection {
  const named = findConnectionUrl(settings);
  const user = settings.environment.get('PGUSER') ?? accountName();
  if (named) {
    const parsed = parseConnectionUrl(named.url, named.origin, user);
    const connection = withDatabase(parsed, settings.databaseName ?? parsed.database);
    return withPasswords(withLibpqDefaults(connection, settings.environment), settings);
  }
  // libpq's variables name one database, and never one of several.
  if (settings.source !== undefined) throw noUrlOfSource(settings, settings.source);
  const fromLibpq = connectionFromLibpqVariables(settings.environment);
  if (fromLibpq) return withPasswords(fromLibpq, settings);
  throw new AppError(
    'NO_DATABASE_URL',
    `No database was given: ${settings.urlPreference.join(' and ')} are not set.`,
    {
      hint: `Set ${settings.urlPreference[0]} in the environment or in ${settings.cwd}/.env.local, or use --env-file FILE.`,
    },
  );
}

/** A command's password is that of the database in the settings, and of no other server. */
function withPasswords(
  connection: Connection,
  {typedPasswords, commandPassword, sshTunnel}: Settings,
): Connection {
  const hasPassword = connection.password !== undefined && connection.password !== '';
  return {
    ...connection,
    ...(typedPasswords && {typedPasswords}),
    ...(sshTunnel && {sshTunnel}),
    ...(commandPassword && !hasPassword && {commandPassword}),
  };
}

/** The connection of --scratch-url. Only the password is taken from libpq's variables: the others describe the database of the settings. */
export function scratchConnection(settings: Settings, url: string): Connection {
  const connection = connectionOfVariable(settings, url, '--scratch-url');
  return {...connection, password: connection.password ?? settings.environment.get('PGPASSWORD')};
}

/**
 * The connection to another server than that of the settings, which libpq's variables describe: only the password file is used, because it
 * has a password for each server.
 * @param origin the source of the URL, for people
 */
export function connectionOfVariable(
  {environment, typedPasswords}: Settings,
  url: string,
  origin: string,
): Connection {
  const connection = parseConnectionUrl(url, origin);
  const passfile = connection.options['passfile'] ?? environment.get('PGPASSFILE');
  return {
    ...connection,
    options: {...connection.options, ...(passfile === undefined ? {} : {passfile})},
    ...(typedPasswords && {typedPasswords}),
  };
}

/** The effective URL and its source; undefined if only libpq's variables may name a database. */
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

/** The operating system's name of this account; empty if it has none. */
function accountName(): string {
  try {
    return userInfo().username;
  } catch {
    return ''; // no entry in the password file, as in some containers
  }
}

function connectionFromLibpqVariables(environment: Environment): Connection | undefined {
  const get = (name: string): string | undefined => environment.get(name);
  const service = readService(environment); // a service file wins over the variables (manual, 34.17)
  const serviceName = get('PGSERVICE');
  if (serviceName === undefined && get('PGDATABASE') === undefined && get('PGHOST') === undefined)
    return undefined;
  const user = service['user'] ?? get('PGUSER') ?? get('USER') ?? 'postgres';
  const host = service['host'] ?? get('PGHOST') ?? 'localhost';
  const portText = service['port'] ?? get('PGPORT') ?? '5432';
  if (host.includes(',') || portText.includes(','))
    throw new AppError('URL_INVALID', 'PGHOST or PGPORT names several hosts or ports.', {hint: oneHost});
  const port = Number(portText);
  if (!Number.isInteger(port) || port < 1 || port > 65535) {
    throw new AppError('URL_INVALID', 'PGPORT is not a number from 1 to 65535.');
  }
  const serviceOptions = Object.entries(service).filter(([key]) => Object.hasOwn(libpqVariables, key));
  const connection: Connection = {
    host,
    port,
    user,
    database: service['dbname'] ?? get('PGDATABASE') ?? user,
    password: service['password'],
    options: Object.fromEntries(serviceOptions),
    schema: undefined,
    isTransactionPooler: port === transactionPoolerPort,
    origin: serviceName === undefined ? 'PGHOST, PGDATABASE etc.' : `PGSERVICE=${serviceName}`,
  };
  return withLibpqDefaults(connection, environment);
}

/** Completes a connection from libpq's variables, as libpq does (manual, 34.15). */
function withLibpqDefaults(connection: Connection, environment: Environment): Connection {
  const options: Record<string, string> = {};
  for (const [key, variable] of Object.entries(libpqVariables)) {
    const value = connection.options[key] ?? environment.get(variable);
    if (value !== undefined) options[key] = value;
  }
  if (options['hostaddr']?.includes(','))
    throw new AppError('URL_INVALID', 'PGHOSTADDR names several addresses.', {hint: oneHost});
  return {
    ...connection,
    options: checkedForSystemRoots(options, connection.origin),
    password: connection.password ?? environment.get('PGPASSWORD'),
  };
}
