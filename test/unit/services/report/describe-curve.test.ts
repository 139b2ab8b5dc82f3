/** The sentences about curves: growth, steadiness, jumps and single values far from the rest. */
import {describe, expect, it} from 'vitest';
import {describeCurve} from '../../../../src/lib/services/report/describe-curve.js';
import {generateHistory} from '../../../support/generated-history.js';

const megabytes = (value: number): string => `${Math.round(value / 1e6)} MB`;

/** The sentence about one value a day from 1 October on, in MB. */
function about(...values: readonly number[]): string {
  const points = values.map((value, index) => ({
    at: new Date(Date.UTC(2026, 9, 1 + index, 2)),
    value: value * 1e6,
  }));
  return describeCurve(points, megabytes);
}

/** The same for `days` days of noisy backups. */
function aboutHistory(size: (index: number) => number, days = 60, noise = 0.02): string {
  const {backups} = generateHistory({
    firstDay: '2026-09-20',
    days,
    size: (index) => size(index) * 1e6,
    noise,
  });
  return describeCurve(
    backups.map((backup) => ({at: new Date(backup.timestamp), value: backup.size})),
    megabytes,
  );
}

describe('describeCurve', () => {
  it('says the rate of steady growth, in the unit that fits the span', () => {
    expect(aboutHistory((index) => 100 * 1.02 ** (index / 7))).toBe(
      'grew steadily by about 2 % a week, from 98 MB to 120 MB',
    );
    expect(about(100, 103, 106, 109, 112, 115, 118)).toBe(
      'grew steadily by about 2.8 % a day, from 100 MB to 118 MB',
    );
    expect(aboutHistory((index) => 100 * 1.05 ** (index / 30), 365)).toBe(
      'grew steadily by about 5.1 % a month, from 98 MB to 180 MB',
    );
  });

  it('reports a curve that shrank, and one that did not change', () => {
    expect(aboutHistory((index) => 200 * 0.97 ** (index / 7))).toMatch(
      /^shrank steadily by about [23](\.\d)? % a week, from 196 MB to 157 MB$/,
    );
    expect(aboutHistory(() => 100)).toBe('stayed at about 100 MB');
    expect(about(100, 108, 95, 104, 93, 107, 99, 101)).toBe(
      'varied between 93 MB and 108 MB, without a trend',
    );
  });

  it('reports the day on which the level changed, and excludes the jump from the rate', () => {
    expect(aboutHistory((index) => (index < 13 ? 100 : 200))).toMatch(
      /^was steady apart from one jump, from 98 MB to 20\d MB; doubled on 3 October, from \d+ MB to 20\d MB$/,
    );
    expect(aboutHistory((index) => (index < 30 ? 100 : 50) * 1.02 ** (index / 7))).toMatch(
      /^grew steadily by about [12](\.\d)? % a week apart from one jump, from 98 MB to 60 MB; halved on 20 October, /,
    );
    expect(about(10, 10, 10, 10, 50, 50, 50, 50)).toBe(
      'was steady apart from one jump, from 10 MB to 50 MB; rose to 5 times as much on 5 October, from 10 MB to 50 MB',
    );
    expect(about(100, 100, 100, 100, 60, 60, 60, 60)).toContain('fell by 40 % on 5 October');
  });

  it('distinguishes single outliers from a lasting change', () => {
    expect(about(100, 100, 100, 20, 100, 100, 100, 100)).toBe(
      'stayed at about 100 MB; dropped to 20 MB for one backup, on 4 October',
    );
    expect(about(100, 100, 100, 250, 240, 100, 100, 100)).toBe(
      'stayed at about 100 MB; rose to 250 MB for 2 backups from 4 October to 5 October',
    );
    expect(about(100, 100, 100, 100, 100, 100, 30)).toBe(
      'stayed at about 100 MB; dropped to 30 MB at the end, on 7 October',
    );
  });

  it('counts the earlier changes of a curve that changes all the time', () => {
    const steps = [100, 200, 100, 200, 100, 200].flatMap((value) => Array.from({length: 6}, () => value));
    expect(about(...steps)).toMatch(
      /^was steady apart from 5 jumps, .*; changed 2 times before; doubled .*; halved .*; doubled /,
    );
  });

  it('reports only the first value, the last value and outliers of a few values', () => {
    expect(about()).toBe('');
    expect(about(163)).toBe('was 163 MB');
    expect(about(163, 165, 163)).toBe('stayed at about 163 MB');
    expect(about(100, 120, 129)).toBe('grew by 29 % from 100 MB to 129 MB');
    expect(about(163, 235, 163)).toBe('was about 163 MB at both ends, up to 235 MB on 2 October');
    expect(about(130, 50, 300, 100)).toBe(
      'shrank by 23 % from 130 MB to 100 MB, up to 300 MB on 3 October, down to 50 MB on 2 October',
    );
    expect(about(0, 0, 40)).toBe('grew from 0 MB to 40 MB');
  });
});
