/** The databases and servers of "databases" in the config file, each with the settings of a run for it alone. */
import {AppError} from '../base/errors.js';
import {unknownName} from '../base/unknown-name.js';
import type {Config} from './config-schema.js';
import type {Settings} from './settings.js';

type DatabaseConfig = NonNullable<Config['databases']>[number];

export interface Source {
  /** Name in the config file; of a database on a server with patterns "server/database". */
  readonly name: string;
  /** As the settings of a run for one database, with `source`. */
  readonly settings: Settings;
  /** Of a server whose databases are looked up at each run; undefined for one database. */
  readonly patterns: DatabasePatterns | undefined;
}

export interface DatabasePatterns {
  readonly include: readonly string[];
  readonly exclude: readonly string[];
}

/** All sources in the order of the config file. */
export function configuredSources(settings: Settings): Source[] {
  return (settings.config.databases ?? []).map((database) => ({
    name: database.name,
    settings: settingsOf(settings, database),
    patterns:
      database.include === undefined && database.exclude === undefined
        ? undefined
        : {include: database.include ?? ['*'], exclude: database.exclude ?? []},
  }));
}

/** A database on the server of a source with patterns. */
export function databaseOfServer({name, settings}: Source, database: string): Source {
  const source = `${name}/${database}`;
  return {name: source, settings: {...settings, source, databaseName: database}, patterns: undefined};
}

/** The password of passwordCommand is that of DIRECT_URL, and no other server receives it. */
function settingsOf(given: Settings, database: DatabaseConfig): Settings {
  const settings = {...given};
  delete settings.commandPassword;
  const {config} = settings;
  const {urlEnv, directUrlEnv, backup, retention, places, plan, ssh} = database;
  const sshTunnel = settings.sourceTunnels?.get(database.name) ?? settings.sshTunnel;
  const isDirect = settings.urlPreference.length > 1 && directUrlEnv !== undefined;
  return {
    ...settings,
    source: database.name,
    databaseUrl: undefined,
    ...(sshTunnel && {sshTunnel}),
    urlPreference: isDirect ? [directUrlEnv, urlEnv] : [urlEnv],
    config: {
      ...config,
      ...(backup === undefined ? {} : {backup: {...config.backup, ...backup}}),
      ...(retention === undefined ? {} : {retention}),
      ...(places === undefined ? {} : {storage: {...config.storage, places}}),
      ...(ssh === undefined ? {} : {ssh}),
      ...(plan === undefined ? {} : {schedule: {...config.schedule, plan}}),
    },
  };
}

/** The locations of the copies of all databases, each once. */
export function allPlaces({storage, databases = []}: Config): string[] {
  return [...new Set([...(storage?.places ?? []), ...databases.flatMap(({places = []}) => places)])];
}

/** The locations of the copies of one database, by its name in the config file or its own. */
export function placesOf(config: Config, label: string): readonly string[] {
  return entryOf(config, label)?.places ?? config.storage?.places ?? [];
}

/** The rules of retention for one database, by its name in the config file or its own. */
export function retentionOf(config: Config, label: string): NonNullable<Config['retention']> {
  return entryOf(config, label)?.retention ?? config.retention ?? {};
}

function entryOf({databases = []}: Config, label: string): DatabaseConfig | undefined {
  return databases.find(({name}) => isNamed([name], {label, name: label}));
}

/** The error for a source whose variables have no URL. */
export function noUrlOfSource({urlPreference, cwd}: Settings, source: string): AppError {
  const names = urlPreference.join(' and ');
  return new AppError(
    'NO_DATABASE_URL',
    `There is no URL for the database "${source}": ${names} ${urlPreference.length > 1 ? 'are' : 'is'} not set.`,
    {
      hint: `Set ${urlPreference.at(-1) ?? ''} in the environment or in ${cwd}/.env.local, or use --env-file FILE.`,
    },
  );
}

/** Whether a database of a server belongs to its source. */
export function matchesPatterns({include, exclude}: DatabasePatterns, database: string): boolean {
  const matches = (pattern: string): boolean => matchesPattern(pattern, database);
  return include.some(matches) && !exclude.some(matches);
}

/** "shop_*" and "shop_?" match as in a shell; everything else is itself. */
export function matchesPattern(pattern: string, name: string): boolean {
  const expression = pattern
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.');
  return new RegExp(`^${expression}$`, 's').test(name);
}

export interface DatabaseChoice {
  /** Names of sources, or "server/database". */
  readonly names?: readonly string[];
  readonly isAll?: boolean;
}

/**
 * The sources that the flags choose, each once, in the order of the config file.
 * @throws USAGE for an unknown name, and if the config file has no databases
 */
export function chooseSources(settings: Settings, {names = [], isAll = false}: DatabaseChoice): Source[] {
  const sources = configuredSources(settings);
  if (sources.length === 0)
    throw new AppError(
      'USAGE',
      `${isAll ? '--all-databases needs' : '--database needs'} "databases" in the config file, which has none.`,
      {hint: 'Add "databases": [{"name": "shop", "urlEnv": "SHOP_DATABASE_URL"}].'},
    );
  if (isAll) return sources;
  const chosen = names.map((name) => {
    const source = sources.find((one) => one.name === name);
    if (source) return {source, order: sources.indexOf(source)};
    const at = name.indexOf('/');
    const server = sources.find((one) => one.patterns && one.name === name.slice(0, at));
    const database = name.slice(at + 1);
    if (server?.patterns && matchesPatterns(server.patterns, database))
      return {source: databaseOfServer(server, database), order: sources.indexOf(server)};
    const known = sources.map((one) => one.name);
    throw unknownName(
      'USAGE',
      `--database: the config file has no database "${name}"; nothing was done.`,
      name,
      known,
      `Name one of: ${known.join(', ')}.`,
    );
  });
  return chosen
    .sort((a, b) => a.order - b.order)
    .map(({source}) => source)
    .filter((source, index, all) => all.findIndex(({name}) => name === source.name) === index);
}

/** Whether a flag that names databases means the one with this label: itself, its server, or its name. */
export function isNamed(wanted: readonly string[], {label, name}: {label: string; name: string}): boolean {
  return wanted.some((one) => one === label || one === name || label.startsWith(`${one}/`));
}
