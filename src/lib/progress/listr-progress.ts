/** Progress on a terminal: the only file that uses listr2. */
import type {DefaultRenderer, ListrTaskWrapper, SimpleRenderer} from 'listr2';
import {type Clock, elapsedMs} from '../base/clock.js';
import {formatDuration} from '../base/format.js';
import {describeAdvance, describeDone, describeElapsed} from './describe-step.js';
import {type PausableProgress, pauseLines, type Step} from './progress.js';
import {createRate} from './rate.js';

type Task = ListrTaskWrapper<unknown, typeof DefaultRenderer, typeof SimpleRenderer>;

/**
 * A live list on `stream` for each step: the step, and below it the steps planned after it. During a step only the list may
 * write to the terminal, unless it is paused. Questions can be asked between steps.
 */
export function createListrProgress(stream: NodeJS.WriteStream, clock: Clock): PausableProgress {
  // listr2 runs the tasks it was created with, in their order; here each step becomes known only when it begins.
  let planned: readonly string[] = [];
  /** Writes below the list of the running step. */
  let writeBelow: ((text: string) => void) | undefined;
  let isPaused = false;
  return {
    plan(titles) {
      planned = titles;
    },
    async step<T>(title: string, work: (step: Step) => Promise<T>): Promise<T> {
      planned = planned.slice(planned.indexOf(title) + 1);
      const {Listr, ListrDefaultRendererLogLevels, ListrLogger, ProcessOutput} = await import('listr2');
      const plain = (text = ''): string => text;
      const output = new ProcessOutput(stream, stream);
      const {stdout} = output;
      const writeNow = (text: string): boolean => stdout.write(text);
      // All output of the list passes here: a redraw while the user types would erase the question.
      Object.defineProperty(output, 'stdout', {
        value: {...stdout, write: (text: string) => isPaused || writeNow(text)},
      });
      const results: T[] = [];
      const run = async (_context: unknown, task: Task): Promise<void> => {
        const startedMs = clock.now().getTime();
        const live = liveStep((text) => (task.output = text), clock, startedMs);
        const state = {isSkipped: false};
        const skip = (why: string): void => {
          state.isSkipped = true;
          task.skip(`${title} (${why})`);
        };
        const redraw = setInterval(live.draw, redrawMs);
        try {
          results.push(await work({...live.step, skip}));
        } finally {
          clearInterval(redraw);
        }
        if (state.isSkipped) return;
        const tookMs = elapsedMs(clock, startedMs);
        const what = live.note();
        task.title = what === '' ? `${title} (${formatDuration(tookMs)})` : describeDone(title, what, tookMs);
      };
      const list = new Listr<unknown>(
        [
          {title, task: run},
          // They disappear at the end of the step, and appear again below the next one.
          ...planned.map((later) => ({title: later, task: () => {}, enabled: () => results.length === 0})),
        ],
        {
          concurrent: false,
          exitOnError: true,
          registerSignalListeners: false,
          renderer: 'default',
          rendererOptions: {
            logger: new ListrLogger({processOutput: output}),
            showErrorMessage: false,
            collapseErrors: false,
            collapseSubtasks: false,
            // The default yellow is unreadable on white.
            color: {
              [ListrDefaultRendererLogLevels.PENDING]: plain,
              [ListrDefaultRendererLogLevels.SKIPPED_WITH_COLLAPSE]: plain,
              [ListrDefaultRendererLogLevels.SKIPPED_WITHOUT_COLLAPSE]: plain,
            },
          },
        },
      );
      writeBelow = writeNow;
      await list.run().finally(() => (writeBelow = undefined));
      return results[0] as T;
    },
    async pause(ask) {
      const write = writeBelow;
      if (!write) return pauseLines(stream, ask);
      let shown = '';
      isPaused = true;
      write(showCursor);
      try {
        return await ask((text) => {
          shown += text;
          write(text);
        });
      } finally {
        // The list continues where it was: the next redraw counts its lines from here.
        const rows = Math.floor(Math.max(0, shown.length - 1) / (stream.columns || 80));
        write(`\r${rows > 0 ? `\u001b[${rows}A` : ''}${clearBelow}${hideCursor}`);
        isPaused = false;
      }
    },
    close: () => Promise.resolve(),
  };
}

const [showCursor, hideCursor, clearBelow] = ['\u001b[?25h', '\u001b[?25l', '\u001b[J'];
const redrawMs = 500;
/** Shorter steps show no time. */
const shownFromMs = 2_000;

interface LiveStep {
  readonly step: Omit<Step, 'skip'>;
  /** The last note of the step. */
  readonly note: () => string;
  /** Shows how far it is now: time passes where no bytes do. */
  readonly draw: () => void;
}

/** The line below a running step. */
export function liveStep(show: (text: string) => void, clock: Clock, startedMs: number): LiveStep {
  const rate = createRate(startedMs);
  let note = '';
  let on = '';
  let shown = '';
  let last: {done: number; total: number | undefined; unit: 'bytes' | 'rows' | 'tables'} | undefined;
  const draw = (): void => {
    const elapsed = elapsedMs(clock, startedMs);
    if (elapsed < shownFromMs && !last) return;
    const how = last
      ? describeAdvance({
          ...last,
          perSecond: rate.perSecond(),
          elapsedMs: elapsed,
          timeLeftMs: rate.timeLeftMs(startedMs + elapsed),
        })
      : describeElapsed(elapsed);
    const text = [how, on || note].filter((part) => part !== '').join('  ');
    if (text !== shown) show((shown = text));
  };
  return {
    note: () => note,
    draw,
    step: {
      note: (text) => void (note = text),
      working: (what) => void (on = what),
      output: (line) => void (on = line),
      advance(done, total, unit = 'bytes') {
        last = {done: Math.max(done, last?.done ?? 0), total, unit};
        rate.sample(last.done, total, clock.now().getTime());
      },
    },
  };
}
