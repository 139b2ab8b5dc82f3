import {expect, it} from 'vitest';
import {
  type Advance,
  describeAdvance,
  describeDone,
  describeElapsed,
} from '../../../src/lib/progress/describe-step.js';

const advance: Advance = {
  done: 1_300_000_000,
  total: 2_100_000_000,
  unit: 'bytes',
  perSecond: 24_000_000,
  elapsedMs: 63_400,
  timeLeftMs: 41_000,
};

it.each<[string, Partial<Advance>, string]>([
  ['a share, a speed and both times', {}, '61 %  1.3 GB  24.0 MB/s  1 min 3 s, about 40 s left'],
  ['minutes left by the half minute', {timeLeftMs: 250_000}, '61 %  1.3 GB  24.0 MB/s  1 min 3 s, about 4 min left'],
  ['no time left yet', {timeLeftMs: undefined}, '61 %  1.3 GB  24.0 MB/s  1 min 3 s'],
  ['more than was expected, not 99 %', {total: 1_200_000_000, timeLeftMs: undefined}, '1.3 GB  24.0 MB/s  1 min 3 s'],
  ['tables, which have no speed', {unit: 'tables', done: 3, total: 15, elapsedMs: 4000, timeLeftMs: undefined}, '20 %  3 tables  4 s'],
])('says %s', (_, changes, expected) => {
  expect(describeAdvance({...advance, ...changes})).toBe(expected);
}); // prettier-ignore

it('says whole seconds of a step that runs, and the exact time of one that has ended', () => {
  expect([0, 999, 8200, 63_400].map(describeElapsed)).toEqual(['0 s', '0 s', '8 s', '1 min 3 s']);
  expect(describeDone('Dump', '3 tables, 891,894 rows, 92.6 MB', 8200)).toBe(
    'Dump: 3 tables, 891,894 rows, 92.6 MB in 8.2 s',
  );
});
