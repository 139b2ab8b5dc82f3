import {expect, it} from 'vitest';
import {isTimeZone} from '../../../src/lib/base/time-zone.js';

it.each(['UTC', 'Europe/Berlin', 'america/los_angeles', 'Etc/GMT+2'])('%s is a time zone', (zone) => {
  expect(isTimeZone(zone)).toBe(true);
});

it.each(['+02:00', '-0800', 'Mars/Olympus', ''])(
  '"%s" is not a time zone in any version of Node.js',
  (zone) => {
    expect(isTimeZone(zone)).toBe(false);
  },
);
