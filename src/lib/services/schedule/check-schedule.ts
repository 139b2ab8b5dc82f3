/** Compares a plan with the audit log: which due runs were done, failed or missed. */
import {isPreview, recordedCommands} from '../../base/recorded-commands.js';
import {nextRuns, runsBetween} from './next-runs.js';
import {isNamed} from '../../settings/sources.js';
import type {Job} from './plan.js';
import {isIncident, type RunRecord} from '../../run/run-record.js';

export interface DueRun {
  readonly due: Date;
  /** "pending": due recently, and the run may still be running. */
  readonly state: 'done' | 'failed' | 'missed' | 'pending';
  /** Error code of the last failure, if failed. */
  readonly errorCode: string | null;
}

export interface CheckedJob {
  readonly job: Job;
  readonly runs: readonly DueRun[];
}

/** A run that is later counts as missed: half of the time until the next one, and at most this. */
const longestGraceMs = 2 * 3_600_000;

function graceMs(start: Date, next: Date): number {
  return Math.min(longestGraceMs, (next.getTime() - start.getTime()) / 2);
}

/**
 * The due runs in [from, now) of every job that the audit log records; it does not record read-only commands and previews.
 * A run counts for the due time before it, so a manual backup some hours late replaces a missed one.
 * @param databases of backups, by the sentence of the job, if the plan has several
 */
export function checkSchedule(
  jobs: readonly Job[],
  zone: string,
  history: readonly RunRecord[],
  from: Date,
  now: Date,
  databases: ReadonlyMap<string, string> = new Map(),
): CheckedJob[] {
  return jobs.filter(isRecorded).map((job) => {
    const due = runsBetween(job.every, zone, from, now);
    const database = databases.get(job.sentence);
    const isOfDatabase = (run: RunRecord): boolean =>
      database === undefined ||
      run.database === null ||
      isNamed([database], {label: run.database.source ?? run.database.name, name: run.database.name});
    const tried = history.filter(
      (run) => isRunOf(run, job.args) && isOfDatabase(run) && (isDone(run) || isIncident(run)),
    );
    return {
      job,
      runs: due.map((start, index) => {
        const end = due[index + 1] ?? now;
        const inWindow = tried.filter((run) => {
          const startedAt = new Date(run.startedAt);
          return startedAt >= start && (startedAt < end || end === now);
        });
        const [next = now] = due.slice(index + 1, index + 2).concat(nextRuns(job.every, zone, start, 1));
        return {due: start, ...judge(inWindow, now.getTime() - start.getTime() < graceMs(start, next))};
      }),
    };
  });
}

function isRecorded({args: [command = '', ...flags]}: Job): boolean {
  const changes = {dryRun: flags.includes('--dry-run'), execute: flags.includes('--execute')};
  return recordedCommands.has(command) && !isPreview(command, changes);
}

function judge(runs: readonly RunRecord[], isRecent: boolean): Omit<DueRun, 'due'> {
  if (runs.some(isDone)) return {state: 'done', errorCode: null};
  const last = runs.at(-1);
  if (last) return {state: 'failed', errorCode: last.errorCode};
  return {state: isRecent ? 'pending' : 'missed', errorCode: null};
}

/** A backup with an alarm still exists; a test with an alarm did not pass. */
function isDone(run: RunRecord): boolean {
  return run.outcome === 'ok' || (run.outcome === 'alarm' && run.command === 'backup');
}

/** Whether the job starts such a run: same command, same format and content, same level of check. */
function isRunOf(run: RunRecord, args: readonly string[]): boolean {
  if (run.command !== args[0] || run.mode !== 'execute') return false;
  const value = (flag: string): string | undefined =>
    args.find((arg) => arg.startsWith(`--${flag}=`))?.slice(flag.length + 3);
  const format = value('format');
  if (format !== undefined && run.format !== null && run.format !== format) return false;
  if (run.schemaOnly !== null && run.schemaOnly !== args.includes('--schema-only')) return false;
  const level = value('level');
  // A run that failed early checked no backup, and neither does verify --checks-live.
  const hasFailedEarly = run.verifications.length === 0 && run.outcome !== 'ok';
  return level === undefined || hasFailedEarly || run.verifications.some((check) => check.level === level);
}
