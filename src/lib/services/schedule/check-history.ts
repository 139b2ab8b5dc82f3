/** Lists the due runs of the backup plan that are missing in the audit log. */
import type {RunContext} from '../../run/run-context.js';
import {checkSchedule} from './check-schedule.js';
import {readHistory} from '../../run/read-history.js';
import {databasesOfJobs} from './named-databases.js';
import {type CheckCommandLine, readPlan, requireCommands} from './schedule.js';

export interface ScheduleCheck {
  /** Whether the last due run of every job is done or still pending. */
  readonly ok: boolean;
  readonly timeZone: string;
  /** Start of the checked time: the oldest recorded run, at most 31 days ago. Null if no run is recorded. */
  readonly from: string | null;
  readonly jobs: readonly {
    sentence: string;
    due: number;
    done: number;
    failed: readonly {due: string; errorCode: string | null}[];
    missed: readonly string[];
    /** State of the last due run; null if none was due yet. */
    last: 'done' | 'failed' | 'missed' | 'pending' | null;
  }[];
}

const longestSpanMs = 31 * 86_400_000;

/** @throws CONFIG_INVALID, USAGE, READ_FAILED */
export async function checkScheduleHistory(
  {settings, clock}: RunContext,
  checkCommandLine: CheckCommandLine,
): Promise<ScheduleCheck> {
  const {jobs, zone} = readPlan(settings.config);
  await requireCommands(jobs, checkCommandLine);
  const now = clock.now();
  const earliest = new Date(now.getTime() - longestSpanMs);
  const {runs} = await readHistory(settings.backupsDir);
  const [first] = runs;
  const from = first ? new Date(Math.max(earliest.getTime(), Date.parse(first.startedAt))) : undefined;
  const checked = from
    ? checkSchedule(jobs, zone, runs, from, now, await databasesOfJobs(settings, jobs))
    : [];
  const results = checked.map(({job, runs: due}) => {
    const times = (state: string) => due.filter((run) => run.state === state);
    return {
      sentence: job.sentence,
      due: due.length,
      done: times('done').length,
      failed: times('failed').map((run) => ({due: run.due.toISOString(), errorCode: run.errorCode})),
      missed: times('missed').map((run) => run.due.toISOString()),
      last: due.at(-1)?.state ?? null,
    };
  });
  return {
    ok: from !== undefined && results.every(({last}) => last !== 'failed' && last !== 'missed'),
    timeZone: zone,
    from: from?.toISOString() ?? null,
    jobs: results,
  };
}
