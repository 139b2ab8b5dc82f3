/** The tests of the documentation ignore values that change from run to run, and nothing else. */
import {expect, it} from 'vitest';
import {blocksOf, leaveOutAs, maskChanging} from '../../support/doc-page.js';

it('finds blocks with their language, their file and their position', () => {
  const page = 'a\n```sh\none\ntwo\n```\n\n```sql x.sql\nSELECT 1\n```\n```text\n```\n';
  const blocks = blocksOf(page);
  expect(blocks.map(({lang, file, text}) => [lang, file, text])).toEqual([
    ['sh', undefined, 'one\ntwo\n'],
    ['sql', 'x.sql', 'SELECT 1\n'],
    ['text', undefined, ''],
  ]);
  expect(blocks.map(({start, end}) => page.slice(start, end))).toEqual(blocks.map(({text}) => text));
});

it.each([
  ['shop-2026-11-25T02-00-04.dump', 'shop-2027-01-02T03-04-05-2.dump'],
  ['shop_before_20261125_162327', 'shop_before_20270102_030405'],
  ['shop_before_20261125_162327', 'shop_before_20270102_030405_2'],
  ['in 2.2 s (restore 647 ms)', 'in 1 min 4 s (restore 12.0 s)'],
  ['size   203 kB', 'size  1.2 MB'],
  ['--plan 521220e1b9e700b4', '--plan 0123456789abcdef'],
  ['2026-11-25T16:33:24.472Z', '2026-11-25T16:33:24Z'],
])('takes %j and %j for equal', (one, other) => {
  expect(maskChanging(one)).toBe(maskChanging(other));
});

it.each([
  ['15 tables, 2,392 rows', '15 tables, 2,393 rows'],
  ['ok', 'FAILED'],
  ['public.orders  139', 'public.orders  138'],
  ['total 12.50', 'total 12.51'],
])('takes %j and %j for different', (one, other) => {
  expect(maskChanging(one)).not.toBe(maskChanging(other));
});

it('leaves out what the page leaves out, and nothing where they differ', () => {
  const printed = 'a\nb\nc\nd 3 s\n';
  expect(leaveOutAs('a\n...\nd 1 s\n', printed)).toBe('a\n...\nd 3 s\n');
  expect(leaveOutAs('a\n...\n', printed)).toBe('a\n...\n');
  expect(leaveOutAs('a\n...\nx\n', printed)).toBe('a\nb\nc\nd 3 s\n');
  expect(leaveOutAs('a\nb\nc\n', printed)).toBe(printed);
});
