/** The commands that the audit log records. */
import {commandFacts} from './command-facts.js';
import {nearest} from './nearest.js';

/** Commands that do work; commands that only read are not recorded. */
export const recordedCommands: ReadonlySet<string> = new Set(Object.keys(commandFacts));

/** Why a name is not a command of the audit log; undefined for a valid one. `status` is recorded when it forgets a database. */
export function commandProblem(name: string): string | undefined {
  const known = [...recordedCommands, 'status'];
  if (known.includes(name)) return undefined;
  const guess = nearest(name, known);
  return `"${name}" is not a command of the audit log${guess === undefined ? '' : ` (did you mean "${guess}"?)`}`;
}

/** Whether the command takes the lock of a folder, and so has the flag --wait. */
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
