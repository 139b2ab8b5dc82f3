/** A leftover of an interrupted run, and the action that clears it up. */
import type {JournalEntry} from '../../run/journal.js';

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
