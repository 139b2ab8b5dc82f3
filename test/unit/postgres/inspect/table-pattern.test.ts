import {expect, it} from 'vitest';
import {matchesPattern, parseNamePattern} from '../../../../src/lib/postgres/inspect/table-pattern.js';

it.each([
  ['"my-table"', 'my-table', true],
  ['"a/b"', 'a/b', true],
  ['"(["', '([', true],
  ['"-', '-', true],
  ['my-table', 'my-table', true],
  ['([', '([', true],
  ['"a.b"', 'axb', false],
  ['Orders*', 'orders_old', true],
  ['Ärger', 'Ärger', true],
  ['Ärger', 'ärger', false],
])('the pattern %s and the table %s: %s', (pattern, name, expected) => {
  expect(matchesPattern(parseNamePattern(pattern), {schema: 'public', name, isVisible: true})).toBe(expected);
});
