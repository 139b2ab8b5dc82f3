/** Writes the report: one page over the audit log and the backups on disk. */
import {hostname} from 'node:os';
import {dirname, join, resolve} from 'node:path';
import {backupFolder} from '../../catalog/backup-name.js';
import {foreignFile, foreignNote, requireTrustedFolder, whyForeign} from '../../base/own-file.js';
import {makePrivateFolder, writeFileSafely} from '../../base/safe-file.js';
import {type ReportData, reportData, reportDays} from './report-data.js';
import {reportPage} from './report-page.js';
import type {RunContext} from '../../run/run-context.js';
import {nextRuns} from '../schedule/next-runs.js';
import {checkSchedule} from '../schedule/check-schedule.js';
import {readHistory} from '../../run/read-history.js';
import {
  databaseNamed,
  groupByDatabase,
  type GroupSources,
  isOfKnownDatabase,
} from '../../catalog/database-groups.js';
import {chooseSources, configuredSources, isNamed, placesOf} from '../../settings/sources.js';
import {unknownName} from '../../base/unknown-name.js';
import {sourceNames} from '../databases/source-names.js';
import type {RunRecord, WatchedDatabase} from '../../run/run-record.js';
import {databasesOfJobs, namedDatabases} from '../schedule/named-databases.js';
import {assessStatus} from '../status/assess.js';
import {freeBytesOf, resolveLimits} from '../status/check-status.js';
import {readPlan} from '../schedule/schedule.js';
import {type PlacesRead, readFrom, withCopies} from '../../storage/all-locations.js';
import {openFrom} from '../../storage/open-place.js';

export interface ReportResult extends ReportData {
  /** Absolute path of the page. */
  readonly path: string;
}

export interface ReportRequest {
  /** Where the page goes; `report.html` in the backups folder by default. */
  readonly output?: string;
  /** The location whose backups are reported on, instead of those here and their copies in the locations of the config file. */
  readonly from?: string;
  /** Only databases with these names, their own or those of the config file. */
  readonly databases?: readonly string[];
  /** Only those of `databases` in the config file. */
  readonly isAllDatabases?: boolean;
}

/**
 * @param output where the page goes; `report.html` in the backups folder by default
 * @param from the location whose backups are reported on, instead of those here and their copies in the locations of the config file
 * @throws the codes of the store that `from` names, READ_FAILED, FOLDER_NOT_WRITABLE, DISK_FULL, CONFIG_INVALID
 */
export async function writeReport(context: RunContext, request: ReportRequest = {}): Promise<ReportResult> {
  const {output, from} = request;
  const {settings, clock} = context;
  const now = clock.now();
  const earliest = new Date(now.getTime() - reportDays * 86_400_000);
  const {runs: allRuns, unreadableLines, foreign} = await readHistory(settings.backupsDir);
  if (unreadableLines > 0)
    context.warn(`${unreadableLines} lines of the audit log cannot be read and are not in the report.`);
  foreignNote(foreign).forEach(context.warn);
  const named = await namedDatabases(settings);
  const sourceOf = sourceNames(settings);
  const databases =
    request.isAllDatabases === true
      ? chooseSources(settings, {isAll: true}).map(({name}) => name)
      : request.databases;
  const all = await readBackups(context, from, allRuns, named);
  const {places} = all;
  const chosen = chooseGroups(
    settings,
    {backups: all.catalogue.backups, runs: allRuns, named, sourceOf},
    databases,
  );
  const {runs} = chosen;
  const catalogue = {...all.catalogue, backups: chosen.backups};
  for (const {path, reason} of catalogue.problems) context.warn(`${path} is not in the report: ${reason}`);
  const {jobs, zone} = readPlan(settings.config, false);
  const recent = runs.filter(({startedAt}) => Date.parse(startedAt) >= earliest.getTime());
  const [first] = recent;
  const jobDatabases = await databasesOfJobs(settings, jobs);
  const plan =
    first && jobs.length > 0
      ? checkSchedule(jobs, zone, recent, new Date(first.startedAt), now, {
          databases: jobDatabases,
          sourceOf,
          wanted: databases,
        })
      : undefined;
  const sources = {
    catalogue,
    copyPlaces: places.slice(1),
    placesOf: (label: string) => placesOf(settings.config, label),
    // The audit log, the named databases and the disk are this machine's.
    ...(from === undefined
      ? {
          runs,
          named: chosen.named,
          sources: configuredSources(settings).map(({name}) => name),
          freeBytes: await freeBytesOf(settings.backupsDir),
        }
      : {runs: [], named: (settings.config.status?.databases ?? []).map(databaseNamed), freeBytes: null}),
    now,
    sourceOf,
    ...(databases === undefined ? {} : {databases}),
  };
  const {findings} = assessStatus(sources, resolveLimits(settings));
  const [nextBackup] = jobs
    .filter(({args}) => args[0] === 'backup')
    .flatMap(({every}) => nextRuns(every, zone, now, 1))
    .sort((a, b) => a.getTime() - b.getTime());
  const data = reportData({
    backups: catalogue.backups,
    findings,
    places,
    runs,
    named: chosen.named,
    sourceOf,
    plan,
    jobDatabases,
    ...(nextBackup === undefined ? {} : {nextBackup}),
    // A bucket belongs to no machine.
    ...(from === undefined ? {machine: hostname()} : {}),
    place: from ?? settings.backupsDir,
    now,
  });
  const path = resolve(settings.cwd, output ?? join(settings.backupsDir, 'report.html'));
  if (output === undefined) {
    await requireTrustedFolder(settings.backupsDir);
    const reason = await whyForeign(path, 'file').catch(() => undefined); // usually there is none yet
    if (reason !== undefined) throw foreignFile(path, reason);
  }
  await makePrivateFolder(dirname(path));
  await writeFileSafely(path, reportPage(data, context.toolVersion));
  return {...data, path};
}

/** The backups, runs and databases of the config file that flags choose. @throws USAGE for an unknown name */
function chooseGroups(
  settings: RunContext['settings'],
  input: Required<Pick<GroupSources, 'backups' | 'runs' | 'named' | 'sourceOf'>>,
  wanted: readonly string[] | undefined,
): Pick<typeof input, 'backups' | 'runs' | 'named'> {
  if (wanted === undefined) return input;
  const groups = groupByDatabase(input);
  const sources = configuredSources(settings).map(({name}) => name);
  const known = [...new Set([...sources, ...groups.map(({label}) => label)])];
  const isKnown = (one: string): boolean =>
    sources.includes(one) || groups.some(({label, database}) => isNamed([one], {label, name: database.name}));
  const unknown = wanted.find((one) => !isKnown(one));
  if (unknown !== undefined)
    throw unknownName(
      'USAGE',
      `--database: there is no database "${unknown}"; no report was written.`,
      unknown,
      known,
    );
  const chosen = groups.filter(({label, database}) => isNamed(wanted, {label, name: database.name}));
  const [backups, runs] = [
    new Set(chosen.flatMap((group) => group.backups)),
    new Set(chosen.flatMap((group) => group.runs)),
  ];
  return {
    backups: input.backups.filter((backup) => backups.has(backup)),
    runs: input.runs.filter((run) => runs.has(run)),
    named: input.named.filter((one) => isNamed(wanted, {label: one.source ?? one.name, name: one.name})),
  };
}

async function readBackups(
  context: RunContext,
  from: string | undefined,
  runs: readonly RunRecord[],
  named: readonly WatchedDatabase[],
): Promise<PlacesRead> {
  const place = from ?? backupFolder(context.settings);
  if (from !== undefined) await openFrom(context.settings, from);
  const catalogue = await readFrom(context, place);
  if (from !== undefined) return {catalogue, places: []};
  const read = await withCopies(context, {place, catalogue}, (backup) =>
    isOfKnownDatabase(backup, catalogue.backups, runs, named),
  );
  for (const {place: other, error} of read.places)
    if (error) context.warn(`${other} is not in the report: ${error.message}`);
  return read;
}
