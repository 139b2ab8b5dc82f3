/** Records the outcome and duration of a run's steps, for its report. */
import {type Clock, elapsedMs} from '../base/clock.js';
import type {Progress} from './progress.js';

export interface StepOutcome {
  readonly name: string;
  readonly status: 'done' | 'skipped' | 'failed';
  /** ms */
  readonly duration: number;
}

/** The same progress, with every step added to `outcomes` when it ends. */
export function timedProgress(progress: Progress, clock: Clock, outcomes: StepOutcome[]): Progress {
  return {
    ...progress,
    step: async (title, work) => {
      const startedMs = clock.now().getTime();
      const state = {isDone: false, isSkipped: false};
      try {
        const result = await progress.step(title, (step) =>
          work({
            ...step,
            skip: (why) => {
              state.isSkipped = true;
              step.skip(why);
            },
          }),
        );
        state.isDone = true;
        return result;
      } finally {
        const status = state.isSkipped ? 'skipped' : state.isDone ? 'done' : 'failed';
        outcomes.push({name: title, status, duration: elapsedMs(clock, startedMs)});
      }
    },
  };
}
