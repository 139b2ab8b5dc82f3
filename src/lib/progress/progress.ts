/** How work is told to whoever watches: the port that services know, and the silent form of it. */

export interface Step {
  /** A short remark shown beside the step. */
  note(text: string): void;
  /** How far the step is; `total` may be an estimate, which the note should say. */
  advance(done: number, total?: number, unit?: 'bytes' | 'rows' | 'tables'): void;
  /** The step has nothing to do. */
  skip(why: string): void;
}

export interface Progress {
  /** Announces the titles of the steps to come, in order. */
  plan(titles: readonly string[]): void;
  /** Runs `work` as the step `title`; what it throws is passed on. */
  step<T>(title: string, work: (step: Step) => Promise<T>): Promise<T>;
  /** Ends the display; nothing may be shown after it. */
  close(): Promise<void>;
}

/** A display that stands still while somebody is asked. */
export interface PausableProgress extends Progress {
  /** @param ask is handed what shows its question on the terminal */
  pause<T>(ask: (write: (text: string) => void) => Promise<T>): Promise<T>;
}

const silentStep: Step = {note: () => {}, advance: () => {}, skip: () => {}};

export const silentProgress: Progress = {
  plan: () => {},
  step: (_title, work) => work(silentStep),
  close: () => Promise.resolve(),
};

/** The pause of a display that draws nothing anew. */
export async function pauseLines<T>(
  stream: NodeJS.WritableStream,
  ask: (write: (text: string) => void) => Promise<T>,
): Promise<T> {
  return ask((text) => void stream.write(text)).finally(() => stream.write('\n'));
}
