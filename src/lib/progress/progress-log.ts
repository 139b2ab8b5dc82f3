/** Keeps the last lines of a run's steps for notifications. */
import {type Clock, elapsedMs} from '../base/clock.js';
import {messageOf} from '../base/errors.js';
import {formatDuration} from '../base/format.js';
import type {Progress} from './progress.js';

const keptLines = 50;

/** The same progress, with its steps also written to `lines`. */
export function logProgress(
  progress: Progress,
  clock: Clock,
): {progress: Progress; lines: readonly string[]} {
  const lines: string[] = [];
  const add = (text: string): void => {
    lines.push(`${clock.now().toISOString()} ${text}`);
    if (lines.length > keptLines) lines.shift();
  };
  return {
    lines,
    progress: {
      ...progress,
      step: (title, work) =>
        progress.step(title, async (step) => {
          const startedMs = clock.now().getTime();
          let remark = '';
          add(`${title} ...`);
          try {
            const result = await work({
              ...step,
              note: (text) => {
                remark = `: ${text}`;
                step.note(text);
              },
              output: (line) => {
                add(`${title}: ${line}`);
                step.output(line);
              },
              skip: (why) => {
                remark = `: skipped, ${why}`;
                step.skip(why);
              },
            });
            add(`${title} done in ${formatDuration(elapsedMs(clock, startedMs))}${remark}`);
            return result;
          } catch (error) {
            add(`${title} failed: ${messageOf(error)}`);
            throw error;
          }
        }),
    },
  };
}
