/** Implements `status`: reads the folder, the audit log and the free space, and compares them with the limits. */
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
import {sourceNames} from '../databases/source-names.js';
import {chooseSources, configuredSources, placesOf} from '../../settings/sources.js';
import {namedDatabases} from '../schedule/named-databases.js';
import {type PlaceSummary, readFrom, withCopies} from '../../storage/all-locations.js';

export interface StatusRequest {
  /** "26h"; by default that of the config, otherwise 26 hours, so that a daily backup may take two. */
  readonly maxAge?: string;
  readonly require?: ProofLevel;
  readonly maxRestoreTestAge?: string;
  /** Only databases with these names; by default all. */
  readonly databases?: readonly string[];
  /** Only those of `databases` in the config file. */
  readonly isAllDatabases?: boolean;
  /** Databases, by name or label, that are no longer watched until they have a new backup. */
  readonly forget?: readonly string[];
  /** "s3://bucket/prefix" or a folder, whose backups are assessed instead of those of the backups folder. */
  readonly from?: string;
  /** Whether to read the locations of the config file too; true by default. */
  readonly hasPlaces?: boolean;
  /** Whether to notify the configured targets of findings. */
  readonly notify?: boolean;
}

export interface StatusResult extends Status {
  /** The backups folder, or the location of --from. */
  readonly folder: string;
  /** A summary of the backups folder and of each location in the config file; empty with --from. */
  readonly places: readonly PlaceSummary[];
  /** Databases that restores set aside, as recorded by the last runs; the server is not queried. */
  readonly setAside: readonly KnownSetAside[];
  readonly checkedAt: string;
  readonly limits: StatusLimits;
  /** Labels of the databases that this run has forgotten. */
  readonly forgotten: readonly string[];
}

type StatusContext = Pick<RunContext, 'settings' | 'clock' | 'warn' | 'signal' | 'record'>;

/** @throws USAGE for an invalid duration or a database that cannot be forgotten, READ_FAILED, the codes of the store in --from */
export async function checkStatus(
  context: StatusContext,
  request: StatusRequest = {},
): Promise<StatusResult> {
  const {settings, warn} = context;
  const limits = resolveLimits(settings, request);
  const {sources, places} = await readSources(context, request);
  const forgetting = forget(context, sources, request.forget ?? []);
  const databases =
    request.isAllDatabases === true
      ? chooseSources(settings, {isAll: true}).map(({name}) => name)
      : request.databases;
  const status = assessStatus(defined({...sources, databases, forgetting}), limits);
  if (request.notify === true && !status.ok) {
    const {notify} = await import('./notify.js');
    const {config, environment} = settings;
    const notice = staleNotice(status, hostname());
    const undelivered = await notify(notice, {config: config.notifications, environment});
    for (const warning of undelivered) warn(warning);
  }
  const folder = request.from ?? backupFolder(settings);
  const setAside = knownSetAside(sources.runs);
  const checkedAt = sources.now.toISOString();
  return {...status, folder, places, setAside, checkedAt, limits, forgotten: request.forget ?? []};
}

/**
 * Records that databases are no longer watched.
 * @throws USAGE for a database that is not watched, or that is named in the config or the plan
 */
function forget(
  {record}: StatusContext,
  {catalogue: {backups}, runs, now, named, sourceOf}: StatusSources,
  names: readonly string[],
): StatusSources['forgetting'] {
  if (names.length === 0) return undefined;
  const groups = groupByDatabase(defined({backups, runs, named, sourceOf}));
  const forgotten = names.map((name) => chooseWatched(groups, name));
  const forgetting = {startedAt: now.toISOString(), forgotten};
  const [kept] = groupByDatabase(defined({backups, runs, named, forgetting, sourceOf})).filter(({database}) =>
    forgotten.some((one) => isDeepStrictEqual(one, database)),
  );
  if (kept) {
    throw new AppError('USAGE', `${kept.label} is named in the config file and stays watched.`, {
      hint: 'Remove it from databases or status.databases, or its backups from schedule.plan, then forget it.',
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

/** @throws the codes of the store in --from, READ_FAILED */
async function readSources(
  context: StatusContext,
  {from, hasPlaces}: StatusRequest,
): Promise<{sources: StatusSources; places: readonly PlaceSummary[]}> {
  const {settings, clock, warn} = context;
  if (from !== undefined) {
    const catalogue = await readFrom(context, from);
    // The audit log and the plan belong to this machine; another one may write to that location.
    const named = (settings.config.status?.databases ?? []).map(databaseNamed);
    return {
      sources: {
        catalogue,
        runs: [],
        now: clock.now(),
        freeBytes: null,
        named,
        place: from,
        sourceOf: sourceNames(settings),
      },
      places: [],
    };
  }
  const {unreadableLines, foreign, ...here} = await readStatusSources(settings, clock.now());
  foreignNote(foreign).forEach(warn);
  if (unreadableLines > 0) warn(`The audit log has unreadable lines: ${unreadableLines}.`);
  if (hasPlaces === false) return {sources: here, places: []};
  const first = {place: backupFolder(settings), catalogue: here.catalogue};
  const {catalogue, places} = await withCopies(context, first, (backup) =>
    isOfKnownDatabase(backup, here.catalogue.backups, here.runs, here.named),
  );
  return {sources: {...here, catalogue, copyPlaces: places.slice(1)}, places};
}

/** The data that the status is assessed from. @throws READ_FAILED */
export async function readStatusSources(
  settings: Settings,
  now: Date,
): Promise<StatusSources & Omit<History, 'runs'>> {
  return {
    ...(await readHistory(settings.backupsDir)),
    catalogue: await readCatalogue(backupFolder(settings)),
    now,
    named: await namedDatabases(settings),
    sources: configuredSources(settings).map(({name}) => name),
    sourceOf: sourceNames(settings),
    placesOf: (label) => placesOf(settings.config, label),
    freeBytes: await freeBytesOf(settings.backupsDir),
    place: backupFolder(settings),
  };
}

/** The limits from flags, config and defaults. @throws USAGE for an invalid duration */
export function resolveLimits({config}: Settings, request: StatusRequest = {}): StatusLimits {
  const maxAge = request.maxAge ?? config.status?.maxAge ?? '26h';
  const testAge = request.maxRestoreTestAge ?? config.status?.maxRestoreTestAge;
  return {
    maxAge: parseDuration(maxAge, '--max-age'),
    require: request.require ?? config.status?.require ?? null,
    maxRestoreTestAge: testAge === undefined ? null : parseDuration(testAge, '--max-restore-test-age'),
  };
}

/** Bytes; null if the folder does not exist yet, or the system does not report it. */
export async function freeBytesOf(folder: string): Promise<number | null> {
  try {
    const {bavail, bsize} = await statfs(folder);
    return bavail * bsize;
  } catch {
    return null; // other findings report the missing folder
  }
}
