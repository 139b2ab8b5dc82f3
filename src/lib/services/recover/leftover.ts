/** What an interrupted run left behind, and what can be done about it. */
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
