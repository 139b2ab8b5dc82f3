/** Ticks of time axes fit the span: hours, days, weeks, months or years. */
import {expect, it} from 'vitest';
import {timeTicks} from '../../../../src/lib/services/report/axis-ticks.js';

const labels = (from: string, until: string): string[] =>
  timeTicks(new Date(from), new Date(until), 6).map(({label}) => label);

it.each([
  ['one hour', '2026-11-22T02:05:00Z', '2026-11-22T03:05:00Z', ['02:15', '02:30', '02:45', '03:00']],
  ['one day', '2026-11-21T12:00:00Z', '2026-11-22T12:00:00Z', ['12:00', '18:00', '22 Nov', '06:00', '12:00']],
  [
    'five days',
    '2026-11-17T12:00:00Z',
    '2026-11-22T12:00:00Z',
    ['18 Nov', '19 Nov', '20 Nov', '21 Nov', '22 Nov'],
  ],
  [
    'one month, by Mondays',
    '2026-10-24T02:00:00Z',
    '2026-11-22T12:00:00Z',
    ['26 Oct', '2 Nov', '9 Nov', '16 Nov'],
  ],
  ['a quarter', '2026-08-24T00:00:00Z', '2026-11-22T12:00:00Z', ['Sep', 'Oct', 'Nov']],
  ['two years', '2024-11-22T00:00:00Z', '2026-11-22T12:00:00Z', ['2025', 'Jul', '2026', 'Jul']],
  ['ten years', '2016-11-22T00:00:00Z', '2026-11-22T12:00:00Z', ['2018', '2020', '2022', '2024', '2026']],
])('%s', (_span, from, until, expected) => {
  expect(labels(from, until)).toEqual(expected);
});

it('a span without length has at most one tick', () => {
  expect(labels('2026-11-22T02:05:00Z', '2026-11-22T02:05:00Z')).toEqual(['02:05']);
});
