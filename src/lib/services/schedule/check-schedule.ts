/** Compares a plan with the audit log: which due runs were done, failed or missed. */
import {isPreview, recordedCommands} from '../../base/recorded-commands.js';
import {nextRuns, runsBetween} from './next-runs.js';
import {type DatabasePatterns, isNamed, matchesPatterns} from '../../settings/sources.js';
import type {SourceOf} from '../../catalog/database-groups.js';
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
  /** Each is done if it is done for every database of the job. */
  readonly runs: readonly DueRun[];
  /** Runs by database, if the job is for databases of the config file. */
  readonly databases: readonly {readonly name: string; readonly runs: readonly DueRun[]}[];
}

/** A database that a job is for. */
export interface JobDatabase {
  readonly name: string;
  /** Whether the name is that of "databases" in the config file; otherwise it is the database of the job's URL. */
  readonly isSource: boolean;
  /** Of a server: the job is for every database that matches. */
  readonly patterns?: DatabasePatterns;
}

interface CheckOptions {
  /** By the sentence of the job; a job without an entry is for any database. */
  readonly databases?: ReadonlyMap<string, readonly JobDatabase[]>;
  readonly sourceOf?: SourceOf;
  /** Names of databases of the config file; jobs for others only are left out. All by default. */
  readonly wanted?: readonly string[] | undefined;
}

/** A run that is later counts as missed: half of the time until the next one, and at most this. */
const longestGraceMs = 2 * 3_600_000;

function graceMs(start: Date, next: Date): number {
  return Math.min(longestGraceMs, (next.getTime() - start.getTime()) / 2);
}

/**
 * The due runs in [from, now) of every job that the audit log records; it does not record read-only commands and previews.
 * A run counts for the due time before it, so a manual backup some hours late replaces a missed one.
 */
export function checkSchedule(
  jobs: readonly Job[],
  zone: string,
  history: readonly RunRecord[],
  from: Date,
  now: Date,
  {databases = new Map(), sourceOf = () => undefined, wanted}: CheckOptions = {},
): CheckedJob[] {
  return jobs.filter(isRecorded).flatMap((job) => {
    const tried = history.filter((run) => isRunOf(run, job.args) && (isDone(run) || isIncident(run)));
    const due = runsBetween(job.every, zone, from, now);
    const windows = due.map((start, index) => {
      const [next = now] = due.slice(index + 1, index + 2).concat(nextRuns(job.every, zone, start, 1));
      return {
        start,
        end: due[index + 1] ?? now,
        isRecent: now.getTime() - start.getTime() < graceMs(start, next),
      };
    });
    const inWindow = (runs: readonly RunRecord[], {start, end}: Window): RunRecord[] =>
      runs.filter(({startedAt}) => {
        const at = new Date(startedAt);
        return at >= start && (at < end || end === now);
      });
    const ofJob = databases.get(job.sentence) ?? [];
    if (!ofJob.some(({isSource}) => isSource)) {
      const names = ofJob.map(({name}) => name);
      const ours = tried.filter(({database}) => {
        if (names.length === 0 || database === null) return true;
        return isNamed(names, {label: database.source ?? database.name, name: database.name});
      });
      const runs = windows.map((window) => ({
        due: window.start,
        ...judge(inWindow(ours, window), window.isRecent),
      }));
      return [{job, runs, databases: []}];
    }
    const label = ({database}: RunRecord): string | null => database && labelOf(database, sourceOf);
    const labelled = history.map((run) => ({run, label: label(run)}));
    const ofEach = ofJob
      .flatMap((one) => expandServer(one, labelled))
      .filter(({name}) => wanted === undefined || isNamed(wanted, {label: name, name}));
    if (ofEach.length === 0) return [];
    // A run that failed before it knew its databases, or a server that could not be asked, is for all of them.
    const isOfAll = (run: RunRecord, server: string | undefined): boolean =>
      !isDone(run) && [null, server].includes(label(run));
    const checked = ofEach.map(({name, server, existsUntil}) => {
      const ours = tried.filter((run) => label(run) === name || isOfAll(run, server));
      const expected = windows.filter(({end}) => existsUntil(end));
      return {
        name,
        runs: expected.map((window) => ({
          due: window.start,
          ...judge(inWindow(ours, window), window.isRecent),
        })),
      };
    });
    const runs = windows.map((window) => {
      const states = checked.flatMap((one) => one.runs.filter(({due: at}) => at === window.start));
      const before = tried.filter((run) => ofEach.some(({server}) => isOfAll(run, server)));
      return worstOf(states) ?? {due: window.start, ...judge(inWindow(before, window), window.isRecent)};
    });
    return [{job, runs, databases: checked}];
  });
}

interface Window {
  readonly start: Date;
  readonly end: Date;
}

function labelOf(database: NonNullable<RunRecord['database']>, sourceOf: SourceOf): string {
  return sourceOf(database) ?? database.source ?? database.name;
}

interface ExpectedDatabase {
  readonly name: string;
  readonly server: string | undefined;
  /** Whether a run that ends at this time is expected. */
  readonly existsUntil: (end: Date) => boolean;
}

/** A server becomes the databases that runs found on it: each from its first run until a run reports that it is gone. */
function expandServer(
  {name: server, patterns}: JobDatabase,
  history: readonly {readonly run: RunRecord; readonly label: string | null}[],
): ExpectedDatabase[] {
  if (!patterns) return [{name: server, server: undefined, existsUntil: () => true}];
  const prefix = `${server}/`;
  const names = new Set(
    history.flatMap(({label}) =>
      label?.startsWith(prefix) === true && matchesPatterns(patterns, label.slice(prefix.length))
        ? [label]
        : [],
    ),
  );
  // No run has found any database yet.
  if (names.size === 0) return [{name: server, server, existsUntil: () => true}];
  return [...names].sort().map((name) => {
    const events = history.flatMap(({run, label}) => {
      const at = new Date(run.startedAt);
      if (label === name) return [{at, exists: true}];
      const isGone =
        label?.startsWith(prefix) === true && run.gone?.some((one) => prefix + one.name === name) === true;
      return isGone ? [{at, exists: false}] : [];
    });
    return {
      name,
      server,
      existsUntil: (end) => events.findLast(({at}) => at < end)?.exists ?? false,
    };
  });
}

const worstFirst = ['failed', 'missed', 'pending', 'done'] as const;

/** Undefined without any. */
function worstOf(runs: readonly DueRun[]): DueRun | undefined {
  return worstFirst.map((state) => runs.find((run) => run.state === state)).find((run) => run !== undefined);
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
