/** The commands of a plan run unattended, so each word must run exactly one. */
import {expect, it} from 'vitest';
import {cronTime} from '../../../../src/lib/services/schedule/cron-block.js';
import {startTogether} from '../../../../src/lib/services/schedule/due-time.js';
import {nextRuns, runsBetween} from '../../../../src/lib/services/schedule/next-runs.js';
import {parsePlan} from '../../../../src/lib/services/schedule/plan.js';
import {shiftToZone} from '../../../../src/lib/services/schedule/shift-zone.js';
import {calendars} from '../../../../src/lib/services/schedule/systemd-units.js';

it.each([
  ['custom', 'backup --format=custom'],
  ['sql', 'backup --format=sql'],
  ['directory', 'backup --format=directory'],
  ['schema', 'backup --schema-only --format=sql'],
  ['restore test', 'verify --latest --level=restore'],
  ['archive test', 'verify --latest --level=archive'],
  ['checksum test', 'verify --latest --level=checksum'],
  ['prune', 'prune --yes'],
  ['status', 'status'],
  ['report', 'report'],
])('%s is destino-db %s', (words, command) => {
  expect(parsePlan([`daily ${words}`])[0]?.args.join(' ')).toBe(command);
});

const timesOf = (...plan: string[]): string[] => parsePlan(plan).flatMap((job) => calendars(job.every));

it.each([
  [
    ['daily custom keep 30 days', 'weekly sql', 'monthly restore test'],
    ['02:00', 'Sun 03:00', '01 04:00'],
  ],
  [
    ['daily custom', 'daily sql'],
    ['02:00', '02:30'],
  ],
  [
    ['weekly restore test', 'weekly prune'],
    ['Sun 03:00', 'Sun 03:30'],
  ],
  [
    ['weekly restore test', 'weekly prune on monday'],
    ['Sun 03:00', 'Mon 03:00'],
  ],
  [
    ['monthly report', 'monthly prune on 2', 'monthly sql'],
    ['01 04:00', '02 04:00', '01 04:30'],
  ],
  [
    ['weekly sql', 'daily custom at 03:10'],
    ['Sun 04:00', '03:10'],
  ],
  [
    ['daily status', 'weekly sql', 'daily custom at 02:00', 'monthly prune'],
    ['02:30', 'Sun 03:00', '02:00', '01 04:00'],
  ],
  [
    ['hourly status', 'daily custom', 'hourly schema'],
    [':00', '02:30', ':15'],
  ],
  [
    ['hourly status', 'hourly schema at :00', 'daily custom at 02:15'],
    [':30', ':00', '02:15'],
  ],
])('the jobs of %j keep a distance: %j', (plan, expected) => {
  const short = (text: string): string =>
    text.replace(/:00$/, '').replace('*-*-* *', '').replace('*-*-* ', '').replace('*-*-', '');
  expect(timesOf(...plan).map(short)).toEqual(expected);
});

it('never starts two jobs without a time together, even if there are many', () => {
  const plan = ['hourly', 'daily', 'weekly', 'monthly'].flatMap((unit) =>
    Array.from({length: 12}, () => `${unit} status`),
  );
  const jobs = parsePlan(plan);
  for (const [index, {every}] of jobs.entries())
    for (const other of jobs.slice(0, index)) expect(startTogether(every, other.every)).toBe(false);
});

it.each([
  ['daily custom at 02:00', 'weekly sql at 02:00', true],
  ['hourly custom at :15', 'monthly sql at 02:15', true],
  ['weekly custom on monday at 02:00', 'weekly sql on tuesday at 02:00', false],
  ['weekly custom on monday at 02:00', 'monthly sql at 02:00', true],
  ['monthly custom on 1 at 02:00', 'monthly sql on 2 at 02:00', false],
  ['daily custom at 02:00', 'daily sql at 02:01', false],
])('%s and %s start together: %s', (one, other, expected) => {
  const [a, b] = parsePlan([one, other]);
  expect(a && b && startTogether(a.every, b.every)).toBe(expected);
});

it.each([
  ['every 15 minutes custom', '0,15,30,45 * * * *', '*-*-* *:00,15,30,45:00'],
  ['every 20 minutes status at :05', '5,25,45 * * * *', '*-*-* *:05,25,45:00'],
  ['Every 6 hours custom at :15 keep 2 days', '15 0,6,12,18 * * *', '*-*-* 00,06,12,18:15:00'],
  ['every 1 hour custom', '0 * * * *', '*-*-* *:00:00'],
])('%s is %s for cron and %s for systemd', (sentence, cron, systemd) => {
  const [job] = parsePlan([sentence]);
  expect(job && [cronTime(job.every), ...calendars(job.every)]).toEqual([cron, systemd]);
});

it.each([
  ['every 7 minutes custom', 'did you mean "every 6 minutes"?'],
  ['every 5 hours custom', 'did you mean "every 4 hours"?'],
  ['every 15 minutes custom at :15', '":15" is not a minute before :15'],
  ['every 6 hours custom on monday', 'has no day'],
])('%s is refused: %s', (sentence, why) => {
  expect(() => parsePlan([sentence])).toThrow(why);
});

it.each([
  ['every 15 minutes custom at :00', 'daily sql at 02:15', true],
  ['every 15 minutes custom at :05', 'daily sql at 02:15', false],
  ['every 6 hours custom at :00', 'daily sql at 12:00', true],
  ['every 6 hours custom at :00', 'daily sql at 13:00', false],
  ['every 6 hours custom at :30', 'every 20 minutes status at :10', true],
])('%s and %s start together: %s', (one, other, expected) => {
  const [a, b] = parsePlan([one, other]);
  expect(a && b && startTogether(a.every, b.every)).toBe(expected);
});

it('runs every few minutes or hours by the clocks of the zone', () => {
  const runs = (sentence: string, zone: string, after: string): string[] =>
    parsePlan([sentence]).flatMap(({every}) =>
      nextRuns(every, zone, new Date(after), 3).map((run) => run.toISOString().slice(0, 16)),
    );
  expect(runs('every 15 minutes custom at :05', 'UTC', '2026-11-22T10:21:00Z')).toEqual([
    '2026-11-22T10:35',
    '2026-11-22T10:50',
    '2026-11-22T11:05',
  ]);
  // Clocks in Berlin go back an hour in the night.
  expect(runs('every 6 hours custom', 'Europe/Berlin', '2026-10-24T20:00:00Z')).toEqual([
    '2026-10-24T22:00',
    '2026-10-25T05:00',
    '2026-10-25T11:00',
  ]);
  const [job] = parsePlan(['every 6 hours custom at :15']);
  const [inUtc] =
    job === undefined
      ? []
      : shiftToZone(job.every, 'Asia/Kolkata', 'UTC', new Date('2026-11-22T00:00:00Z')).times;
  expect(inUtc && cronTime(inUtc)).toBe('45 0,6,12,18 * * *');
});

it.each([
  ['every monday custom at 03:00', '0 3 * * 1'],
  ['Every Monday at 03:00 custom keep 30 days', '0 3 * * 1'],
  ['every monday, wednesday and friday status', '0 2 * * 1,3,5'],
  ['every monday and tuesday and wednesday status at 5:05', '5 5 * * 1-3'],
  ['weekdays custom at 22:00', '0 22 * * 1-5'],
  ['every weekday custom', '0 2 * * 1-5'],
  ['weekends sql at 23:59', '59 23 * * 0,6'],
  ['cron 15 3 * * 1-5 custom', '15 3 * * 1-5'],
  ['cron 15 3 * * MON-FRI run backup --format=sql', '15 3 * * 1-5'],
  ['cron 0-30/10,45 */8 1,15 jan-mar * sql keep 9 days', '0,10,20,30,45 0,8,16 1,15 1-3 *'],
  ['cron 5 4 1 * 0,7 status', '5 4 1 * 0'],
  ['cron */15 * * * * custom', '0,15,30,45 * * * *'],
  ['cron * * * * * status', '* * * * *'],
])('"%s" is %s for cron', (sentence, fields) => {
  const [job] = parsePlan([sentence]);
  expect(job && cronTime(job.every)).toBe(fields);
});

it.each([
  ['every mondy custom', 'did you mean "every monday"?'],
  ['weekday on monday custom', 'names its days twice'],
  ['weekdays custom at 25:00', 'not a time from 00:00'],
  ['cron 15 3 * * custom', '"custom" is not a day of the week of a cron expression (0 to 7)'],
  ['cron 15 3 *', 'five fields'],
  ['cron 60 3 * * * custom', '"60" is not a minute of a cron expression (0 to 59)'],
  ['cron 0 24 * * * custom', '"24" is not a hour'],
  ['cron 0 3 0 * * custom', '"0" is not a day of the month'],
  ['cron 0 3 * 13 * custom', '"13" is not a month'],
  ['cron 0 3 * * 5-1 custom', '"5-1" is not a day of the week'],
  ['cron 0 3 L * * custom', '"L" is not a day of the month'],
  ['cron 5/10 3 * * * custom', '"5/10" is not a minute'],
  ['cron */0 3 * * * custom', '"*/0" is not a minute'],
  ['cron 0 3 30 2 * custom', 'this date never comes'],
  ['cron 0 3 */2 * 1 custom', 'different meanings in different schedulers'],
  ['cron 0 3 * * * custom at 04:00', 'contains its time'],
  ['cron 0 3 * * *', 'no task'],
])('refuses "%s": %s', (sentence, why) => {
  expect(() => parsePlan([sentence])).toThrow(why);
});

it.each([
  ['cron 15 3 * * 1-5 custom', 'every saturday sql at 03:15', false],
  ['cron 15 3 * * 1-5 custom', 'every friday sql at 03:15', true],
  ['cron 15 3 1 * * custom', 'monthly on 2 sql at 03:15', false],
  ['cron 15 3 31 * * custom', 'cron 15 3 * 2,4,6,9,11 * sql', false],
  ['cron 15 3 13 * 5 custom', 'every friday sql at 03:15', true],
  ['cron */10 9-17 * * 1-5 custom', 'daily sql at 09:40', true],
  ['cron */10 9-17 * * 1-5 custom', 'weekends sql at 09:40', false],
])('%s and %s start together: %s', (one, other, expected) => {
  const [a, b] = parsePlan([one, other]);
  expect(a && b && startTogether(a.every, b.every)).toBe(expected);
});

it('leaves room between the days that are named and other jobs', () => {
  expect(timesOf('daily custom', 'weekdays sql', 'every monday prune')).toEqual([
    '*-*-* 02:00:00',
    'Mon,Tue,Wed,Thu,Fri *-*-* 02:30:00',
    'Mon *-*-* 03:00:00',
  ]);
});

it('runs a cron expression with both kinds of days on either, as cron does', () => {
  const [job] = parsePlan(['cron 30 6 13 * 5 custom']);
  expect(
    job &&
      nextRuns(job.every, 'UTC', new Date('2026-11-07T00:00:00Z'), 3).map((run) =>
        run.toISOString().slice(0, 16),
      ),
  ).toEqual(['2026-11-13T06:30', '2026-11-20T06:30', '2026-11-27T06:30']);
  expect(job && calendars(job.every)).toEqual(['*-*-13 06:30:00', 'Fri *-*-* 06:30:00']);
});

it('runs a cron expression once in an hour that clocks skip or repeat', () => {
  const [job] = parsePlan(['cron */30 1-3 * * * custom']);
  const runs = (day: string): string[] =>
    job === undefined
      ? []
      : runsBetween(
          job.every,
          'Europe/Berlin',
          new Date(`${day}T00:00:00+01:00`),
          new Date(`${day}T12:00:00Z`),
        ).map((run) => run.toISOString().slice(11, 16));
  expect(runs('2026-03-29')).toEqual(['00:00', '00:30', '01:00', '01:30']);
  expect(runs('2026-10-25')).toEqual(['23:00', '23:30', '00:00', '00:30', '02:00', '02:30']);
});
