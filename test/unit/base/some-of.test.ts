import {expect, it} from 'vitest';
import {someOf} from '../../../src/lib/base/some-of.js';

it('says how many items it leaves out', () => {
  expect(someOf(['a', 'b', 'c'], 3)).toEqual(['a', 'b', 'c']);
  expect(someOf(['a', 'b', 'c'], 2)).toEqual(['a', 'b', 'and 1 more']);
  expect(someOf(['a', 'b'], 2, 44)).toEqual(['a', 'b', 'and 42 more']);
});
