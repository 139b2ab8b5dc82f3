/** Rows of values as text. */
import {expect, it} from 'vitest';
import {isUtf8Locale, sparkline} from '../../../../src/lib/cli/show/sparkline.js';

it('rises from zero to the largest value', () => {
  expect(sparkline([0, 4, 8], true)).toBe('▁▅█');
  expect(sparkline([0, 4, 8], false)).toBe('_=#');
  expect(sparkline([0, 0], false)).toBe('__');
  expect(sparkline([], true)).toBe('');
});

it('shows the newest values when there is no room for all', () => {
  expect(sparkline([8, 8, 0, 8], false, 2)).toBe('_#');
});

it('uses block characters only where the locale says UTF-8', () => {
  expect(isUtf8Locale({LANG: 'en_US.UTF-8'})).toBe(true);
  expect(isUtf8Locale({LANG: 'en_US.UTF-8', LC_ALL: 'C'})).toBe(false);
  expect(isUtf8Locale({LC_ALL: '', LC_CTYPE: 'C.utf8'})).toBe(true);
  expect(isUtf8Locale({})).toBe(false);
});
