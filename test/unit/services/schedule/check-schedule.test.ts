/** The plan of the simulated month against its audit log. */
import {beforeAll, describe, expect, it} from 'vitest';
import {checkSchedule} from '../../../../src/lib/services/schedule/check-schedule.js';
import {checkScheduleHistory} from '../../../../src/lib/services/schedule/check-history.js';
import {showScheduleCheck} from '../../../../src/lib/cli/show/show-schedule-check.js';
import {createStyle} from '../../../../src/lib/cli/show/style.js';
import type {RunRecord} from '../../../../src/lib/run/run-record.js';
import {parsePlan} from '../../../../src/lib/services/schedule/plan.js';
import {plannedJobs} from '../../../../src/lib/services/schedule/source-jobs.js';
import type {Config} from '../../../../src/lib/settings/config-schema.js';
import {tempFolder} from '../../../support/run-cli.js';
import {sampleRun} from '../../../support/sample-run.js';
import {simulateMonth, story, writeSimulatedMonth} from '../../../support/simulated-month.js';
import {testContext} from '../../../support/test-context.js';

const plan = ['daily custom at 02:00', 'weekly sql at 03:00', 'weekly restore test at 04:00'];
const from = new Date(`${story.firstDay}T00:00:00Z`);
const now = new Date(`${story.lastDay}T12:00:00Z`);
const days = (runs: readonly {due: Date}[]): string[] =>
  runs.map((run) => run.due.toISOString().slice(0, 10));

describe('checkSchedule', () => {
  const [daily, weekly, tests] = checkSchedule(parsePlan(plan), 'UTC', simulateMonth().runs, from, now);

  it('finds failed runs, with their codes, and missed runs', () => {
    const failed = daily?.runs.filter((run) => run.state === 'failed') ?? [];
    expect(days(failed)).toEqual([story.connectionRefused, story.diskFull, story.interrupted]);
    expect(failed.map((run) => run.errorCode)).toEqual(['CONNECTION_REFUSED', 'DISK_FULL', 'INTERRUPTED']);
    expect(days(daily?.runs.filter((run) => run.state === 'missed') ?? [])).toEqual([...story.missed]);
    expect(daily?.runs).toHaveLength(30);
  });

  it('does not count a custom backup for the sql job of the same day', () => {
    expect(weekly?.runs.map((run) => run.state)).toEqual(['done', 'done', 'done', 'done', 'done']);
    const withoutSql = simulateMonth().runs.filter((run) => run.format !== 'sql');
    const [, missing] = checkSchedule(parsePlan(plan), 'UTC', withoutSql, from, now);
    expect(missing?.runs.map((run) => run.state)).toEqual(Array(5).fill('missed'));
  });

  it('does not count a backup of another database', () => {
    const jobs = parsePlan(['daily custom at 02:00', 'daily run backup --env-file crm.env at 03:00']);
    const databases = new Map([
      ['daily custom at 02:00', [{name: 'shop', isSource: false}]],
      ['daily run backup --env-file crm.env at 03:00', [{name: 'crm', isSource: false}]],
    ]);
    const run = sampleRun({startedAt: '2026-11-22T03:10:00.000Z', format: 'custom'});
    const since = new Date('2026-11-22T00:00:00Z');
    const states = checkSchedule(jobs, 'UTC', [run], since, now, {databases}).map(({runs}) => runs[0]?.state);
    expect(states).toEqual(['done', 'missed']);
  });

  describe('a job for databases of the config file', () => {
    const [job] = parsePlan(['daily custom at 02:00']);
    if (!job) throw new Error('there is no job');
    const jobs = [{...job, args: [...job.args, '--all-databases']}];
    const cluster = {name: 'cluster', isSource: true, patterns: {include: ['*'], exclude: ['*_old']}};
    const ofJob = new Map([[job.sentence, [{name: 'own', isSource: true}, cluster]]]);
    const runOf = (day: number, source: string | null, changes: Partial<RunRecord> = {}): RunRecord =>
      sampleRun({
        startedAt: `2026-11-${day}T02:01:00.000Z`,
        format: 'custom',
        database:
          source === null
            ? null
            : {name: source.replace('cluster/', ''), systemIdentifier: null, host: 'h', port: 1, source},
        ...changes,
      });
    const failed = {outcome: 'failed', exitCode: 3, errorCode: 'CONNECTION_REFUSED'} as const;
    const statesOf = (runs: readonly RunRecord[], wanted?: readonly string[]) => {
      const [checked] = checkSchedule(jobs, 'UTC', runs, new Date('2026-11-20T00:00:00Z'), now, {
        databases: ofJob,
        wanted,
      });
      const states = (due: readonly {state: string}[] = []) => due.map(({state}) => state).join(' ');
      const databases = checked?.databases.map((one) => [one.name, states(one.runs)]) ?? [];
      return {all: states(checked?.runs), ...Object.fromEntries(databases)} as Record<string, string>;
    };

    it('is done once it is done for each of them', () => {
      const all = ['own', 'cluster/blog'].flatMap((source) => [20, 21, 22].map((day) => runOf(day, source)));
      expect(statesOf(all)).toEqual({
        all: 'done done done',
        own: 'done done done',
        'cluster/blog': 'done done done',
      });
      const without = all.filter(({database, startedAt}) =>
        database?.source === 'own' ? !startedAt.includes('-21T') : !startedAt.includes('-22T'),
      );
      expect(statesOf(without)).toEqual({
        all: 'done missed missed',
        own: 'done missed done',
        'cluster/blog': 'done done missed',
      });
      expect(statesOf(without, ['own'])).toEqual({all: 'done missed done', own: 'done missed done'});
      expect(statesOf(without, ['cluster'])['all']).toBe('done done missed');
    });

    it('failed if it failed for one of them', () => {
      const runs = [runOf(20, 'own'), runOf(21, 'own'), runOf(22, 'own')];
      const blog = [runOf(20, 'cluster/blog'), runOf(21, 'cluster/blog', failed), runOf(22, 'cluster/blog')];
      expect(statesOf([...runs, ...blog])['all']).toBe('done failed done');
    });

    it('counts a server that could not be asked, and a run that failed before all, for each of its databases', () => {
      const runs = [
        ...[runOf(20, 'own'), runOf(20, 'cluster/blog')],
        ...[runOf(21, 'own'), runOf(21, 'cluster', failed)],
        runOf(22, null, failed),
      ];
      expect(statesOf(runs)).toEqual({
        all: 'done failed failed',
        own: 'done done failed',
        'cluster/blog': 'done failed failed',
      });
      expect(statesOf([runOf(22, 'own')])).toMatchObject({cluster: 'missed missed missed'});
    });

    it('expects a database of a server from its first run until it is gone', () => {
      const wiki = {name: 'wiki', systemIdentifier: null, host: 'h', port: 1};
      const runs = [
        ...[runOf(20, 'own'), runOf(20, 'cluster/blog'), runOf(20, 'cluster/wiki')],
        ...[runOf(21, 'own'), runOf(21, 'cluster/blog', {gone: [wiki]}), runOf(21, 'cluster/new')],
        ...[runOf(22, 'own'), runOf(22, 'cluster/blog'), runOf(22, 'cluster/new')],
        runOf(20, 'cluster/blog_old'),
      ];
      expect(statesOf(runs)).toEqual({
        all: 'done done done',
        own: 'done done done',
        'cluster/blog': 'done done done',
        'cluster/new': 'done done',
        'cluster/wiki': 'done',
      });
    });
  });

  it('does not count a refusal at a terminal as a run', () => {
    const refused = {startedAt: '2026-11-22T02:10:00.000Z', outcome: 'failed', exitCode: 5} as const;
    const stateWith = (incident: boolean) => {
      const run = sampleRun({...refused, format: 'custom', errorCode: 'LOCKED', incident});
      const since = new Date('2026-11-22T00:00:00Z');
      return checkSchedule(parsePlan(['daily custom']), 'UTC', [run], since, now)[0]?.runs[0]?.state;
    };
    expect([stateWith(true), stateWith(false)]).toEqual(['failed', 'missed']);
  });

  it('counts a restore test that found damage as failed', () => {
    expect(days(tests?.runs.filter((run) => run.state === 'failed') ?? [])).toEqual([
      story.restoreTestFailed,
    ]);
  });

  it('counts a backup with a shrink alarm as done, but neither a test with an alarm nor a preview', () => {
    const state = (sentence: string, changes: Partial<RunRecord>) =>
      checkSchedule(
        parsePlan([sentence]),
        'UTC',
        [sampleRun(changes)],
        new Date('2026-11-22T00:00:00Z'),
        now,
      )[0]?.runs[0]?.state;
    const alarm = {outcome: 'alarm', exitCode: 4} as const;
    expect(state('daily restore test', {command: 'verify', ...alarm})).toBe('failed');
    expect(state('daily custom', alarm)).toBe('done');
    expect(state('daily custom', {mode: 'preview'})).toBe('missed');
    expect(state('daily custom', {})).toBe('done');
  });

  it('distinguishes a schema-only backup from a backup in SQL', () => {
    const state = (sentence: string, schemaOnly: boolean | null) =>
      checkSchedule(
        parsePlan([sentence]),
        'UTC',
        [sampleRun({startedAt: '2026-11-22T03:00:00.000Z', format: 'sql', schemaOnly})],
        new Date('2026-11-22T00:00:00Z'),
        now,
      )[0]?.runs[0]?.state;
    expect([state('daily sql', true), state('daily sql', false)]).toEqual(['missed', 'done']);
    expect([state('daily schema', true), state('daily schema', false)]).toEqual(['done', 'missed']);
    // An older version did not record it.
    expect([state('daily sql', null), state('daily schema', null)]).toEqual(['done', 'done']);
  });

  it('skips jobs that the audit log does not record: read-only commands and previews', () => {
    const others = ['hourly status; weekly report', 'daily run status --notify', 'daily run orders:clean'];
    const cleaning = 'weekly run orders:clean --execute --yes';
    const checked = checkSchedule(parsePlan([...others, cleaning]), 'UTC', simulateMonth().runs, from, now);
    expect(checked.map(({job}) => job.sentence)).toEqual([cleaning]);
  });

  it.each([
    ['daily custom at 02:00', '2026-11-09T04:00:00Z'],
    ['hourly custom', '2026-11-09T00:30:00Z'],
    ['every 15 minutes custom', '2026-11-09T00:07:30Z'],
    ['every 6 hours custom', '2026-11-09T02:00:00Z'],
    ['cron 0,10 0,9 * * * custom', '2026-11-09T00:05:00Z'],
    ['weekdays custom at 02:00', '2026-11-09T04:00:00Z'],
  ])(
    'reports a run of "%s" as missed after half of the interval, at most two hours',
    (sentence, missedAt) => {
      const stateAt = (time: number) =>
        checkSchedule(parsePlan([sentence]), 'UTC', [], new Date('2026-11-09T00:00:00Z'), new Date(time))[0]
          ?.runs[0]?.state;
      expect(stateAt(Date.parse(missedAt) - 1)).toBe('pending');
      expect(stateAt(Date.parse(missedAt))).toBe('missed');
    },
  );
});

const noProblem = () => Promise.resolve(undefined);

describe('checkScheduleHistory', () => {
  let folder = '';
  beforeAll(async () => {
    folder = await tempFolder();
    await writeSimulatedMonth(`${folder}/backups`);
  });
  const check = (time: string, plans = plan) =>
    checkScheduleHistory(
      testContext(folder, {now: time, settings: {config: {schedule: {plan: plans, timeZone: 'UTC'}}}}),
      noProblem,
    );

  it('passes if the last run of each job is done, and still names earlier missed runs', async () => {
    const result = await check(now.toISOString());
    expect(result).toMatchObject({ok: true, from: '2026-10-24T02:00:00.000Z'});
    expect(result.jobs[0]).toMatchObject({due: 30, done: 25, last: 'done'});
    const lines = showScheduleCheck(result, createStyle(false, {})).join('\n');
    expect(lines).toContain('missed "daily custom at 02:00": 2026-11-09 02:00:00Z, 2026-11-10 02:00:00Z');
    expect(lines).toContain('2026-11-05 02:00:00Z (DISK_FULL)');
    expect(lines.replace(/ +/g, ' ')).toContain('daily custom at 02:00 30 25 3 2 done\n');
  });

  it('fails if the last due run was missed', async () => {
    const result = await check('2026-11-24T02:00:00Z');
    expect(result.ok).toBe(false);
    expect(result.jobs[0]?.last).toBe('missed');
    expect(showScheduleCheck(result, createStyle(false, {}))[1]).toMatch(/ missed$/);
  });

  it('reports runs that are not due yet, or may still be running, neither as done nor as missed', async () => {
    const last = async (sentence: string, time = now.toISOString()) => {
      const result = await check(time, [sentence]);
      expect(result.ok).toBe(true);
      return showScheduleCheck(result, createStyle(false, {}))[1]?.replace(/^.* {2}/, '');
    };
    expect(await last('monthly on 23 sql')).toBe('not due yet');
    expect(await last('monthly on 23 sql', '2026-11-23T05:00:00Z')).toBe('pending');
  });

  it('fails without a history', async () => {
    const result = await checkScheduleHistory(
      testContext(`${folder}/elsewhere`, {settings: {config: {schedule: {plan}}}}),
      noProblem,
    );
    expect(result).toMatchObject({ok: false, from: null, jobs: []});
    expect(showScheduleCheck(result, createStyle(false, {}))[0]).toContain('no run on record');
  });
});

it('names the database whose own plan is wrong', () => {
  const databases = [{name: 'own', urlEnv: 'OWN_URL', plan: ['dayly custom']}];
  expect(() => plannedJobs({databases})).toThrow(
    /^The plan of the database "own" is wrong\. The schedule's "dayly custom" cannot be parsed: .*did you mean "daily"/,
  );
  const general = {databases: [{...databases[0], plan: ['daily sql']}], schedule: {plan: ['dayly sql']}};
  expect(() => plannedJobs(general as Config)).toThrow(/^The schedule's "dayly sql"/);
});
