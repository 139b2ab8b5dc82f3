/** The port by which services report progress, and its silent implementation. */

export interface Step {
  /** A short remark shown next to the step. */
  note(text: string): void;
  /** Reports how far the step is; `total` may be an estimate, which the note should say. */
  advance(done: number, total?: number, unit?: 'bytes' | 'rows' | 'tables'): void;
  /** Skips the step, because it has nothing to do. */
  skip(why: string): void;
}

export interface Progress {
  /** Announces the titles of the next steps, in order. */
  plan(titles: readonly string[]): void;
  /** Runs `work` as the step `title` and passes its errors on. */
  step<T>(title: string, work: (step: Step) => Promise<T>): Promise<T>;
  /** Ends the display; nothing is shown after it. */
  close(): Promise<void>;
}

/** A display that stops while a question is asked. */
export interface PausableProgress extends Progress {
  /** @param ask receives a function that prints its question on the terminal */
  pause<T>(ask: (write: (text: string) => void) => Promise<T>): Promise<T>;
}

const silentStep: Step = {note: () => {}, advance: () => {}, skip: () => {}};

export const silentProgress: Progress = {
  plan: () => {},
  step: (_title, work) => work(silentStep),
  close: () => Promise.resolve(),
};

/** `pause` for a display without redraws. */
export async function pauseLines<T>(
  stream: NodeJS.WritableStream,
  ask: (write: (text: string) => void) => Promise<T>,
): Promise<T> {
  return ask((text) => void stream.write(text)).finally(() => stream.write('\n'));
}
