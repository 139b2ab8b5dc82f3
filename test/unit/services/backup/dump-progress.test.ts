/** The time left of dumps whose course was recorded: a shop of six tables that compress differently, on a busy machine. */
import {readFileSync} from 'node:fs';
import {expect, it} from 'vitest';
import {createRate} from '../../../../src/lib/progress/rate.js';
import {createDumpShare} from '../../../../src/lib/services/backup/dump-progress.js';

/** Milliseconds since the start, with the bytes in the file or the table that pg_dump begins. */
type Series = readonly (readonly [number, number | string])[];
const recorded = JSON.parse(
  readFileSync(new URL('../../../fixtures/dumps/shop-series.json', import.meta.url), 'utf8'),
) as {sizes: Record<string, number>; custom: Series; sql: Series};
const tables = Object.entries(recorded.sizes).map(([name, sizeBytes]) => ({
  schema: 'public',
  name,
  sizeBytes,
}));

/** By how much of the true time left each estimate in the second third of the work was wrong, and the shares that were shown. */
function replay(series: Series, expectedBytes: number, isMeasured: boolean) {
  const [endMs] = series.at(-1) ?? [0];
  const share = createDumpShare({tables, expectedBytes, isMeasured, parallelJobs: 1});
  const rate = createRate(0);
  const errors: number[] = [];
  const shares: number[] = [];
  let written = 0;
  for (const [atMs, event] of series) {
    if (typeof event === 'string') {
      share.begin(`public.${event}`, written);
      continue;
    }
    written = event;
    const done = share.at(written);
    shares.push(done);
    rate.sample(written, done > 0 ? written / done : undefined, atMs);
    const left = rate.timeLeftMs(atMs);
    if (done >= 1 / 3 && done <= 2 / 3 && left !== undefined)
      errors.push(Math.abs(left - (endMs - atMs)) / (endMs - atMs));
  }
  return {errors, shares};
}

const mean = (numbers: readonly number[]): number =>
  numbers.reduce((sum, one) => sum + one, 0) / numbers.length;
const sizeOf = (series: Series): number => Number(series.at(-1)?.[1]);

it.each([
  ['an archive of which there is an earlier backup', recorded.custom, sizeOf(recorded.custom), true],
  ['plain SQL, the first time', recorded.sql, 3 * sizeOf(recorded.sql), false],
])('%s: right within a quarter after a third of the work', (_, series, expected, isMeasured) => {
  const {errors} = replay(series, expected, isMeasured);
  expect(errors.length).toBeGreaterThan(10);
  expect(mean(errors)).toBeLessThan(0.25);
});

it.each([
  ['too small', 0.3],
  ['right', 1],
  ['too large', 5],
])('never goes back and does not stand at its end, whether the expected size is %s', (_, factor) => {
  const {shares} = replay(recorded.custom, factor * sizeOf(recorded.custom), false);
  expect(shares.toSorted((a, b) => a - b)).toEqual(shares);
  expect(shares.filter((share) => share > 0.98).length).toBeLessThan(0.05 * shares.length);
});

it('counts tables that run beside each other as done when as many others have begun', () => {
  const share = createDumpShare({
    tables: ['a', 'b', 'c', 'd'].map((name) => ({schema: 'public', name, sizeBytes: 100})),
    expectedBytes: 400,
    isMeasured: false,
    parallelJobs: 2,
  });
  share.begin('public.a', 0);
  share.begin('public.b', 0);
  expect(share.at(0)).toBe(0);
  expect(share.at(100)).toBe(0.25);
  share.begin('public.c', 150);
  expect(share.at(10)).toBe(0.25);
  expect(share.at(1000)).toBe(0.75);
});

it('goes by the expected size where the sizes of tables are not known', () => {
  const share = createDumpShare({tables: [], expectedBytes: 400, isMeasured: false, parallelJobs: 1});
  expect([0, 100, 500].map(share.at)).toEqual([0, 0.25, 1]);
});
