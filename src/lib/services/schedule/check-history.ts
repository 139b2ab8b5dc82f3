/** Lists the due runs of the backup plan that are missing in the audit log. */
import type {RunContext} from '../../run/run-context.js';
import {checkSchedule} from './check-schedule.js';
import {readHistory} from '../../run/read-history.js';
import {sourceNames} from '../databases/source-names.js';
import {databasesOfJobs} from './named-databases.js';
import {
  type CheckCommandLine,
  chooseJobs,
  readPlan,
  requireCommands,
  type ScheduleOptions,
} from './schedule.js';
import type {DueRun} from './check-schedule.js';

export interface ScheduleCheck {
  /** Whether the last due run of every job is done or still pending. */
  readonly ok: boolean;
  readonly timeZone: string;
  /** Start of the checked time: the oldest recorded run, at most 31 days ago. Null if no run is recorded. */
  readonly from: string | null;
  readonly jobs: readonly JobCheck[];
}

interface JobCheck extends RunCounts {
  readonly sentence: string;
  /** The same for each database, if the job is for databases of the config file; only then is a run done if it is done for all of them. */
  readonly databases?: readonly DatabaseCheck[];
}

interface DatabaseCheck extends RunCounts {
  readonly name: string;
}

interface RunCounts {
  readonly due: number;
  readonly done: number;
  readonly failed: readonly {due: string; errorCode: string | null}[];
  readonly missed: readonly string[];
  /** State of the last due run; null if none was due yet. */
  readonly last: DueRun['state'] | null;
}

const longestSpanMs = 31 * 86_400_000;

/** @throws CONFIG_INVALID, USAGE, READ_FAILED */
export async function checkScheduleHistory(
  {settings, clock}: RunContext,
  checkCommandLine: CheckCommandLine,
  chosen: Pick<ScheduleOptions, 'databases' | 'isAllDatabases'> = {},
): Promise<ScheduleCheck> {
  const {jobs: all, zone} = readPlan(settings.config);
  await requireCommands(all, checkCommandLine);
  const jobs = chooseJobs(settings, all, chosen);
  const now = clock.now();
  const earliest = new Date(now.getTime() - longestSpanMs);
  const {runs} = await readHistory(settings.backupsDir);
  const [first] = runs;
  const from = first ? new Date(Math.max(earliest.getTime(), Date.parse(first.startedAt))) : undefined;
  const {databases: wanted} = chosen;
  const options = {
    databases: await databasesOfJobs(settings, jobs),
    sourceOf: sourceNames(settings),
    wanted,
  };
  const checked = from ? checkSchedule(jobs, zone, runs, from, now, options) : [];
  const results = checked.map(({job, runs: ofAll, databases}) => ({
    sentence: job.sentence,
    ...countRuns(ofAll),
    ...(databases.length === 0
      ? {}
      : {databases: databases.map(({name, runs: ofOne}) => ({name, ...countRuns(ofOne)}))}),
  }));
  return {
    ok: from !== undefined && results.every(({last}) => last !== 'failed' && last !== 'missed'),
    timeZone: zone,
    from: from?.toISOString() ?? null,
    jobs: results,
  };
}

function countRuns(runs: readonly DueRun[]): RunCounts {
  const times = (state: DueRun['state']) => runs.filter((run) => run.state === state);
  return {
    due: runs.length,
    done: times('done').length,
    failed: times('failed').map(({due, errorCode}) => ({due: due.toISOString(), errorCode})),
    missed: times('missed').map(({due}) => due.toISOString()),
    last: runs.at(-1)?.state ?? null,
  };
}
