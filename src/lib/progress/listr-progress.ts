/** Progress on a terminal: the only file that uses listr2. */
import type {DefaultRenderer, ListrTaskWrapper, SimpleRenderer} from 'listr2';
import {type Clock, elapsedMs} from '../base/clock.js';
import {formatBytes, formatCount, formatDuration} from '../base/format.js';
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
        const state = {isSkipped: false};
        const step = liveStep(task, clock, (why) => {
          state.isSkipped = true;
          task.skip(`${title} (${why})`);
        });
        results.push(await work(step));
        if (!state.isSkipped) task.title = `${title} (${formatDuration(elapsedMs(clock, startedMs))})`;
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
const redrawMs = 100;

function liveStep(task: Task, clock: Clock, skip: (why: string) => void): Step {
  const rate = createRate();
  let note = '';
  let shown = '';
  let drawnMs = 0;
  let furthest = 0;
  return {
    note(text) {
      note = text;
      task.output = shown === '' ? note : `${shown}  ${note}`;
    },
    advance(done, total, unit = 'bytes') {
      furthest = Math.max(furthest, done);
      const nowMs = clock.now().getTime();
      rate.sample(furthest, nowMs);
      if (nowMs - drawnMs < redrawMs) return;
      drawnMs = nowMs;
      shown = describeAdvance(
        furthest,
        total,
        unit,
        rate.perSecond(),
        total === undefined ? undefined : rate.timeLeftMs(total),
      );
      task.output = note === '' ? shown : `${shown}  ${note}`;
    },
    skip,
  };
}

/** "62 %  1.3 GB  24 MB/s  about 4 min left"; never 100 % before the end. */
export function describeAdvance(
  done: number,
  total: number | undefined,
  unit: 'bytes' | 'rows' | 'tables',
  perSecond: number | undefined,
  timeLeftMs: number | undefined,
): string {
  const amount = (value: number): string =>
    unit === 'bytes' ? formatBytes(value) : `${formatCount(value)} ${unit}`;
  const parts: string[] = [];
  if (total !== undefined && total > 0) parts.push(`${Math.min(99, Math.floor((done / total) * 100))} %`);
  parts.push(amount(done));
  if (perSecond !== undefined && perSecond > 0 && unit !== 'tables') parts.push(`${amount(perSecond)}/s`);
  if (timeLeftMs !== undefined) parts.push(`about ${formatDuration(timeLeftMs)} left`);
  return parts.join('  ');
}
