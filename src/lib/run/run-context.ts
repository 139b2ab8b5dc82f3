/** What every service is handed: settings and the ports to the outside. */
import type {Clock} from '../base/clock.js';
import type {Reach} from './fault-points.js';
import type {Progress} from '../progress/progress.js';
import type {Settings} from '../settings/settings.js';
import type {RunFacts} from './run-record.js';

/** A destructive step, as it is put to the user before it starts. */
export interface ConfirmRequest {
  /** What will happen, in one sentence. */
  readonly action: string;
  /** The server, or the folder or bucket that holds what goes. */
  readonly host: string;
  /** What `host` is called: "host" without it, "folder" or "place" where no server is touched. */
  readonly hostLabel?: 'folder' | 'place';
  /** What confirms the step; where there are several databases, their names with commas between them. */
  readonly database: string;
  /** What `database` is where it is not the name of one database. */
  readonly databaseLabel?: 'databases' | 'word';
  /** Whether only --confirm-db NAME answers (the target is production). */
  readonly isProduction: boolean;
  /** Whether nothing can undo it, so that only the database's name answers as well. */
  readonly isIrreversible?: boolean;
  /** The plan, a line each. */
  readonly plan: readonly string[];
}

export interface RunContext {
  readonly settings: Settings;
  readonly progress: Progress;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly toolVersion: string;
  /** Returns when the step is confirmed. @throws NOT_CONFIRMED, CONFIRMATION_NEEDED */
  readonly confirm: (request: ConfirmRequest) => Promise<void>;
  /** Whether flags have answered already what `confirm` would ask. */
  readonly isConfirmed: (
    request: Pick<ConfirmRequest, 'database' | 'databaseLabel' | 'isProduction' | 'isIrreversible'>,
  ) => boolean;
  /** Compares the name that --confirm-db gives where nothing may be asked, as in a dry run. @throws NOT_CONFIRMED for another one */
  readonly checkName: (target: Pick<ConfirmRequest, 'database' | 'databaseLabel'>) => void;
  /** Tells the user something that does not stop the work; also part of JSON results. */
  readonly warn: (message: string) => void;
  /** Tells the audit log what the run found out or did, as soon as it is so; lists add up, single values replace. */
  readonly record: (facts: RunFacts) => void;
  /** Told where a step ends, so that tests can have the run stopped exactly there. */
  readonly reach: Reach;
}
