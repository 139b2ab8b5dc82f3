/** Plan times in the zone of a scheduler that supports only one. */
import {describe, expect, it} from 'vitest';
import {cronTime} from '../../../../src/lib/services/schedule/cron-block.js';
import {runsBetween} from '../../../../src/lib/services/schedule/next-runs.js';
import {parsePlan} from '../../../../src/lib/services/schedule/plan.js';
import {shiftToZone} from '../../../../src/lib/services/schedule/shift-zone.js';

const now = new Date('2026-11-22T12:00:00Z');

it('keeps the time in the same zone', () => {
  const every = {unit: 'day', hour: 2, minute: 0} as const;
  expect(shiftToZone(every, 'Europe/Berlin', 'Europe/Berlin', now)).toEqual({times: [every], isExact: true});
});

it('shifts the hour, and reports if it is right for only part of the year', () => {
  const shifted = shiftToZone({unit: 'day', hour: 20, minute: 30}, 'America/Los_Angeles', 'UTC', now);
  expect(shifted).toEqual({times: [{unit: 'day', hour: 4, minute: 30}], isExact: false});
  expect(shiftToZone({unit: 'day', hour: 2, minute: 0}, 'Asia/Kolkata', 'UTC', now)).toEqual({
    times: [{unit: 'day', hour: 20, minute: 30}],
    isExact: true,
  });
});

it('shifts the weekday and the day of the month too', () => {
  expect(
    shiftToZone({unit: 'week', weekday: 0, hour: 2, minute: 0}, 'Asia/Tokyo', 'UTC', now).times[0],
  ).toEqual({
    unit: 'week',
    weekday: 6,
    hour: 17,
    minute: 0,
  });
  expect(shiftToZone({unit: 'month', day: 10, hour: 2, minute: 0}, 'Asia/Tokyo', 'UTC', now)).toEqual({
    times: [{unit: 'month', day: 9, hour: 17, minute: 0}],
    isExact: true,
  });
});

it('keeps the 1st if the day before has no fixed number, and reports that', () => {
  expect(shiftToZone({unit: 'month', day: 1, hour: 2, minute: 0}, 'Asia/Tokyo', 'UTC', now)).toEqual({
    times: [{unit: 'month', day: 1, hour: 17, minute: 0}],
    isExact: false,
  });
});

it('shifts only the minute of hourly jobs, also across clock changes', () => {
  expect(shiftToZone({unit: 'hour', minute: 15}, 'America/Los_Angeles', 'UTC', now)).toEqual({
    times: [{unit: 'hour', minute: 15}],
    isExact: true,
  });
  expect(shiftToZone({unit: 'hour', minute: 15}, 'Asia/Kolkata', 'UTC', now).times[0]).toEqual({
    unit: 'hour',
    minute: 45,
  });
});

describe('cron expressions', () => {
  const cron = (sentence: string) => {
    const [job] = parsePlan([`cron ${sentence} status`]);
    if (!job) throw new Error(sentence);
    return job.every;
  };
  const shifted = (expression: string, from: string) => {
    const {times, isExact} = shiftToZone(cron(expression), from, 'UTC', now);
    return {lines: times.map(cronTime), isExact};
  };

  it('keeps them in one line if their days move together', () => {
    expect(shifted('0 22 * * 1-5', 'America/New_York').lines).toEqual(['0 3 * * 2-6']);
    expect(shifted('0 4 * * 0', 'Asia/Tokyo')).toEqual({lines: ['0 19 * * 6'], isExact: true});
    expect(shifted('0 */6 * * *', 'Asia/Tokyo')).toEqual({lines: ['0 3,9,15,21 * * *'], isExact: true});
  });

  it('splits them where a day begins within their hours, or an hour within their minutes', () => {
    expect(shifted('0 6-11 * * 1-5', 'Asia/Tokyo')).toEqual({
      lines: ['0 21-23 * * 0-4', '0 0-2 * * 1-5'],
      isExact: true,
    });
    expect(shifted('0,45 9 * * *', 'Asia/Kolkata')).toEqual({
      lines: ['30 3 * * *', '15 4 * * *'],
      isExact: true,
    });
  });

  it('reports days of the month that would have other numbers', () => {
    expect(shifted('0 2 1,15 * *', 'Asia/Tokyo')).toEqual({lines: ['0 17 1,15 * *'], isExact: false});
    expect(shifted('0 12 1,15 * *', 'Asia/Tokyo')).toEqual({lines: ['0 3 1,15 * *'], isExact: true});
  });

  it('have the same runs in the zone of the plan and in UTC', () => {
    for (const expression of ['*/20 6-11 * * 1-5', '5,50 0,12,23 * * 0,3', '0 1-23/2 * * *', '30 0 * * 6']) {
      for (const zone of ['Asia/Kolkata', 'Asia/Tokyo', 'Pacific/Honolulu', 'Asia/Kathmandu']) {
        const until = new Date(now.getTime() + 15 * 86_400_000);
        const wanted = runsBetween(cron(expression), zone, now, until);
        const inUtc = shiftToZone(cron(expression), zone, 'UTC', now).times.flatMap((time) =>
          runsBetween(time, 'UTC', now, until),
        );
        expect(inUtc.map(Number).sort(), `${expression} in ${zone}`).toEqual(wanted.map(Number).sort());
      }
    }
  });
});
