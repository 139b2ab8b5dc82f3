import {expect, it} from 'vitest';
import {createWarnings} from '../../../src/lib/cli/warnings.js';

it('says a warning once a run, however often it is added', async () => {
  const printed: (readonly string[])[] = [];
  const warnings = createWarnings((some) => Promise.resolve(void printed.push(some)));
  warnings.add('a', 'b', 'a');
  await warnings.flush();
  warnings.add('b', 'c');
  await warnings.flush();
  await warnings.flush();
  expect(printed).toEqual([['a', 'b'], ['c']]);
  expect(warnings.all).toEqual(['a', 'b', 'c']);
});
