import {describe, expect, it} from 'vitest';
import {countOf, formatAge, formatBytes, formatCount, formatDuration} from '../../../src/lib/base/format.js';

describe('formatBytes', () => {
  it.each([
    [0, '0 B'],
    [999, '999 B'],
    [1000, '1.0 kB'],
    [1049, '1.0 kB'],
    [99_940, '99.9 kB'],
    [99_960, '100 kB'],
    [999_499, '999 kB'],
    [999_500, '1.0 MB'],
    [1_304_000_000, '1.3 GB'],
    [5e18, '5000 PB'],
    [-1500, '-1.5 kB'],
    [-150_000, '-150 kB'],
  ])('%d is %s', (bytes, text) => {
    expect(formatBytes(bytes)).toBe(text);
  });
});

describe('formatDuration', () => {
  it.each([
    [0, '0 ms'],
    [999.4, '999 ms'],
    [999.6, '1.0 s'],
    [9949, '9.9 s'],
    [9950, '10 s'],
    [59_499, '59 s'],
    [59_500, '1 min'],
    [252_000, '4 min 12 s'],
    [3_600_000, '1 h'],
    [3_660_000, '1 h 1 min'],
    [47 * 3_600_000, '47 h'],
    [49 * 3_600_000, '2 d 1 h'],
  ])('%d ms is %s', (ms, text) => {
    expect(formatDuration(ms)).toBe(text);
  });
});

describe('formatAge', () => {
  const now = new Date('2026-03-01T12:00:00Z');
  it.each([
    ['2026-03-01T11:59:55Z', 'just now'],
    ['2026-03-01T08:55:00Z', '3 h 5 min ago'],
    ['2026-02-01T12:00:00Z', '28 d ago'],
    ['2026-03-01T12:00:01Z', 'in the future'],
  ])('%s is %s', (from, text) => {
    expect(formatAge(new Date(from), now)).toBe(text);
  });
});

describe('counts', () => {
  it('are grouped by thousands in every locale', () => {
    expect([0, 999, 1000, 1_234_567, -123_456].map(formatCount)).toEqual([
      '0', '999', '1,000', '1,234,567', '-123,456',
    ]); // prettier-ignore
  });

  it('agree with their noun', () => {
    expect(countOf(1, 'table')).toBe('1 table');
    expect(countOf(0, 'table')).toBe('0 tables');
    expect(countOf(1200, 'entry', 'entries')).toBe('1,200 entries');
  });
});
