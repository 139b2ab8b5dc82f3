/** The story of `status`: reads the folder, the audit log and the free space, and judges them by the limits. */
import {statfs} from 'node:fs/promises';
import {hostname} from 'node:os';
import {isDeepStrictEqual} from 'node:util';
import {backupFolder} from '../../catalog/backup-name.js';
import type {ProofLevel} from '../../run/check-outcome.js';
import {readCatalogue} from '../../catalog/catalogue.js';
import {defined} from '../../base/defined.js';
import {AppError} from '../../base/errors.js';
import {nearest} from '../../base/nearest.js';
import {foreignNote} from '../../base/own-file.js';
import {parseDuration} from '../../base/parse-duration.js';
import type {RunContext} from '../../run/run-context.js';
import type {Settings} from '../../settings/settings.js';
import {staleNotice} from './notice.js';
import {
  databaseNamed,
  type DatabaseGroup,
  groupByDatabase,
  isOfKnownDatabase,
} from '../../catalog/database-groups.js';
import {type History, readHistory} from '../../run/read-history.js';
import type {WatchedDatabase} from '../../run/run-record.js';
import {type KnownSetAside, knownSetAside} from '../../run/set-aside.js';
import {assessStatus, type Status, type StatusLimits, type StatusSources} from './assess.js';
import {namedDatabases} from '../schedule/named-databases.js';
import {type PlaceSummary, readFrom, withCopies} from '../../storage/all-locations.js';

export interface StatusRequest {
  /** "26h"; by default the config's, else 26 hours, so that a daily backup may take two. */
  readonly maxAge?: string;
  readonly require?: ProofLevel;
  readonly maxRestoreTestAge?: string;
  /** Only databases of these names; all without it. */
  readonly databases?: readonly string[];
  /** Databases, by name or label, that are watched no longer until there is a new backup of them. */
  readonly forget?: readonly string[];
  /** "s3://bucket/prefix" or a folder, whose backups are judged instead of those of the backups folder. */
  readonly from?: string;
  /** Whether the places of the config file are read too; true by default. */
  readonly hasPlaces?: boolean;
  /** Tells the configured targets when something was found. */
  readonly notify?: boolean;
}

export interface StatusResult extends Status {
  /** The backups folder, or the place of --from. */
  readonly folder: string;
  /** The backups folder and the places of the config file, each by itself; empty with --from. */
  readonly places: readonly PlaceSummary[];
  /** Databases that restores set aside, as the last runs recorded them; the server was not asked. */
  readonly setAside: readonly KnownSetAside[];
  readonly checkedAt: string;
  readonly limits: StatusLimits;
  /** Labels of the databases that this run has forgotten. */
  readonly forgotten: readonly string[];
}

type StatusContext = Pick<RunContext, 'settings' | 'clock' | 'warn' | 'signal' | 'record'>;

/** @throws USAGE for a limit that is no duration or a database that cannot be forgotten, READ_FAILED, the codes of the store that --from names */
export async function checkStatus(
  context: StatusContext,
  request: StatusRequest = {},
): Promise<StatusResult> {
  const {settings, warn} = context;
  const limits = resolveLimits(settings, request);
  const {sources, places} = await readSources(context, request);
  const forgetting = forget(context, sources, request.forget ?? []);
  const {databases} = request;
  const status = assessStatus(defined({...sources, databases, forgetting}), limits);
  if (request.notify === true && !status.ok) {
    const {notify} = await import('./notify.js');
    const {config, environment} = settings;
    const notice = staleNotice(status, hostname());
    const untold = await notify(notice, {config: config.notifications, environment});
    for (const warning of untold) warn(warning);
  }
  const folder = request.from ?? backupFolder(settings);
  const setAside = knownSetAside(sources.runs);
  const checkedAt = sources.now.toISOString();
  return {...status, folder, places, setAside, checkedAt, limits, forgotten: request.forget ?? []};
}

/**
 * Records that databases are watched no longer.
 * @throws USAGE for one that is not watched, or that config or plan name
 */
function forget(
  {record}: StatusContext,
  {catalogue: {backups}, runs, now, named}: StatusSources,
  names: readonly string[],
): StatusSources['forgetting'] {
  if (names.length === 0) return undefined;
  const groups = groupByDatabase(defined({backups, runs, named}));
  const forgotten = names.map((name) => chooseWatched(groups, name));
  const forgetting = {startedAt: now.toISOString(), forgotten};
  const [kept] = groupByDatabase(defined({backups, runs, named, forgetting})).filter(({database}) =>
    forgotten.some((one) => isDeepStrictEqual(one, database)),
  );
  if (kept) {
    throw new AppError('USAGE', `${kept.label} is named in the config file and stays watched.`, {
      hint: 'Take it out of status.databases, or its backups out of schedule.plan, then forget it.',
    });
  }
  record({forgotten});
  return forgetting;
}

/** @throws USAGE */
function chooseWatched(groups: readonly DatabaseGroup[], name: string): WatchedDatabase {
  const labels = groups.map(({label}) => label);
  const alike = groups.filter(({database, label}) => label === name || database.name === name);
  const [one, ...others] = alike.filter(({label}) => label === name).concat(alike);
  if (!one) {
    const guess = nearest(name, labels);
    const list = labels.length === 0 ? 'none' : labels.join(', ');
    throw new AppError(
      'USAGE',
      `No database "${name}" is watched; nothing was forgotten.${guess === undefined ? '' : ` Did you mean ${guess}?`}`,
      {hint: `Watched databases: ${list}.`},
    );
  }
  if (one.label === name || others.length === 0) return one.database;
  throw new AppError('USAGE', `Several databases are called "${name}"; nothing was forgotten.`, {
    hint: `Name one of: ${alike.map(({label}) => label).join(', ')}.`,
  });
}

/** @throws the codes of the store that --from names, READ_FAILED */
async function readSources(
  context: StatusContext,
  {from, hasPlaces}: StatusRequest,
): Promise<{sources: StatusSources; places: readonly PlaceSummary[]}> {
  const {settings, clock, warn} = context;
  if (from !== undefined) {
    const catalogue = await readFrom(context, from);
    // Audit log and plan are of this machine, which may not be the one that writes there.
    const named = (settings.config.status?.databases ?? []).map(databaseNamed);
    return {
      sources: {catalogue, runs: [], now: clock.now(), freeBytes: null, named, place: from},
      places: [],
    };
  }
  const {unreadableLines, foreign, ...here} = await readStatusSources(settings, clock.now());
  foreignNote(foreign).forEach(warn);
  if (unreadableLines > 0) warn(`Lines of the audit log that could not be read: ${unreadableLines}.`);
  if (hasPlaces === false) return {sources: here, places: []};
  const first = {place: backupFolder(settings), catalogue: here.catalogue};
  const {catalogue, places} = await withCopies(context, first, (backup) =>
    isOfKnownDatabase(backup, here.catalogue.backups, here.runs, here.named),
  );
  return {sources: {...here, catalogue, copyPlaces: places.slice(1)}, places};
}

/** What the status is judged by. @throws READ_FAILED */
export async function readStatusSources(
  settings: Settings,
  now: Date,
): Promise<StatusSources & Omit<History, 'runs'>> {
  return {
    ...(await readHistory(settings.backupsDir)),
    catalogue: await readCatalogue(backupFolder(settings)),
    now,
    named: await namedDatabases(settings),
    freeBytes: await freeBytesOf(settings.backupsDir),
    place: backupFolder(settings),
  };
}

/** The limits by flag, config and default. @throws USAGE for one that is no duration */
export function resolveLimits({config}: Settings, request: StatusRequest = {}): StatusLimits {
  const maxAge = request.maxAge ?? config.status?.maxAge ?? '26h';
  const testAge = request.maxRestoreTestAge ?? config.status?.maxRestoreTestAge;
  return {
    maxAge: parseDuration(maxAge, '--max-age'),
    require: request.require ?? config.status?.require ?? null,
    maxRestoreTestAge: testAge === undefined ? null : parseDuration(testAge, '--max-restore-test-age'),
  };
}

/** Bytes; null where there is no folder yet, or where the system does not tell. */
export async function freeBytesOf(folder: string): Promise<number | null> {
  try {
    const {bavail, bsize} = await statfs(folder);
    return bavail * bsize;
  } catch {
    return null; // the other findings say that nothing is there
  }
}
