/** Progress without a terminal (cron, pipes, CI): dated lines, each step once, no escape codes. */
import {type Clock, elapsedMs} from '../base/clock.js';
import {formatDuration} from '../base/format.js';
import type {Progress} from './progress.js';

/** @param write receives one line without its newline */
export function createLineProgress(write: (line: string) => void, clock: Clock): Progress {
  const say = (text: string): void => write(`${clock.now().toISOString().slice(0, 19)}Z ${text}`);
  return {
    plan: () => {},
    async step(title, work) {
      const startedMs = clock.now().getTime();
      const state = {isSkipped: false, note: ''};
      let loggedQuarters = 0;
      try {
        const result = await work({
          note: (text) => {
            state.note = text;
          },
          advance: (done, total) => {
            if (total === undefined || total <= 0) return;
            const quarters = Math.min(3, Math.floor((done / total) * 4));
            // Short steps do not log quarters.
            if (quarters > loggedQuarters && elapsedMs(clock, startedMs) >= 5_000)
              say(`${title}: ${quarters * 25} %`);
            loggedQuarters = Math.max(loggedQuarters, quarters);
          },
          skip: (why) => {
            state.isSkipped = true;
            say(`${title}: skipped (${why})`);
          },
        });
        if (!state.isSkipped) {
          const took = formatDuration(elapsedMs(clock, startedMs));
          say(`${title}: done in ${took}${state.note === '' ? '' : ` (${state.note})`}`);
        }
        return result;
      } catch (error) {
        say(`${title}: failed`);
        throw error;
      }
    },
    close: () => Promise.resolve(),
  };
}
