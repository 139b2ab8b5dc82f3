/** Progress whose texts may contain names from outside: control characters become visible. */
import type {Progress} from '../../progress/progress.js';
import {printable} from './style.js';

/** The same progress with every title, note and reason made printable. */
export function printableProgress(progress: Progress): Progress {
  return {
    plan: (titles) => progress.plan(titles.map(printable)),
    close: () => progress.close(),
    step: (title, work) =>
      progress.step(printable(title), (step) =>
        work({
          note: (text) => step.note(printable(text)),
          working: (on) => step.working(printable(on)),
          output: (line) => step.output(printable(line)),
          advance: (done, total, unit) => step.advance(done, total, unit),
          skip: (why) => step.skip(printable(why)),
        }),
      ),
  };
}
