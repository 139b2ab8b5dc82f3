/** The plan in the foreground, with a clock that only waits and jobs move. */
import {expect, it} from 'vitest';
import {AppError} from '../../../../src/lib/base/errors.js';
import {type PlanRunner, runPlan} from '../../../../src/lib/services/schedule/run-plan.js';
import {testContext} from '../../../support/test-context.js';

const time = (at: number): string => new Date(at).toISOString().slice(11, 16);

interface Story {
  plan: string[];
  /** Minutes that the run takes; a number below 0 sets the clock back. */
  minutesOf?: (command: string) => number;
  problemOf?: (command: string) => string | undefined;
  /** The plan is terminated while this run, counted from 1, is in work. */
  runs: number;
}

/** Starts at 01:00. */
async function told({plan, minutesOf = () => 0, problemOf = () => undefined, runs}: Story) {
  let now = Date.parse('2026-11-30T01:00:00Z');
  const interruption = new AbortController();
  const [started, waits, said, failures]: [string[], number[], string[], string[]] = [[], [], [], []];
  const context = {
    ...testContext('/srv/shop', {
      settings: {config: {schedule: {plan, timeZone: 'UTC'}}},
      signal: interruption.signal,
    }),
    clock: {now: () => new Date(now)},
  };
  const runner: PlanRunner = {
    runJob: (words) => {
      const [command = ''] = words;
      started.push(`${time(now)} ${words.join(' ')}`);
      now += minutesOf(command) * 60_000;
      if (started.length === runs) interruption.abort(new AppError('TERMINATED', 'Terminated.'));
      const problem = problemOf(command);
      return problem?.startsWith('spawn') === true
        ? Promise.reject(new Error(problem))
        : Promise.resolve(problem);
    },
    wait: (ms) => {
      waits.push(ms);
      now += ms;
      return Promise.resolve();
    },
    say: (line) => said.push(line),
    sayFailure: (line) => failures.push(line),
  };
  const options = {sharedFlags: ['--env-file=/run/env'], checkCommandLine: () => Promise.resolve(undefined)};
  await expect(runPlan(context, options, runner)).rejects.toMatchObject({code: 'TERMINATED'});
  return {started, waits, said, failures};
}

it('runs each job at its time with the flags of its command line, and wakes up once a minute at most', async () => {
  const {started, waits, said} = await told({
    plan: ['hourly status at :30', 'daily custom at 01:45'],
    runs: 3,
  });
  expect(started).toEqual([
    '01:30 status --env-file=/run/env',
    '01:45 backup --format=custom --wait=21600 --env-file=/run/env',
    '02:30 status --env-file=/run/env',
  ]);
  expect(waits).toHaveLength(90);
  expect(Math.max(...waits)).toBe(60_000);
  expect(said[0]).toBe(
    'The plan has 2 jobs, with times in UTC. Next run: "hourly status at :30" at 2026-11-30T01:30:00.000Z.',
  );
});

it('makes up once for all times that passed while another job ran, those that wait longest first', async () => {
  const {started} = await told({
    plan: ['every 15 minutes status', 'daily custom at 01:20', 'daily report at 01:25'],
    minutesOf: (command) => (command === 'backup' ? 100 : 0),
    runs: 6,
  });
  expect(started.map((line) => line.split(' ').slice(0, 2).join(' '))).toEqual([
    '01:15 status',
    '01:20 backup',
    '03:00 report',
    '03:00 status',
    '03:15 status',
    '03:30 status',
  ]);
});

it('goes on after a failed job, and names how it ended', async () => {
  const {started, failures} = await told({
    plan: ['hourly status', 'hourly report at :20'],
    problemOf: (command) => (command === 'status' ? 'exit code 4' : 'spawn EAGAIN'),
    runs: 3,
  });
  expect(started).toHaveLength(3);
  // The third ended because the plan did.
  expect(failures).toEqual([
    '"hourly report at :20" failed: spawn EAGAIN.',
    '"hourly status" failed: exit code 4.',
  ]);
});

it('follows a clock that is set back', async () => {
  const {started, waits} = await told({
    plan: ['daily status at 01:10'],
    minutesOf: () => -24 * 60 - 5,
    runs: 2,
  });
  expect(started.map((line) => line.slice(0, 5))).toEqual(['01:10', '01:10']);
  expect(waits).toHaveLength(10 + 5);
});

it('refuses a plan whose commands do not exist', async () => {
  const context = testContext('/srv/shop', {settings: {config: {schedule: {plan: ['daily run bakup']}}}});
  const options = {
    sharedFlags: [],
    checkCommandLine: () => Promise.resolve(new AppError('USAGE', 'There is no command "bakup".')),
  };
  const runner = {
    runJob: () => Promise.resolve(undefined),
    wait: () => Promise.resolve(),
    say: () => undefined,
    sayFailure: () => undefined,
  };
  await expect(runPlan(context, options, runner)).rejects.toMatchObject({code: 'CONFIG_INVALID'});
});
