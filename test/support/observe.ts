/** Conditions to wait for: a test continues when a condition is true, never after a fixed time. */
import {readFile} from 'node:fs/promises';
import {setTimeout as delay} from 'node:timers/promises';

const pollMs = 5;

/** Returns the result of `look` once it is not undefined or false. @throws if this does not happen */
export async function until<T>(
  what: string,
  look: () => Promise<T | undefined | false> | T | undefined | false,
  patienceMs = 60_000,
): Promise<T> {
  const endMs = performance.now() + patienceMs;
  while (performance.now() < endMs) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
    await delay(pollMs);
  }
  throw new Error(`${what}: not within ${patienceMs / 1000} s`);
}

/** The state letter of a process ("T" is stopped), or undefined if it does not exist (proc(5), stat). */
export async function processState(pid: number): Promise<string | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  return stat?.slice(stat.lastIndexOf(')') + 2, stat.lastIndexOf(')') + 3);
}

/** Process ids of all descendants whose command is `name` ("pg_dump"; proc(5), comm). */
export async function descendants(pid: number, name: string): Promise<number[]> {
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => ''); // it has ended
  const found: number[] = [];
  for (const child of children
    .split(' ')
    .filter((word) => word !== '')
    .map(Number)) {
    const command = await readFile(`/proc/${child}/comm`, 'utf8').catch(() => '');
    if (command.trim() === name) found.push(child);
    found.push(...(await descendants(child, name)));
  }
  return found;
}
