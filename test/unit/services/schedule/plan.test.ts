/** The commands of a plan run unattended, so each word must run exactly one. */
import {expect, it} from 'vitest';
import {cronTime} from '../../../../src/lib/services/schedule/cron-block.js';
import {startTogether} from '../../../../src/lib/services/schedule/due-time.js';
import {nextRuns} from '../../../../src/lib/services/schedule/next-runs.js';
import {parsePlan} from '../../../../src/lib/services/schedule/plan.js';
import {shiftToZone} from '../../../../src/lib/services/schedule/shift-zone.js';
import {calendar} from '../../../../src/lib/services/schedule/systemd-units.js';

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

const timesOf = (...plan: string[]): string[] => parsePlan(plan).map((job) => calendar(job.every));

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
  expect(job && [cronTime(job), calendar(job.every)]).toEqual([cron, systemd]);
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
  expect(
    job &&
      cronTime({
        every: shiftToZone(job.every, 'Asia/Kolkata', 'UTC', new Date('2026-11-22T00:00:00Z')).every,
      }),
  ).toBe('45 0,6,12,18 * * *');
});
