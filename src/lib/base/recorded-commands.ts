/** Which runs the audit log tells of. */
import {commandFacts} from './command-facts.js';
import {nearest} from './nearest.js';

/** Commands that do work and are therefore recorded; those that only look are not. */
export const recordedCommands: ReadonlySet<string> = new Set(Object.keys(commandFacts));

/** What is wrong with a name that should be of a command in the audit log; undefined for one that is. `status` is there when it forgets. */
export function commandProblem(name: string): string | undefined {
  const known = [...recordedCommands, 'status'];
  if (known.includes(name)) return undefined;
  const guess = nearest(name, known);
  return `"${name}" is no command that is recorded${guess === undefined ? '' : ` (did you mean "${guess}"?)`}`;
}

/** Whether the command works where one run at a time may, and so has the flag --wait. */
export function canWait(command: string): boolean {
  return commandFacts[command]?.canWait ?? false;
}

/** Whether a run with these flags changes nothing. */
export function isPreview(
  command: string,
  flags: {readonly dryRun: boolean; readonly execute: boolean},
): boolean {
  return flags.dryRun || (commandFacts[command]?.isPreviewByDefault === true && !flags.execute);
}
