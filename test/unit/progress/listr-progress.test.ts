/** A step of the live list may come whenever a service has one: no plan may keep it waiting. */
import {Writable} from 'node:stream';
import {expect, it} from 'vitest';
import {systemClock} from '../../../src/lib/base/clock.js';
import {createListrProgress} from '../../../src/lib/progress/listr-progress.js';

function listOn() {
  const stream = new Writable({write: (_chunk, _encoding, done) => done()});
  const progress = createListrProgress(stream as unknown as NodeJS.WriteStream, systemClock);
  const work = (name: string) => progress.step(name, () => Promise.resolve(name));
  const fail = (name: string) => progress.step(name, () => Promise.reject(new Error(`no ${name}`)));
  return {progress, work, fail};
}

it('runs steps that come after a list has ended, planned and unplanned', async () => {
  const {progress, work, fail} = listOn();
  expect(await work('Find')).toBe('Find');
  progress.plan(['Lock', 'Delete']);
  expect(await work('Lock')).toBe('Lock');
  expect(await work('Delete')).toBe('Delete');
  await expect(fail('Report')).rejects.toThrow('no Report');
  await progress.close();
});

it('runs a step that nobody planned between two that are planned, as the wait for another run', async () => {
  const {progress, work} = listOn();
  progress.plan(['Look', 'Dump']);
  await work('Look');
  expect(await work('Wait')).toBe('Wait');
  expect(await work('Dump')).toBe('Dump');
});

it('runs a step when one planned before it was left out', async () => {
  const {progress, work} = listOn();
  progress.plan(['Lock', 'Delete', 'Check']);
  await work('Lock');
  expect(await work('Check')).toBe('Check');
});

it('runs a step after one that failed with others planned behind it', async () => {
  const {progress, work, fail} = listOn();
  progress.plan(['Dump', 'Verify']);
  await expect(fail('Dump')).rejects.toThrow('no Dump');
  expect(await work('Report')).toBe('Report');
});
