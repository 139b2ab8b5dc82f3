/** What a restore is asked to do, checked for flags that contradict each other. */
import type {BackupContent} from '../../run/check-outcome.js';
import {AppError} from '../../base/errors.js';
import type {ToastCompression} from '../../postgres/tools/pg-restore.js';

/** The flags of `restore`, undefined or empty where not given. */
export interface RestoreRequest {
  readonly backupFile?: string;
  readonly isLatest?: boolean;
  readonly at?: Date;
  readonly targetDb?: string;
  readonly createDb?: boolean;
  readonly dropExisting?: boolean;
  readonly clean?: boolean;
  readonly dataOnly?: boolean;
  readonly schemaOnly?: boolean;
  readonly includeTables?: readonly string[];
  readonly parallelJobs?: number;
  readonly skipErrors?: boolean;
  /** Functions and views ("schema.name") that may run with the rights of another owner; "all" for every one. */
  readonly allowOwnerChange?: readonly string[];
  /** False where roles that the server lacks are not made; their owners and grants are left out then. */
  readonly roles?: boolean;
  /** How the server packs large values of the tables that the restore makes. */
  readonly toastCompression?: ToastCompression;
  readonly dryRun?: boolean;
  /** A dry run lists the keys of the rows that would be lost. */
  readonly details?: boolean;
  /** How long to wait for another run that changes the same database, ms. */
  readonly waitMs?: number;
  /** How long to wait for locks of other sessions, ms. */
  readonly lockWaitMs?: number;
}

/** Pairs that cannot both be obeyed, with the reason. */
const contradictions: readonly [keyof RestoreRequest, keyof RestoreRequest, string][] = [
  ['dataOnly', 'schemaOnly', 'one leaves out what the other restores'],
  ['clean', 'dropExisting', 'one restores in place, the other into a database beside the target'],
  ['clean', 'createDb', 'a new database has nothing to clean'],
  ['clean', 'dataOnly', 'pg_restore drops no objects when it restores rows alone'],
  ['clean', 'skipErrors', 'a clean restore is one transaction, which the first error ends'],
  [
    'clean',
    'includeTables',
    'tables that are dropped and made anew by themselves would lose their keys, indexes, defaults, triggers, policies and rights; restore them into a new database and copy their rows from there',
  ],
  ['clean', 'parallelJobs', 'a clean restore is one transaction, so one connection'],
  ['dropExisting', 'dataOnly', 'rows alone make no database'],
  ['dropExisting', 'schemaOnly', 'it would replace the database by an empty one'],
  ['dropExisting', 'includeTables', 'it would replace the database by a part of one'],
  ['dropExisting', 'skipErrors', 'only a restore without errors may replace a database'],
  ['createDb', 'dataOnly', 'a new database has no tables for the rows'],
];

const flagNames: Partial<Record<keyof RestoreRequest, string>> = {
  dataOnly: '--data-only',
  schemaOnly: '--schema-only',
  clean: '--clean',
  dropExisting: '--drop-existing',
  createDb: '--create-db',
  skipErrors: '--skip-errors',
  parallelJobs: '--parallel-jobs',
  includeTables: '--include-table',
  backupFile: '--backup-file',
  isLatest: '--latest',
  at: '--at',
};

function isGivenIn(request: RestoreRequest, key: keyof RestoreRequest): boolean {
  const value = request[key];
  if (Array.isArray(value)) return value.length > 0;
  return value !== undefined && value !== false && !(key === 'parallelJobs' && value === 1);
}

const nameOf = (key: keyof RestoreRequest): string => flagNames[key] ?? key;

/** Refuses what a backup of a part cannot be restored by, or would replace a whole database with. @throws USAGE */
export function checkContent(request: RestoreRequest, id: string, content: BackupContent): void {
  const refuse = (message: string, hint: string): never => {
    throw new AppError('USAGE', `${id} ${message}; nothing was changed.`, {hint});
  };
  if (content === 'data' && request.dataOnly !== true) {
    const unfit = (['clean', 'createDb', 'dropExisting', 'schemaOnly'] as const).filter((key) =>
      isGivenIn(request, key),
    );
    refuse(
      'contains rows without their tables',
      `Use --data-only${unfit.length > 0 ? ` in place of ${unfit.map(nameOf).join(' and ')}` : ''}: it fills empty tables that exist. A backup of the whole database makes them, with --schema-only.`,
    );
  }
  if (content === 'schema' && request.dataOnly === true)
    refuse('contains definitions without rows', 'Leave out --data-only, or name a backup with rows.');
  if (content !== 'whole' && request.dropExisting === true)
    refuse(
      `contains ${content === 'schema' ? 'no rows' : 'chosen tables or schemas alone'}, and --drop-existing would replace the whole database by them`,
      'Restore it into a database of its own: --target-db NAME --create-db.',
    );
}

/** @throws USAGE naming both flags of a contradiction, or that no backup was named */
export function checkRestoreRequest(request: RestoreRequest): void {
  const isGiven = (key: keyof RestoreRequest): boolean => isGivenIn(request, key);
  const sources = (['backupFile', 'isLatest', 'at'] as const).filter(isGiven);
  if (sources.length === 0) {
    throw new AppError('USAGE', 'No backup was named.', {
      hint: 'Name one by its id, as destino-db list shows it, or take "latest" or --at TIME.',
    });
  }
  if (sources.length > 1)
    throw new AppError('USAGE', `${sources.map(nameOf).join(' contradicts ')}: name one backup.`);
  for (const [one, other, why] of contradictions) {
    if (isGiven(one) && isGiven(other)) {
      throw new AppError('USAGE', `${nameOf(one)} contradicts ${nameOf(other)}: ${why}.`);
    }
  }
}
