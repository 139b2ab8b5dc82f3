import {describe, expect, it} from 'vitest';
import {silentProgress} from '../../../src/lib/progress/progress.js';
import {logProgress} from '../../../src/lib/progress/progress-log.js';

describe('a logged progress', () => {
  it('keeps the last fifty lines of done, skipped and failed steps', async () => {
    let seconds = 0;
    const clock = {now: () => new Date(Date.UTC(2026, 10, 22, 2, 0, (seconds += 1)))};
    const {progress, lines} = logProgress(silentProgress, clock);
    for (let n = 0; n < 40; n += 1) await progress.step('Earlier', () => Promise.resolve());
    await progress.step('Look', (step) => Promise.resolve(step.note('12 tables')));
    await progress.step('Verify', (step) => Promise.resolve(step.skip('not asked for')));
    await expect(progress.step('Dump', () => Promise.reject(new Error('no space')))).rejects.toThrow(
      'no space',
    );
    expect(lines).toHaveLength(50);
    expect(lines.slice(-6).map((line) => line.slice(25))).toEqual([
      'Look ...',
      'Look done in 2.0 s: 12 tables',
      'Verify ...',
      'Verify done in 2.0 s: skipped, not asked for',
      'Dump ...',
      'Dump failed: no space',
    ]);
  });
});
