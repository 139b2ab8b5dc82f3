/** A job of the plan as a scheduler is told it. */
import type {Every} from './schedule-plan.js';

export interface ScheduledCommand {
  /** Unique, fit for file names: "daily-custom". */
  readonly name: string;
  readonly sentence: string;
  /** By the clocks of the zone that the scheduler knows. */
  readonly every: Every;
  /** Program and arguments: absolute path of node, of the program, the command and its flags. */
  readonly words: readonly string[];
}
