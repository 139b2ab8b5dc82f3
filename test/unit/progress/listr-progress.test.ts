/** The live list begins anew after it has ended, so that questions can be asked between steps. */
import {Writable} from 'node:stream';
import {expect, it} from 'vitest';
import {systemClock} from '../../../src/lib/clock.js';
import {createListrProgress} from '../../../src/lib/progress/listr-progress.js';

it('runs steps that come after a list has ended, planned and unplanned', async () => {
  const stream = new Writable({write: (_chunk, _encoding, done) => done()});
  const progress = createListrProgress(stream as unknown as NodeJS.WriteStream, systemClock);
  const work = (name: string) => progress.step(name, () => Promise.resolve(name));
  expect(await work('Find')).toBe('Find');
  progress.plan(['Lock', 'Delete']);
  expect(await work('Lock')).toBe('Lock');
  expect(await work('Delete')).toBe('Delete');
  await expect(progress.step('Report', () => Promise.reject(new Error('full')))).rejects.toThrow('full');
  await progress.close();
});
