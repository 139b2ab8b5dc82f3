/** Looks up the databases of a server in the config file. */
import {AppError} from '../../base/errors.js';
import {backupFolder} from '../../catalog/backup-name.js';
import {readCatalogue} from '../../catalog/catalogue.js';
import {groupByDatabase} from '../../catalog/database-groups.js';
import {type ListedDatabase, listDatabases, whyDoubtful} from '../../postgres/databases/owner-comment.js';
import {withMaintenanceSession} from '../../postgres/databases/maintenance.js';
import {resolveConnection} from '../../postgres/connect/resolve-connection.js';
import {readHistory} from '../../run/read-history.js';
import type {RunContext} from '../../run/run-context.js';
import type {WatchedDatabase} from '../../run/run-record.js';
import {
  databaseOfServer,
  type DatabasePatterns,
  matchesPattern,
  matchesPatterns,
  type Source,
} from '../../settings/sources.js';
import {sourceDatabases, sourceNames} from './source-names.js';

export interface FoundDatabases {
  readonly sources: readonly Source[];
  /** Databases that had a backup and no longer exist. */
  readonly gone: readonly WatchedDatabase[];
}

type LookUpContext = Pick<RunContext, 'settings' | 'signal' | 'warn' | 'clock'>;

/**
 * The databases of a server that match its patterns now, without those of this program and those that the config file names themselves.
 * @throws PATTERN_MATCHES_NOTHING, and the codes of the connection
 */
export async function lookUpDatabases(
  context: LookUpContext,
  server: Source,
  patterns: DatabasePatterns,
): Promise<FoundDatabases> {
  const connection = resolveConnection(server.settings);
  const listed = await withMaintenanceSession(connection, listDatabases, {signal: context.signal});
  const isOurs = (one: ListedDatabase): boolean =>
    one.mark !== undefined && whyDoubtful(one, one.mark, listed, context.clock.now()) === undefined;
  const {host, port} = connection;
  const single = sourceDatabases(context.settings)
    .filter((one) => one.host === host && one.port === port)
    .map(({name}) => name);
  const matching = listed.filter((one) => matchesPatterns(patterns, one.name) && !isOurs(one));
  const closed = matching.filter(({allowsConnections}) => !allowsConnections);
  if (closed.length > 0)
    context.warn(`Databases that accept no connections are left out: ${namesOf(closed).join(', ')}.`);
  const names = namesOf(matching).filter((name) => !single.includes(name) && !namesOf(closed).includes(name));
  warnOfEmptyPatterns(context, patterns, namesOf(listed));
  if (names.length === 0)
    throw new AppError(
      'PATTERN_MATCHES_NOTHING',
      `No database of the server "${server.name}" (${host}:${port}) matches ${describePatterns(patterns)}.`,
      {hint: 'Correct include and exclude in the config file.', details: namesOf(listed)},
    );
  return {
    sources: names.map((name) => databaseOfServer(server, name)),
    gone: await findGone(context, server, namesOf(listed)),
  };
}

/** The databases of a server that have a backup in the backups folder, without asking the server. */
export async function recordedDatabases(context: LookUpContext, server: Source): Promise<Source[]> {
  const groups = await groupsOf(server.settings, sourceNames(context.settings));
  return groups
    .filter(({label, backups}) => backups.length > 0 && label.startsWith(`${server.name}/`))
    .map(({database}) => databaseOfServer(server, database.name));
}

async function findGone(
  {settings}: LookUpContext,
  server: Source,
  existing: readonly string[],
): Promise<WatchedDatabase[]> {
  const groups = await groupsOf(server.settings, sourceNames(settings));
  return groups
    .filter(({label, database}) => label.startsWith(`${server.name}/`) && !existing.includes(database.name))
    .map(({database}) => database);
}

async function groupsOf(
  settings: Source['settings'],
  sourceOf: ReturnType<typeof sourceNames>,
): Promise<ReturnType<typeof groupByDatabase>> {
  const {backups} = await readCatalogue(backupFolder(settings));
  const {runs} = await readHistory(settings.backupsDir);
  return groupByDatabase({backups, runs, sourceOf});
}

function warnOfEmptyPatterns(
  {warn}: LookUpContext,
  {include}: DatabasePatterns,
  names: readonly string[],
): void {
  const empty = include.filter((pattern) => !names.some((name) => matchesPattern(pattern, name)));
  if (empty.length > 0 && empty.length < include.length)
    warn(`No database matches ${empty.map((pattern) => `"${pattern}"`).join(', ')} in the config file.`);
}

function describePatterns({include, exclude}: DatabasePatterns): string {
  const quoted = (patterns: readonly string[]): string => patterns.map((one) => `"${one}"`).join(', ');
  return `include ${quoted(include)}${exclude.length === 0 ? '' : ` without exclude ${quoted(exclude)}`}`;
}

function namesOf(databases: readonly ListedDatabase[]): string[] {
  return databases.map(({name}) => name);
}
