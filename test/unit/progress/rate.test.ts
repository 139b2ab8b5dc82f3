import {describe, expect, it} from 'vitest';
import {createRate} from '../../../src/lib/progress/rate.js';

describe('createRate', () => {
  it('has no speed before two samples', () => {
    const rate = createRate();
    expect(rate.perSecond()).toBeUndefined();
    rate.sample(100, 0);
    expect(rate.perSecond()).toBeUndefined();
    rate.sample(200, 0);
    expect(rate.perSecond()).toBeUndefined();
  });

  it('measures over the last 30 seconds only', () => {
    const rate = createRate();
    for (let second = 0; second <= 60; second += 1)
      rate.sample(second <= 30 ? second * 1000 : 30_000 + (second - 30) * 10, second * 1000);
    expect(rate.perSecond()).toBeCloseTo(10, 5);
  });

  it('does not estimate the time left in the first 10 seconds', () => {
    const rate = createRate();
    rate.sample(0, 0);
    rate.sample(900, 9000);
    expect(rate.timeLeftMs(2000)).toBeUndefined();
    rate.sample(1000, 10_000);
    expect(rate.timeLeftMs(2000)).toBeCloseTo(10_000, 5);
  });

  it('is never negative when the estimated total was too small, and undefined without progress', () => {
    const rate = createRate();
    rate.sample(0, 0);
    rate.sample(3000, 20_000);
    expect(rate.timeLeftMs(2000)).toBe(0);
    const still = createRate();
    still.sample(5, 0);
    still.sample(5, 20_000);
    expect(still.timeLeftMs(10)).toBeUndefined();
  });

  it('returns the same speed however often it is sampled', () => {
    const rate = createRate();
    for (let ms = 0; ms <= 40_000; ms += 1) rate.sample(ms * 7, ms);
    expect(rate.perSecond()).toBeCloseTo(7000, 5);
  });
});
