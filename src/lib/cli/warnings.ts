/** The warnings of a run: printed as early as the display allows, and always before a question that they bear on. */
import type {Progress} from '../progress/progress.js';

export interface Warnings {
  /** All of the run, printed or not. */
  readonly all: readonly string[];
  /** One that was added before is not said again. */
  readonly add: (...messages: readonly string[]) => void;
  /** Prints those that were not printed yet. */
  readonly flush: () => Promise<void>;
}

export function createWarnings(print: (warnings: readonly string[]) => Promise<void>): Warnings {
  const all: string[] = [];
  const known = new Set<string>();
  let printed = 0;
  return {
    all,
    add: (...messages) => {
      for (const message of messages) {
        if (known.has(message)) continue;
        known.add(message);
        all.push(message);
      }
    },
    flush: async () => {
      const pending = all.slice(printed);
      printed = all.length;
      if (pending.length > 0) await print(pending);
    },
  };
}

/** The same progress, which prints warnings between its steps: while one is running, nothing else may write to the terminal. */
export function flushBetweenSteps(progress: Progress, flush: () => Promise<void>): Progress {
  let running = 0;
  return {
    ...progress,
    step: async (title, work) => {
      if (running === 0) await flush();
      running += 1;
      try {
        return await progress.step(title, work);
      } finally {
        running -= 1;
        if (running === 0) await flush();
      }
    },
  };
}
