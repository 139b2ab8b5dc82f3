/** A job of the plan as a scheduler is told it. */
import type {Every} from './due-time.js';

export interface ScheduledCommand {
  /** Unique, fit for file names: "daily-custom". */
  readonly name: string;
  readonly sentence: string;
  /** By the clocks of the zone that the scheduler knows. */
  readonly every: Every;
  /** The command and its flags; for the machine's own schedulers after the absolute paths of node and of the program. */
  readonly words: readonly string[];
}
