import {describe, expect, it} from 'vitest';
import {createRate} from '../../../src/lib/progress/rate.js';

describe('the speed', () => {
  it('is unknown before two samples', () => {
    const rate = createRate(0);
    expect(rate.perSecond()).toBeUndefined();
    rate.sample(100, undefined, 0);
    expect(rate.perSecond()).toBeUndefined();
    rate.sample(200, undefined, 0);
    expect(rate.perSecond()).toBeUndefined();
  });

  it('is that of the last 30 seconds', () => {
    const rate = createRate(0);
    for (let second = 0; second <= 60; second += 1)
      rate.sample(second <= 30 ? second * 1000 : 30_000 + (second - 30) * 10, undefined, second * 1000);
    expect(rate.perSecond()).toBeCloseTo(10, 5);
  });

  it('is the same however often it is sampled', () => {
    const rate = createRate(0);
    for (let ms = 0; ms <= 40_000; ms += 1) rate.sample(ms * 7, undefined, ms);
    expect(rate.perSecond()).toBeCloseTo(7000, 5);
  });
});

describe('the time left', () => {
  it('is unknown in the first 5 seconds, in the first twentieth, and without a total', () => {
    const rate = createRate(0);
    rate.sample(1, 2000, 0);
    rate.sample(900, 2000, 4900);
    expect(rate.timeLeftMs(4900)).toBeUndefined();
    rate.sample(90, 2000, 20_000);
    expect(rate.timeLeftMs(20_000)).toBeUndefined();
    rate.sample(1000, undefined, 20_300);
    expect(rate.timeLeftMs(20_300)).toBeUndefined();
    rate.sample(1000, 2000, 20_600);
    expect(rate.timeLeftMs(20_600)).toBeCloseTo(20_600, 5);
  });

  it('is unknown after more is done than was expected', () => {
    const rate = createRate(0);
    rate.sample(1, 2000, 0);
    rate.sample(2000, 2000, 20_000);
    expect(rate.timeLeftMs(20_000)).toBeUndefined();
  });

  it('counts from the first byte: what went before, as a wait for a lock, says nothing of the rest', () => {
    const rate = createRate(0);
    rate.sample(0, 2000, 0);
    rate.sample(1, 2000, 60_000);
    rate.sample(1000, 2000, 70_000);
    expect(rate.timeLeftMs(70_000)).toBeCloseTo(10_000, 5);
  });

  it('grows while nothing moves', () => {
    const rate = createRate(0);
    rate.sample(1, 2000, 0);
    rate.sample(1000, 2000, 10_000);
    expect(rate.timeLeftMs(20_000)).toBeCloseTo(20_000, 5);
  });
});
