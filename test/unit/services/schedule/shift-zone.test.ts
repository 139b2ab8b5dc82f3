/** Plan times in the zone of a scheduler that supports only one. */
import {expect, it} from 'vitest';
import {shiftToZone} from '../../../../src/lib/services/schedule/shift-zone.js';

const now = new Date('2026-11-22T12:00:00Z');

it('keeps the time in the same zone', () => {
  const every = {unit: 'day', hour: 2, minute: 0} as const;
  expect(shiftToZone(every, 'Europe/Berlin', 'Europe/Berlin', now)).toEqual({every, isExact: true});
});

it('shifts the hour, and reports if it is right for only part of the year', () => {
  const shifted = shiftToZone({unit: 'day', hour: 20, minute: 30}, 'America/Los_Angeles', 'UTC', now);
  expect(shifted).toEqual({every: {unit: 'day', hour: 4, minute: 30}, isExact: false});
  expect(shiftToZone({unit: 'day', hour: 2, minute: 0}, 'Asia/Kolkata', 'UTC', now)).toEqual({
    every: {unit: 'day', hour: 20, minute: 30},
    isExact: true,
  });
});

it('shifts the weekday and the day of the month too', () => {
  expect(shiftToZone({unit: 'week', weekday: 0, hour: 2, minute: 0}, 'Asia/Tokyo', 'UTC', now).every).toEqual(
    {
      unit: 'week',
      weekday: 6,
      hour: 17,
      minute: 0,
    },
  );
  expect(shiftToZone({unit: 'month', day: 10, hour: 2, minute: 0}, 'Asia/Tokyo', 'UTC', now)).toEqual({
    every: {unit: 'month', day: 9, hour: 17, minute: 0},
    isExact: true,
  });
});

it('keeps the 1st if the day before has no fixed number, and reports that', () => {
  expect(shiftToZone({unit: 'month', day: 1, hour: 2, minute: 0}, 'Asia/Tokyo', 'UTC', now)).toEqual({
    every: {unit: 'month', day: 1, hour: 17, minute: 0},
    isExact: false,
  });
});

it('shifts only the minute of hourly jobs, also across clock changes', () => {
  expect(shiftToZone({unit: 'hour', minute: 15}, 'America/Los_Angeles', 'UTC', now)).toEqual({
    every: {unit: 'hour', minute: 15},
    isExact: true,
  });
  expect(shiftToZone({unit: 'hour', minute: 15}, 'Asia/Kolkata', 'UTC', now).every).toEqual({
    unit: 'hour',
    minute: 45,
  });
});
