/** The port by which services report progress, and its silent implementation. */

export interface Step {
  /** The result of the step in a few words, shown when it has ended: "3 tables, 92.6 MB". The last one counts. */
  note(text: string): void;
  /** The object in work, as the name of a table; shown only while the step runs. */
  working(on: string): void;
  /** A line that a program in the step printed. */
  output(line: string): void;
  /** Reports how far the step is. `total` may be an estimate, which later calls correct. */
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

export const silentStep: Step = {
  note: () => {},
  working: () => {},
  output: () => {},
  advance: () => {},
  skip: () => {},
};

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
