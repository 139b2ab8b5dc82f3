/** A leftover of an interrupted run, and the action that clears it up. */
import type {JournalEntry} from '../../run/journal.js';

/** Leftovers of a run on another machine, or in another container, count as abandoned after this time, ms, unless something uses them. */
export const abandonedAfterMs = 24 * 3_600_000;

export interface LeftoverThing {
  readonly kind: JournalEntry['kind'];
  /** Path of a file or folder, or name of a database. */
  readonly what: string;
  readonly reason: string;
}

export type Leftover = LeftoverThing &
  (
    | {readonly action: 'leave'}
    | {
        readonly action: 'remove' | 'finish' | 'drop' | 'allow connections' | 'unmark' | 'mark as set aside';
        readonly run: () => Promise<void>;
      }
  );
