/** Which of the known databases are those of the config file. */
import {AppError} from '../../base/errors.js';
import type {SourceOf} from '../../catalog/database-groups.js';
import {resolveConnection} from '../../postgres/connect/resolve-connection.js';
import {supabaseProject} from '../../postgres/connect/supabase-project.js';
import type {RunDatabase, WatchedDatabase} from '../../run/run-record.js';
import {configuredSources, databaseOfServer, matchesPatterns, type Source} from '../../settings/sources.js';
import type {Settings} from '../../settings/settings.js';

/** The database of the settings. @throws NO_DATABASE_URL, URL_INVALID */
export function databaseOfSettings(settings: Settings): RunDatabase {
  const connection = resolveConnection(settings);
  const {database, host, port} = connection;
  const project = supabaseProject(connection);
  const {source} = settings;
  return {
    name: database,
    systemIdentifier: null,
    host,
    port,
    ...(project === undefined ? {} : {project}),
    ...(source === undefined ? {} : {source}),
  };
}

/** The single databases of the config file whose URL is known. */
export function sourceDatabases(settings: Settings): RunDatabase[] {
  return configuredSources(settings).flatMap((source) => {
    const database = source.patterns ? undefined : addressOf(source);
    return database ? [database] : [];
  });
}

/** Gives databases their names in the config file, by their address, or as runs recorded them. */
export function sourceNames(settings: Settings): SourceOf {
  const sources = configuredSources(settings).map((source) => ({...source, address: addressOf(source)}));
  return (database) => {
    const single = sources.find(
      ({name, patterns, address}) =>
        !patterns &&
        (database.source === name || (address?.name === database.name && isSameServer(address, database))),
    );
    if (single) return single.name;
    const server = sources.find(
      ({name, patterns, address}) =>
        patterns &&
        matchesPatterns(patterns, database.name) &&
        (database.source === `${name}/${database.name}` ||
          (address !== undefined && isSameServer(address, database))),
    );
    return server && databaseOfServer(server, database.name).name;
  };
}

/** @throws CONFIG_INVALID for two names of one database, as far as their URLs show it */
export function refuseSameDatabase(sources: readonly Source[]): void {
  const known = new Map<string, string>();
  for (const source of sources) {
    const address = source.patterns ? undefined : addressOf(source);
    if (!address) continue;
    const {name, host, port, project} = address;
    const key = `${project ?? `${host.toLowerCase()}:${port}`}/${name}`;
    const other = known.get(key);
    if (other !== undefined) throw sameDatabase(other, source.name, key);
    known.set(key, source.name);
  }
}

function sameDatabase(one: string, other: string, where: string): AppError {
  return new AppError(
    'CONFIG_INVALID',
    `"${one}" and "${other}" in the config file are the same database, ${where}.`,
    {hint: 'Remove one of them, or correct the variable with its URL.'},
  );
}

/** Undefined where the URL is missing or wrong, which the run for that database reports. */
function addressOf({settings}: Source): RunDatabase | undefined {
  try {
    return databaseOfSettings(settings);
  } catch (error) {
    if (error instanceof AppError) return undefined;
    throw error;
  }
}

function isSameServer(address: RunDatabase, {host, port, project}: WatchedDatabase): boolean {
  if (address.project !== undefined && project !== undefined) return address.project === project;
  return address.host === host && address.port === port;
}
