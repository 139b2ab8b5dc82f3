/** Progress without a terminal (cron, pipes, CI): dated lines, each step once, no escape codes. */
import {type Clock, elapsedMs} from '../base/clock.js';
import {describeAdvance, describeDone} from './describe-step.js';
import type {Progress} from './progress.js';
import {createRate} from './rate.js';

/** Steps shorter than this print only their end. */
const longMs = 5_000;

/** @param write receives one line without its newline */
export function createLineProgress(write: (line: string) => void, clock: Clock): Progress {
  const say = (text: string): void => write(`${clock.now().toISOString().slice(0, 19)}Z ${text}`);
  return {
    plan: () => {},
    async step(title, work) {
      const startedMs = clock.now().getTime();
      const state = {isSkipped: false, note: ''};
      const rate = createRate(startedMs);
      let loggedQuarters = 0;
      try {
        const result = await work({
          note: (text) => {
            state.note = text;
          },
          working: () => {},
          output: (line) => say(`${title}: ${line}`),
          advance: (done, total, unit = 'bytes') => {
            const elapsed = elapsedMs(clock, startedMs);
            rate.sample(done, total, startedMs + elapsed);
            if (total === undefined || total <= 0) return;
            const quarters = Math.min(3, Math.floor((done / total) * 4));
            if (quarters > loggedQuarters && elapsed >= longMs) {
              const perSecond = rate.perSecond();
              const timeLeftMs = rate.timeLeftMs(startedMs + elapsed);
              say(
                `${title}: ${describeAdvance({done, total, unit, perSecond, elapsedMs: elapsed, timeLeftMs})}`,
              );
            }
            loggedQuarters = Math.max(loggedQuarters, quarters);
          },
          skip: (why) => {
            state.isSkipped = true;
            say(`${title}: skipped (${why})`);
          },
        });
        if (!state.isSkipped) say(describeDone(title, state.note || 'done', elapsedMs(clock, startedMs)));
        return result;
      } catch (error) {
        say(`${title}: failed`);
        throw error;
      }
    },
    close: () => Promise.resolve(),
  };
}
