import {describe, expect, it} from 'vitest';
import {parseDuration, parseSince} from '../../../src/lib/base/parse-duration.js';

describe('a duration', () => {
  it.each([
    ['26h', 93_600_000],
    ['1d12h', 129_600_000],
    ['0.5h', 1_800_000],
    ['2w', 1_209_600_000],
    ['90m30s', 5_430_000],
  ])('parses %s', (text, ms) => expect(parseDuration(text, '--max-age')).toBe(ms));

  it.each(['', '26', 'h', '26 h', '-1h', '1y', '1h2'])('refuses "%s" and names the flag', (text) => {
    expect(() => parseDuration(text, '--max-age')).toThrow('--max-age is');
  });

  it.each([`${'9'.repeat(400)}w`, '99999999w'])(
    '%s is refused: no date could be reckoned with it',
    (text) => {
      expect(() => parseDuration(text, '--max-age')).toThrow('longer than a thousand years');
    },
  );
});

describe('a start time', () => {
  const now = new Date('2026-11-22T12:00:00Z');
  it.each([
    ['7d', '2026-11-15T12:00:00.000Z'],
    ['2026-11-01', '2026-11-01T00:00:00.000Z'],
    ['2026-11-01T02:30', '2026-11-01T02:30:00.000Z'],
    ['2026-11-01 02:30:15Z', '2026-11-01T02:30:15.000Z'],
    ['2026-11-01T02:30+02:00', '2026-11-01T00:30:00.000Z'],
  ])('parses %s, without a zone as UTC', (text, iso) => {
    expect(parseSince(text, '--since', now).toISOString()).toBe(iso);
  });

  it.each(['yesterday', '2026-13-01', '11/22/2026', '2026-02-29', '2026-06-31T02:00Z'])(
    '"%s" is refused',
    (text) => {
      expect(() => parseSince(text, '--since', now)).toThrow('--since is');
    },
  );
});
