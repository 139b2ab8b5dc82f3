/** The live list runs every step at once, whether or not it was planned. */
import {Writable} from 'node:stream';
import {expect, it} from 'vitest';
import {systemClock} from '../../../src/lib/base/clock.js';
import {createListrProgress, liveStep} from '../../../src/lib/progress/listr-progress.js';

function listOn() {
  const stream = new Writable({write: (_chunk, _encoding, done) => done()});
  const progress = createListrProgress(stream as unknown as NodeJS.WriteStream, systemClock);
  const work = (name: string) => progress.step(name, () => Promise.resolve(name));
  const fail = (name: string) => progress.step(name, () => Promise.reject(new Error(`no ${name}`)));
  return {progress, work, fail};
}

it('runs planned and unplanned steps after a list has ended', async () => {
  const {progress, work, fail} = listOn();
  expect(await work('Find')).toBe('Find');
  progress.plan(['Lock', 'Delete']);
  expect(await work('Lock')).toBe('Lock');
  expect(await work('Delete')).toBe('Delete');
  await expect(fail('Report')).rejects.toThrow('no Report');
  await progress.close();
});

it('runs an unplanned step between two planned ones, such as the wait for another run', async () => {
  const {progress, work} = listOn();
  progress.plan(['Look', 'Dump']);
  await work('Look');
  expect(await work('Wait')).toBe('Wait');
  expect(await work('Dump')).toBe('Dump');
});

it('runs a step although a step planned before it was left out', async () => {
  const {progress, work} = listOn();
  progress.plan(['Lock', 'Delete', 'Check']);
  await work('Lock');
  expect(await work('Check')).toBe('Check');
});

it('runs a step after a failed one with other steps planned', async () => {
  const {progress, work, fail} = listOn();
  progress.plan(['Dump', 'Verify']);
  await expect(fail('Dump')).rejects.toThrow('no Dump');
  expect(await work('Report')).toBe('Report');
});

it('shows the time that passes where no bytes do, the table that is worked on, and in the end what was done', () => {
  let nowMs = 0;
  const shown: string[] = [];
  const {step, draw, note} = liveStep((text) => shown.push(text), {now: () => new Date(nowMs)}, 0);
  draw();
  nowMs = 2500;
  draw();
  step.working('public.orders');
  step.advance(50, 200);
  nowMs = 6000;
  step.advance(100, 200);
  draw();
  nowMs = 9000;
  draw();
  expect(shown).toEqual([
    '2 s',
    '50 %  100 B  14 B/s  6 s  public.orders',
    '50 %  100 B  14 B/s  9 s, about 5 s left  public.orders',
  ]);
  step.note('15 tables');
  expect(note()).toBe('15 tables');
});
