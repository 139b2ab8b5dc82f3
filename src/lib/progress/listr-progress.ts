/** Progress on a terminal: the only file that uses listr2. */
import type {Listr, ListrTaskWrapper, DefaultRenderer, SimpleRenderer} from 'listr2';
import {type Clock, elapsedMs} from '../clock.js';
import {formatBytes, formatCount, formatDuration} from '../format.js';
import type {Progress, Step} from './progress.js';
import {createRate} from './rate.js';

type Task = ListrTaskWrapper<unknown, typeof DefaultRenderer, typeof SimpleRenderer>;

interface Gate {
  title: string;
  opened: Promise<Task>;
  open: (task: Task) => void;
  /** Settles when the step's work is over. */
  finished: Promise<void>;
  finish: () => void;
  fail: (error: Error) => void;
  isTaken: boolean;
  /** Whether its work has ended, well or not. */
  isOver: boolean;
}

/**
 * A live list on `stream`. Every planned title is a task that waits for its step to begin.
 * Nothing else may write to the terminal while it is alive. It ends with its last step, so that a question can be asked;
 * a step after that begins a new one.
 */
export function createListrProgress(stream: NodeJS.WriteStream, clock: Clock): Progress {
  let gates: Gate[] = [];
  let running: Promise<void> | undefined;
  let list: Listr<unknown> | undefined;

  const taskOf = (gate: Gate) => ({
    title: gate.title,
    task: async (_context: unknown, task: Task) => {
      gate.open(task);
      await gate.finished;
    },
  });

  const start = async (): Promise<void> => {
    const {Listr, ListrDefaultRendererLogLevels, ListrLogger, ProcessOutput} = await import('listr2');
    const plain = (text = ''): string => text;
    list = new Listr<unknown>(gates.map(taskOf), {
      concurrent: false,
      exitOnError: true,
      registerSignalListeners: false,
      renderer: 'default',
      rendererOptions: {
        logger: new ListrLogger({processOutput: new ProcessOutput(stream, stream)}),
        showErrorMessage: false,
        collapseErrors: false,
        collapseSubtasks: false,
        // Yellow otherwise, which cannot be read on white.
        color: {
          [ListrDefaultRendererLogLevels.PENDING]: plain,
          [ListrDefaultRendererLogLevels.SKIPPED_WITH_COLLAPSE]: plain,
          [ListrDefaultRendererLogLevels.SKIPPED_WITHOUT_COLLAPSE]: plain,
        },
      },
    });
    running = list
      .run()
      .catch(() => undefined) // the step's own promise carries the error
      .then(() => {
        list = undefined;
        gates = gates.filter((gate) => !gate.isOver);
      });
  };

  const gateFor = async (title: string): Promise<Gate> => {
    let gate = gates.find((candidate) => candidate.title === title && !candidate.isTaken);
    if (!gate) {
      gate = createGate(title);
      gates.push(gate);
      list?.add(taskOf(gate));
    }
    gate.isTaken = true;
    if (!list) await start();
    return gate;
  };

  return {
    plan(titles) {
      if (!list) for (const title of titles) gates.push(createGate(title));
    },
    async step(title, work) {
      const gate = await gateFor(title);
      const task = await gate.opened;
      const startedMs = clock.now().getTime();
      const told = {isSkipped: false};
      try {
        const result = await work(
          liveStep(task, clock, (why) => {
            told.isSkipped = true;
            task.skip(`${title} (${why})`);
          }),
        );
        if (!told.isSkipped) task.title = `${title} (${formatDuration(elapsedMs(clock, startedMs))})`;
        gate.finish();
        return result;
      } catch (error) {
        gate.fail(error instanceof Error ? error : new Error(String(error)));
        throw error;
      } finally {
        if (gates.every(({isOver}) => isOver)) await running;
      }
    },
    async close() {
      const failure = new Error('not reached');
      for (const gate of gates) if (!gate.isTaken) gate.fail(failure);
      await running;
    },
  };
}

function createGate(title: string): Gate {
  let open: (task: Task) => void = () => {};
  let finish: () => void = () => {};
  let fail: (error: Error) => void = () => {};
  const opened = new Promise<Task>((resolve) => (open = resolve));
  const finished = new Promise<void>((resolve, reject) => {
    finish = resolve;
    fail = reject;
  });
  finished.catch(() => undefined); // a gate that is never opened has nobody else to look at it
  const gate: Gate = {title, opened, open, finished, finish, fail, isTaken: false, isOver: false};
  gate.finish = () => {
    gate.isOver = true;
    finish();
  };
  gate.fail = (error) => {
    gate.isOver = true;
    fail(error);
  };
  return gate;
}

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
