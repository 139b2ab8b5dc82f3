/** Runs the jobs of the backup plan at their times, one after the other, until it is interrupted. */
import {AppError, messageOf} from '../../base/errors.js';
import {shellCommand} from '../../base/shell-quote.js';
import type {RunContext} from '../../run/run-context.js';
import {nextRuns} from './next-runs.js';
import type {Job} from './plan.js';
import {
  chooseJobs,
  collisionWarnings,
  patientArgs,
  readPlan,
  requireCommands,
  type ScheduleOptions,
} from './schedule.js';

export type RunPlanOptions = Pick<
  ScheduleOptions,
  'checkCommandLine' | 'sharedFlags' | 'databases' | 'isAllDatabases'
>;

export interface PlanRunner {
  /**
   * Runs a command of this program to its end; `signal` ends it.
   * @returns how it ended, if not with exit code 0: "exit code 4"
   */
  readonly runJob: (words: readonly string[], signal: AbortSignal) => Promise<string | undefined>;
  /** @throws when `signal` is aborted */
  readonly wait: (ms: number, signal: AbortSignal) => Promise<unknown>;
  /** Reports about the plan, apart from the output of the jobs. */
  readonly say: (line: string) => void;
  /** Reports a failed job, even when nothing else is reported. */
  readonly sayFailure: (line: string) => void;
}

/** The clock may be set, and a machine may sleep: a late wake-up is noticed within a minute. */
const longestWaitMs = 60_000;

/**
 * A job whose time passed once or more often while others ran, runs once afterwards. A failed job does not stop the plan.
 * @throws TERMINATED, INTERRUPTED when the running job has ended; CONFIG_INVALID, USAGE
 */
export async function runPlan(
  {settings, clock, signal}: RunContext,
  options: RunPlanOptions,
  runner: PlanRunner,
): Promise<never> {
  const {jobs: all, zone} = readPlan(settings.config);
  const jobs = chooseJobs(settings, all, options);
  await requireCommands(jobs, options.checkCommandLine);
  for (const warning of collisionWarnings(jobs)) runner.say(`Warning: ${warning}`);
  const waiting = jobs.map((job) => ({job, due: nextRun(job, zone, clock.now())}));
  runner.say(
    `The plan has ${jobs.length} ${jobs.length === 1 ? 'job' : 'jobs'}, with times in ${zone}. ${announce(waiting)}`,
  );
  for (;;) {
    signal.throwIfAborted();
    const now = clock.now();
    // A clock that was set back brings earlier times.
    for (const one of waiting) one.due = earlier(one.due, nextRun(one.job, zone, now));
    const next = firstOf(waiting);
    const leftMs = next.due.getTime() - now.getTime();
    if (leftMs > 0) {
      await runner.wait(Math.min(leftMs, longestWaitMs), signal).catch(() => signal.throwIfAborted());
      continue;
    }
    next.due = nextRun(next.job, zone, now);
    const words = [...patientArgs(next.job), ...options.sharedFlags];
    runner.say(`"${next.job.sentence}": ${shellCommand(['destino-db', ...words])}`);
    const problem = await runner.runJob(words, signal).catch((error: unknown) => messageOf(error));
    signal.throwIfAborted();
    if (problem !== undefined) runner.sayFailure(`"${next.job.sentence}" failed: ${problem}.`);
    runner.say(announce(waiting));
  }
}

interface Waiting {
  readonly job: Job;
  due: Date;
}

function nextRun({every, sentence}: Job, zone: string, after: Date): Date {
  const [next] = nextRuns(every, zone, after, 1);
  if (next) return next;
  throw new AppError('CONFIG_INVALID', `The schedule's "${sentence}" never runs.`);
}

function earlier(one: Date, other: Date): Date {
  return other < one ? other : one;
}

/** Those that wait longest come first. */
function firstOf(waiting: readonly Waiting[]): Waiting {
  return waiting.reduce((first, one) => (one.due < first.due ? one : first));
}

function announce(waiting: readonly Waiting[]): string {
  const {job, due} = firstOf(waiting);
  return `Next run: "${job.sentence}" at ${due.toISOString()}.`;
}
