/** The jobs of the plan and of each database of the config file that has a plan of its own. */
import {defined} from '../../base/defined.js';
import {AppError} from '../../base/errors.js';
import type {Config} from '../../settings/config-schema.js';
import type {Settings} from '../../settings/settings.js';
import {chooseSources, configuredSources, type Source} from '../../settings/sources.js';
import {type Job, parsePlan, splitPlan} from './plan.js';

/** Commands whose jobs are for all databases of the config file that have no plan of their own. */
const perDatabase = new Set(['backup', 'verify']);

/**
 * Jobs without a time get one that does not collide with those of any database.
 * @throws CONFIG_INVALID with the sentence that cannot be parsed
 */
export function plannedJobs({schedule, databases = []}: Config): Job[] {
  const general = splitPlan(schedule?.plan ?? []).map((sentence) => ({sentence, source: undefined}));
  const own = databases.flatMap(({name, plan = []}) =>
    splitPlan(plan).map((sentence) => ({sentence, source: name})),
  );
  for (const {sentence, source} of own) requireSentence(sentence, source);
  const planned = [...general, ...own];
  const others = databases.filter(({plan}) => plan === undefined).map(({name}) => `--database=${name}`);
  const flags = others.length === databases.length ? ['--all-databases'] : others;
  return parsePlan(planned.map(({sentence}) => sentence)).map((job, index) => {
    const source = planned[index]?.source;
    if (source !== undefined)
      return {
        ...job,
        sentence: `${source}: ${job.sentence}`,
        name: `${source.toLowerCase().replace(/[^a-z0-9]+/g, '-')}-${job.name}`,
        args: [...job.args, `--database=${source}`],
      };
    const [command = ''] = job.args;
    const isForAll = databases.length > 0 && perDatabase.has(command) && !/\srun\s/i.test(job.sentence);
    return isForAll ? {...job, args: [...job.args, ...flags]} : job;
  });
}

/** @throws CONFIG_INVALID that names the database */
function requireSentence(sentence: string, source: string): void {
  try {
    parsePlan([sentence]);
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    throw new AppError(
      error.code,
      `The plan of the database "${source}" is wrong. ${error.message}`,
      defined({hint: error.hint, cause: error}),
    );
  }
}

/** Whether a job is for databases of the config file and not for that of the URL. */
export function isOfSources({args}: Pick<Job, 'args'>): boolean {
  return args.some((word) => word === '--all-databases' || word.startsWith('--database='));
}

/** The databases and servers of the config file that a job is for. A name that the config file does not have is left out. */
export function sourcesOfJob(settings: Settings, {args}: Pick<Job, 'args'>): Source[] {
  const names = args.flatMap((word) => /^--database=(.*)$/s.exec(word)?.[1] ?? []);
  if (args.includes('--all-databases')) return configuredSources(settings);
  return names.flatMap((name) => {
    try {
      return chooseSources(settings, {names: [name]});
    } catch (error) {
      if (error instanceof AppError) return []; // the job itself fails and reports it
      throw error;
    }
  });
}
