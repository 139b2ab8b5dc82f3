/** The input of every service: settings and the ports to the outside. */
import type {Clock} from '../base/clock.js';
import type {Checkpoint} from './fault-points.js';
import type {Progress} from '../progress/progress.js';
import type {Settings} from '../settings/settings.js';
import type {RunFacts} from './run-record.js';

/** A destructive step that needs a confirmation. */
export interface ConfirmRequest {
  /** The step in one sentence. */
  readonly action: string;
  /** The server, or the folder or bucket from which something is removed. */
  readonly host: string;
  /** Label of `host`: "host" by default, or one of these where no server is changed. */
  readonly hostLabel?: 'folder' | 'place';
  /** The text that confirms the step; the names of several databases are joined by commas. */
  readonly database: string;
  /** Label of `database` where it is not the name of one database. */
  readonly databaseLabel?: 'databases' | 'word';
  /** Whether only --confirm-db NAME confirms (the target is production). */
  readonly isProduction: boolean;
  /** Whether the step cannot be undone, so that only the database's name confirms it as well. */
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
  /** Whether flags already answer the question of `confirm`. */
  readonly isConfirmed: (
    request: Pick<ConfirmRequest, 'database' | 'databaseLabel' | 'isProduction' | 'isIrreversible'>,
  ) => boolean;
  /** Compares the name in --confirm-db where no question may be asked, as in a dry run. @throws NOT_CONFIRMED for another name */
  readonly checkName: (target: Pick<ConfirmRequest, 'database' | 'databaseLabel'>) => void;
  /** Prints a warning without stopping the run; JSON results contain it too. */
  readonly warn: (message: string) => void;
  /** Adds facts to the run's record in the audit log as soon as they are known. Lists are appended, single values replaced. */
  readonly record: (facts: RunFacts) => void;
  /** Fault point at the end of a step, where tests can stop the run. */
  readonly checkpoint: Checkpoint;
}
