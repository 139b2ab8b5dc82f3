import {beforeEach, describe, expect, it} from 'vitest';
import {createLineProgress} from '../../../src/lib/progress/line-progress.js';

let nowMs: number;
let lines: string[];
const clock = {now: () => new Date(nowMs)};
beforeEach(() => {
  nowMs = Date.parse('2026-03-01T02:00:00.900Z');
  lines = [];
});
const progress = () => createLineProgress((line) => lines.push(line), clock);

describe('createLineProgress', () => {
  it('prints each step once, with a UTC time, its duration and the last note', async () => {
    const result = await progress().step('Dump', async (step) => {
      step.note('first');
      step.note('12 tables');
      nowMs += 2500;
      return Promise.resolve(42);
    });
    expect(result).toBe(42);
    expect(lines).toEqual(['2026-03-01T02:00:03Z Dump: 12 tables in 2.5 s']);
  });

  it('prints the quarters of a long step, each once', async () => {
    await progress().step('Dump', (step) => {
      step.working('public.orders');
      for (const done of [10, 30, 35, 60, 90, 100]) {
        nowMs += 6000;
        step.advance(done, 100);
      }
      return Promise.resolve();
    });
    expect(lines.map((line) => line.slice(21))).toEqual([
      'Dump: 30 %  30 B  3 B/s  12 s, about 15 s left',
      'Dump: 60 %  60 B  3 B/s  24 s, about 10 s left',
      'Dump: 90 %  90 B  3 B/s  30 s, about 5 s left',
      'Dump: done in 36 s',
    ]);
  });

  it('prints no quarters for a short step or without a total', async () => {
    await progress().step('Quick', (step) => {
      step.advance(50, 100);
      nowMs += 60_000;
      step.advance(50);
      step.advance(50, 0);
      return Promise.resolve();
    });
    expect(lines).toHaveLength(1);
  });

  it('prints a skipped step with the reason, and not as done', async () => {
    await progress().step('Verify', (step) => {
      step.skip('--no-verify');
      return Promise.resolve();
    });
    expect(lines).toEqual(['2026-03-01T02:00:00Z Verify: skipped (--no-verify)']);
  });

  it('prints a failed step and passes its error on', async () => {
    const error = new Error('full');
    await expect(progress().step('Dump', () => Promise.reject(error))).rejects.toBe(error);
    expect(lines).toEqual(['2026-03-01T02:00:00Z Dump: failed']);
  });
});
