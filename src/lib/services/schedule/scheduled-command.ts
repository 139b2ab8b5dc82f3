/** A job of the plan in the form that a scheduler needs. */
import type {Every} from './due-time.js';

export interface ScheduledCommand {
  /** Unique and safe in file names: "daily-custom". */
  readonly name: string;
  readonly sentence: string;
  /** In the time zone of the scheduler. There are several if one of its lines cannot express them. */
  readonly times: readonly Every[];
  /** The command and its flags; for schedulers of this machine preceded by the absolute paths of node and of the program. */
  readonly words: readonly string[];
}
