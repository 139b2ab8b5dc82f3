/** Runs a service for several databases in turn: each has its own settings, record and outcome. */
import {AppError, exitStatus} from '../base/errors.js';
import type {Progress} from '../progress/progress.js';
import type {RunContext} from '../run/run-context.js';
import type {WatchedDatabase} from '../run/run-record.js';
import {type FoundDatabases, lookUpDatabases, recordedDatabases} from '../services/databases/look-up.js';
import {refuseSameDatabase} from '../services/databases/source-names.js';
import {chooseSources, type DatabaseChoice, type Source} from '../settings/sources.js';
import type {RunRecorder} from './record-run.js';
import {asAppError, errorDocument} from './show/show-error.js';
import type {DatabaseOutcome, SeveralResult} from './show/show-several.js';

interface EachOptions<R> {
  readonly exitCodeOf: (result: R) => number;
  /** Whether servers are asked for their databases; otherwise those with a backup are meant. */
  readonly isLookedUp: boolean;
}

/**
 * One database that fails does not stop the others.
 * @param run the record of the whole run, in which each database becomes a part
 * @throws USAGE, CONFIG_INVALID before anything begins; INTERRUPTED
 */
export async function runEach<R>(
  context: RunContext,
  run: RunRecorder | undefined,
  choice: DatabaseChoice,
  work: (context: RunContext) => Promise<R>,
  options: EachOptions<R>,
): Promise<SeveralResult<R>> {
  const chosen = chooseSources(context.settings, choice);
  refuseSameDatabase(chosen);
  const outcomes: DatabaseOutcome<R>[] = [];
  const gone: string[] = [];
  for (const source of chosen) {
    const found = await findDatabases<R>(context, run, source, options.isLookedUp);
    if ('exitCode' in found) {
      outcomes.push(found);
      continue;
    }
    gone.push(...found.gone.map(({name}) => `${source.name}/${name}`));
    for (const [index, one] of found.sources.entries()) {
      if (outcomes.some(({name}) => name === one.name)) continue;
      const lost = index === 0 ? found.gone : [];
      outcomes.push(await runOne(context, run, one, work, options.exitCodeOf, lost));
    }
  }
  return {databases: outcomes, gone};
}

/** The worst of several exit statuses. */
export function worstExit<R>({databases}: SeveralResult<R>): number {
  const {usage, refused, environment, failed, integrity} = exitStatus;
  const order: readonly number[] = [0, usage, refused, environment, failed, integrity];
  return databases
    .map(({exitCode}) => exitCode)
    .reduce((worst, one) => (order.indexOf(one) > order.indexOf(worst) ? one : worst), 0);
}

/** The databases of a server; a server that cannot be asked is an outcome of its own. */
async function findDatabases<R>(
  context: RunContext,
  run: RunRecorder | undefined,
  source: Source,
  isLookedUp: boolean,
): Promise<FoundDatabases | DatabaseOutcome<R>> {
  const {patterns} = source;
  if (!patterns) return {sources: [source], gone: []};
  if (!isLookedUp) return {sources: await recordedDatabases(context, source), gone: []};
  try {
    const found = await context.progress.step(`${source.name}: Look up databases`, async (step) => {
      const made = await lookUpDatabases(context, source, patterns);
      step.note(made.sources.map(({name}) => name.slice(source.name.length + 1)).join(', '));
      return made;
    });
    for (const {name} of found.gone)
      context.warn(
        `The database "${name}" of the server "${source.name}" does not exist any more; its backups stay.`,
      );
    return found;
  } catch (error) {
    const part = await run?.part(source.settings);
    const failure = failureOf(context, error);
    await part?.finish({error: failure, exitCode: failure.exitCode, warnings: []});
    context.signal.throwIfAborted();
    return {name: source.name, exitCode: failure.exitCode, error: errorDocument(failure).error};
  }
}

async function runOne<R>(
  context: RunContext,
  run: RunRecorder | undefined,
  {name, settings}: Source,
  work: (context: RunContext) => Promise<R>,
  exitCodeOf: (result: R) => number,
  gone: readonly WatchedDatabase[],
): Promise<DatabaseOutcome<R>> {
  const part = await run?.part(settings);
  if (gone.length > 0) part?.record({gone: [...gone]});
  const warnings: string[] = [];
  let outcome: {result: R; exitCode: number} | {error: AppError; exitCode: number};
  try {
    const result = await work({
      ...context,
      settings,
      progress: named(context.progress, name),
      warn: (message) => {
        warnings.push(message);
        context.warn(`${name}: ${message}`);
      },
      record: (facts) => part?.record(facts),
    });
    outcome = {result, exitCode: exitCodeOf(result)};
  } catch (error) {
    const failure = failureOf(context, error);
    outcome = {error: failure, exitCode: failure.exitCode};
  }
  const error = 'error' in outcome ? outcome.error : undefined;
  const unwritten = await part?.finish({error, exitCode: outcome.exitCode, warnings});
  for (const warning of unwritten ?? []) context.warn(`${name}: ${warning}`);
  context.signal.throwIfAborted();
  return {
    name,
    exitCode: outcome.exitCode,
    ...('error' in outcome ? {error: errorDocument(outcome.error).error} : {result: outcome.result}),
  };
}

/** An error that the interruption caused is reported as the interruption. */
function failureOf({signal}: RunContext, error: unknown): AppError {
  return asAppError(signal.aborted && !(error instanceof AppError) ? signal.reason : error);
}

/** The same progress, whose steps begin with the name of the database. */
function named(progress: Progress, name: string): Progress {
  return {
    ...progress,
    plan: (titles) => progress.plan(titles.map((title) => `${name}: ${title}`)),
    step: (title, work) => progress.step(`${name}: ${title}`, work),
  };
}

/** @throws USAGE for a URL beside flags that choose databases of the config file */
export function refuseUrlBeside(flags: {
  readonly database?: readonly string[] | undefined;
  readonly 'all-databases'?: boolean | undefined;
  readonly 'database-url'?: string | undefined;
}): void {
  if (flags['database-url'] === undefined) return;
  const name = flags['all-databases'] === true ? '--all-databases' : '--database';
  throw new AppError(
    'USAGE',
    `--database-url contradicts ${name}: the config file names the databases; nothing was done.`,
    {hint: `Leave out one of the two.`},
  );
}
