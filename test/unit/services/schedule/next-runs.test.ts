/** The words of a plan and their due times. */
import {describe, expect, it} from 'vitest';
import {parsePlan} from '../../../../src/lib/services/schedule/plan.js';
import {nextRuns, runsBetween} from '../../../../src/lib/services/schedule/next-runs.js';

const at = (text: string): Date => new Date(text);
const iso = (dates: readonly Date[]): string[] => dates.map((date) => date.toISOString().slice(0, 16));

function everyOf(sentence: string) {
  const [job] = parsePlan([sentence]);
  if (!job) throw new Error('no job');
  return job.every;
}

describe('parsePlan', () => {
  it('parses the plan of the documentation', () => {
    const jobs = parsePlan(['daily custom at 02:00 keep 30 days; weekly sql; monthly restore test']);
    expect(jobs.map(({name, every, args}) => [name, every, args])).toEqual([
      [
        'daily-custom',
        {unit: 'day', hour: 2, minute: 0},
        ['backup', '--format=custom', '--retention-days=30'],
      ],
      ['weekly-sql', {unit: 'week', weekday: 0, hour: 3, minute: 0}, ['backup', '--format=sql']],
      [
        'monthly-restore-test',
        {unit: 'month', day: 1, hour: 4, minute: 0},
        ['verify', '--latest', '--level=restore'],
      ],
    ]);
  });

  it('parses days, minutes, both orders of "at" and "keep", and any command after "run"', () => {
    const jobs = parsePlan([
      'Weekly on Monday directory backup keep 7 days at 23:59',
      'monthly on the 15th archive test at 0:05',
      'hourly run copy --to "s3://shop backups/a" at :15',
      'hourly status',
      'hourly status',
      `daily run backup --label="before opening" --exclude-table='orders "x"'`,
    ]);
    expect(jobs.map((job) => job.every)).toEqual([
      {unit: 'week', weekday: 1, hour: 23, minute: 59},
      {unit: 'month', day: 15, hour: 0, minute: 5},
      {unit: 'hour', minute: 15},
      {unit: 'hour', minute: 30},
      {unit: 'hour', minute: 45},
      {unit: 'day', hour: 2, minute: 0},
    ]);
    expect(jobs[0]?.args).toEqual(['backup', '--format=directory', '--retention-days=7']);
    expect(jobs[2]?.args).toEqual(['copy', '--to', 's3://shop backups/a']);
    expect(jobs.slice(3, 5).map((job) => job.name)).toEqual(['hourly-status', 'hourly-status-2']);
    expect(jobs[5]?.args).toEqual(['backup', '--label=before opening', '--exclude-table=orders "x"']);
  });

  it.each([
    ['dialy custom', 'did you mean "daily"'],
    ['daily costum', 'did you mean "custom"'],
    ['daily', 'has a time, but no task'],
    ['daily custom at 25:00', 'not a time from 00:00'],
    ['daily custom at noon', 'not a time from 00:00'],
    ['daily on monday sql', 'a daily job has no day'],
    ['weekly on funday sql', 'not a day of the week'],
    ['monthly on 31 sql', 'of every month'],
    ['hourly status at 15', 'not a minute'],
    ['daily status keep 3 days', 'only a backup can keep'],
    ['daily constructor', 'is not a task'],
    [`daily run backup --label="chef's`, 'a quote is not closed'],
  ])('refuses "%s" and says why', (sentence, why) => {
    expect(() => parsePlan([sentence])).toThrow(why);
  });
});

describe('nextRuns', () => {
  it('returns times after now, never now itself', () => {
    expect(iso(nextRuns(everyOf('daily sql at 02:00'), 'UTC', at('2026-11-22T02:00:00Z'), 2))).toEqual([
      '2026-11-23T02:00',
      '2026-11-24T02:00',
    ]);
    expect(iso(nextRuns(everyOf('weekly on sunday sql'), 'UTC', at('2026-11-22T02:59:59Z'), 2))).toEqual([
      '2026-11-22T03:00',
      '2026-11-29T03:00',
    ]);
    expect(iso(nextRuns(everyOf('monthly on 28 sql'), 'UTC', at('2026-11-29T00:00:00Z'), 3))).toEqual([
      '2026-12-28T04:00',
      '2027-01-28T04:00',
      '2027-02-28T04:00',
    ]);
    expect(iso(nextRuns(everyOf('hourly status at :15'), 'UTC', at('2026-11-22T02:20:00Z'), 2))).toEqual([
      '2026-11-22T03:15',
      '2026-11-22T04:15',
    ]);
  });

  it('follows the zone across clock changes', () => {
    // 2026-03-29 02:00 -> 03:00 and 2026-10-25 03:00 -> 02:00 in Berlin.
    const daily = everyOf('daily sql at 02:30');
    expect(iso(nextRuns(daily, 'Europe/Berlin', at('2026-03-27T12:00:00Z'), 3))).toEqual([
      '2026-03-28T01:30',
      '2026-03-29T01:30',
      '2026-03-30T00:30',
    ]);
    expect(iso(nextRuns(daily, 'Europe/Berlin', at('2026-10-23T12:00:00Z'), 3))).toEqual([
      '2026-10-24T00:30',
      '2026-10-25T00:30',
      '2026-10-26T01:30',
    ]);
  });

  it('counts the minute of hourly jobs in the zone, even with an offset of half an hour', () => {
    expect(iso(nextRuns(everyOf('hourly status'), 'Asia/Kolkata', at('2026-11-22T02:20:00Z'), 2))).toEqual([
      '2026-11-22T02:30',
      '2026-11-22T03:30',
    ]);
  });

  it('counts days in the zone, not in UTC', () => {
    expect(
      iso(nextRuns(everyOf('monthly on 1 sql at 00:30'), 'Pacific/Auckland', at('2026-11-22T00:00:00Z'), 1)),
    ).toEqual(['2026-11-30T11:30']);
    expect(
      iso(
        nextRuns(
          everyOf('weekly on sunday sql at 22:00'),
          'America/Los_Angeles',
          at('2026-11-22T00:00:00Z'),
          1,
        ),
      ),
    ).toEqual(['2026-11-23T06:00']);
  });
});

describe('runsBetween', () => {
  it('includes the start and excludes the end', () => {
    const days = runsBetween(
      everyOf('daily sql at 02:00'),
      'UTC',
      at('2026-11-01T02:00:00Z'),
      at('2026-11-04T02:00:00Z'),
    );
    expect(iso(days)).toEqual(['2026-11-01T02:00', '2026-11-02T02:00', '2026-11-03T02:00']);
    expect(
      runsBetween(
        everyOf('hourly status at :15'),
        'UTC',
        at('2026-11-01T00:00:00Z'),
        at('2026-11-02T00:00:00Z'),
      ),
    ).toHaveLength(24);
  });
});
