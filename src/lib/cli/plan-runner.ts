/** Runs the jobs of a plan as processes of this program, and reports about them on stderr. */
import {spawn} from 'node:child_process';
import {setTimeout as delay} from 'node:timers/promises';
import {redact} from '../base/redact.js';
import type {PlanRunner} from '../services/schedule/run-plan.js';
import {printable} from './show/style.js';

/** @param script absolute path of this program @param isQuiet whether only failed jobs are reported */
export function createPlanRunner(script: string, isQuiet: boolean): PlanRunner {
  const sayFailure = (line: string): void => void process.stderr.write(`${printable(redact(line))}\n`);
  return {
    // Without "--" Node.js would read --env-file itself.
    runJob: (words, signal) => runToEnd(process.execPath, ['--', script, ...words], signal),
    wait: (ms, signal) => delay(ms, undefined, {signal}),
    say: isQuiet ? () => undefined : sayFailure,
    sayFailure,
  };
}

/** If `signal` is aborted, the process gets SIGTERM and cleans up; this ends with it. @throws the system's error when it cannot be started */
async function runToEnd(
  program: string,
  args: readonly string[],
  signal: AbortSignal,
): Promise<string | undefined> {
  // In a process group of its own it gets no SIGINT from the terminal: a second signal would end it before it has cleaned up.
  const child = spawn(program, args, {stdio: ['ignore', 'inherit', 'inherit'], detached: true});
  const end = (): void => void child.kill('SIGTERM');
  signal.addEventListener('abort', end, {once: true});
  try {
    return await new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', (code, name) =>
        resolve(
          code === 0 ? undefined : code === null ? `ended by ${name ?? 'a signal'}` : `exit code ${code}`,
        ),
      );
    });
  } finally {
    signal.removeEventListener('abort', end);
  }
}
