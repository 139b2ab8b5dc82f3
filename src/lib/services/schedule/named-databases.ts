/** The databases in the settings, the config file and its plan, with or without a backup. */
import {resolve} from 'node:path';
import {parseArgs} from 'node:util';
import {defined} from '../../base/defined.js';
import {AppError} from '../../base/errors.js';
import {environmentOf} from '../../settings/environment.js';
import {loadSettings, type Settings} from '../../settings/settings.js';
import {databaseNamed} from '../../catalog/database-groups.js';
import type {RunDatabase, WatchedDatabase} from '../../run/run-record.js';
import {databaseOfSettings, sourceDatabases} from '../databases/source-names.js';
import type {Job} from './plan.js';
import type {JobDatabase} from './check-schedule.js';
import {isOfSources, plannedJobs, sourcesOfJob} from './source-jobs.js';

/** The database of the settings; null if they name none or cannot be parsed. */
export function databaseOf(settings: Settings): RunDatabase | null {
  try {
    return databaseOfSettings(settings);
  } catch {
    return null; // the command itself fails and reports why
  }
}

/** The databases of `databases` and `status.databases`, and those that the plan backs up into this backups folder. */
export async function namedDatabases(settings: Settings): Promise<WatchedDatabase[]> {
  const listed = (settings.config.status?.databases ?? []).map(databaseNamed);
  const planned = await Promise.all(plannedArguments(settings).map((args) => databaseOfJob(settings, args)));
  return [...sourceDatabases(settings), ...planned.filter((database) => database !== null), ...listed];
}

const directUrlFirst = ['DIRECT_URL', 'DATABASE_URL'] as const;
const databaseUrlOnly = ['DATABASE_URL'] as const;

/**
 * The databases of a plan's jobs by the sentence of the job, if there are several, because a run of one does not count for another.
 * A job whose settings cannot be parsed has none.
 */
export async function databasesOfJobs(
  settings: Settings,
  jobs: readonly Job[],
): Promise<ReadonlyMap<string, readonly JobDatabase[]>> {
  const databases = new Map<string, readonly JobDatabase[]>();
  for (const job of jobs) {
    if (isOfSources(job)) {
      const sources = sourcesOfJob(settings, job);
      databases.set(
        job.sentence,
        sources.map(({name, patterns}) => defined({name, isSource: true, patterns})),
      );
      continue;
    }
    const database = job.args[0] === 'backup' ? await databaseBySettings(settings, job.args) : null;
    if (database) databases.set(job.sentence, [{name: database.name, isSource: false}]);
  }
  const all = [...databases.values()].flat();
  const isOfOne = new Set(all.map(({name}) => name)).size <= 1 && !all.some(({isSource}) => isSource);
  return isOfOne ? new Map() : databases;
}

/** Arguments of the backup jobs in the plan. */
function plannedArguments({config}: Settings): (readonly string[])[] {
  try {
    const jobs = plannedJobs(config).filter((job) => !isOfSources(job));
    return jobs.map(({args}) => args).filter(([command]) => command === 'backup');
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    return []; // schedule and doctor report errors in the plan
  }
}

/** The database of which a job makes complete backups in this backups folder. */
async function databaseOfJob(settings: Settings, args: readonly string[]): Promise<WatchedDatabase | null> {
  const partial = ['schema-only', 'data-only', 'include-table', 'include-schema'];
  const values = valuesOf(args);
  const folder = values['backups-dir'];
  const isElsewhere =
    values['output-dir'] !== undefined ||
    (typeof folder === 'string' && resolve(settings.cwd, folder) !== settings.backupsDir);
  return isElsewhere || partial.some((flag) => values[flag] !== undefined)
    ? null
    : databaseBySettings(settings, args);
}

function valuesOf(args: readonly string[]): Readonly<Record<string, unknown>> {
  const text = {type: 'string'} as const;
  const options = {'database-url': text, 'env-file': text, 'backups-dir': text, 'output-dir': text} as const;
  return parseArgs({args: [...args], options, strict: false}).values;
}

/** The database of a scheduled backup, which cron starts without the flags and the shell environment of the current run. */
async function databaseBySettings(
  settings: Settings,
  args: readonly string[],
): Promise<WatchedDatabase | null> {
  const values = valuesOf(args);
  const {'database-url': url, 'env-file': envFile} = values;
  const named = {
    databaseUrl: typeof url === 'string' ? url : undefined,
    urlPreference: values['use-database-url'] === undefined ? directUrlFirst : databaseUrlOnly,
  };
  try {
    if (typeof envFile === 'string')
      return databaseOf({...(await loadSettings({'env-file': envFile}, settings.cwd, {})), ...named});
    const files = environmentOf(settings.environment.sources.slice(1));
    return databaseOf({...settings, ...named, environment: files}) ?? databaseOf({...settings, ...named});
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    return null; // that run itself reports errors in its settings
  }
}
