/** The request to restore:rows, and the check for flags that contradict each other. */
import {AppError} from '../../base/errors.js';

export interface RestoreRowsRequest {
  /** A path or an id; the newest usable backup by default. */
  readonly backupFile?: string;
  readonly at?: Date;
  /** "schema.name", or "name" in the connection's schema. */
  readonly tables: readonly string[];
  readonly missing: boolean;
  readonly changed: boolean;
  /** SQL condition on the backup's rows. */
  readonly where: string | undefined;
  readonly keys: readonly string[];
  /** Columns to restore in changed rows; all if empty. */
  readonly columns: readonly string[];
  readonly withParents: boolean;
  readonly withChildren: boolean;
  readonly firesTriggers: boolean;
  readonly failOnConflicts: boolean;
  readonly execute: boolean;
  /** The plan hash from the preview. */
  readonly plan: string | undefined;
  /** Whether to list every key. */
  readonly details: boolean;
  readonly waitMs?: number;
  readonly lockWaitMs?: number;
}

/** @throws USAGE */
export function checkRowsRequest(request: RestoreRowsRequest): void {
  const refuse = (message: string, hint: string): never => {
    throw new AppError('USAGE', message, {hint});
  };
  if (request.tables.length === 0)
    refuse('Which table? --table is missing.', 'Name it with its schema: --table public.orders.');
  if (!request.missing && !request.changed)
    refuse(
      'Which rows? --missing, --changed or --all is missing.',
      '--missing: rows of the backup that the database lacks; --changed: rows that differ; --all: both.',
    );
  const narrows = request.where !== undefined || request.keys.length > 0 || request.columns.length > 0;
  if (narrows && request.tables.length > 1)
    refuse(
      '--where, --key and --columns take one --table.',
      'Run the command once for each table; --with-parents and --with-children include related rows.',
    );
  if (request.columns.length > 0 && !request.changed)
    refuse('--columns needs --changed or --all.', 'A missing row is always restored with all its columns.');
}
