/** The request to restore, and the check for flags that contradict each other. */
import type {BackupContent} from '../../run/check-outcome.js';
import {AppError} from '../../base/errors.js';
import type {Globals} from '../../postgres/inspect/inspect-globals.js';
import type {NamedTable} from '../../postgres/quote.js';
import type {ToastCompression} from '../../postgres/tools/pg-restore.js';

/** The flags of `restore`, undefined or empty if not given. */
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
  /** False if missing roles are not created; their owners and grants are left out then. */
  readonly roles?: boolean;
  /** Whether all roles of the backup's server that are missing are created, with their passwords if the backup has them. */
  readonly withRoles?: boolean;
  /** Program, id and the flags for the same settings, for commands in messages. */
  readonly command?: (id: string) => readonly string[];
  /** The command that checks the backup alone, for the shell, from `restoreFrom`; undefined if no command can. */
  readonly checkCommand?: string;
  /** The file of roles, read by `restoreFrom`; undefined without `withRoles`. */
  readonly globals?: Globals;
  /** Compression of large values in the restored tables. */
  readonly toastCompression?: ToastCompression;
  readonly dryRun?: boolean;
  /** Whether a dry run lists the keys of rows that would be lost. */
  readonly details?: boolean;
  /** Tables of the platform whose rows are replaced, where others only get their missing rows. */
  readonly replacedRows?: readonly NamedTable[];
  /** How long to wait for another run that changes the same database, ms. */
  readonly waitMs?: number;
  /** How long to wait for locks of other sessions, ms. */
  readonly lockWaitMs?: number;
}

/** Pairs of flags that contradict each other, with the reason. */
const contradictions: readonly [keyof RestoreRequest, keyof RestoreRequest, string][] = [
  ['dataOnly', 'schemaOnly', 'one leaves out what the other restores'],
  ['clean', 'dropExisting', 'one restores in place, the other into a database beside the target'],
  ['clean', 'createDb', 'a new database has nothing to clean'],
  ['clean', 'dataOnly', 'pg_restore does not drop objects if it restores rows alone'],
  ['clean', 'skipErrors', 'a clean restore is one transaction, which the first error ends'],
  [
    'clean',
    'includeTables',
    'chosen tables would lose their keys, indexes, defaults, triggers, policies and rights; restore them into a new database and copy their rows from there',
  ],
  ['clean', 'parallelJobs', 'a clean restore is one transaction, so one connection'],
  ['dropExisting', 'dataOnly', 'rows alone do not make a database'],
  ['dropExisting', 'schemaOnly', 'it would replace the database by an empty one'],
  ['dropExisting', 'includeTables', 'it would replace the database by a part of one'],
  ['dropExisting', 'skipErrors', 'only a restore without errors may replace a database'],
  ['withRoles', 'dataOnly', 'rows alone need no roles'],
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
  withRoles: '--with-roles',
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

/** Refuses flags that do not fit a partial backup, or would replace a whole database by it. @throws USAGE */
export function checkContent(request: RestoreRequest, id: string, content: BackupContent): void {
  const refuse = (message: string, hint: string): never => {
    throw new AppError('USAGE', `${id} ${message}. Nothing was changed.`, {hint});
  };
  if (content === 'data' && request.dataOnly !== true) {
    const unfit = (['clean', 'createDb', 'dropExisting', 'schemaOnly'] as const).filter((key) =>
      isGivenIn(request, key),
    );
    refuse(
      'contains rows without their tables',
      `Use --data-only${unfit.length > 0 ? ` in place of ${unfit.map(nameOf).join(' and ')}` : ''}, which fills existing empty tables. To create them, restore a backup of the whole database with --schema-only.`,
    );
  }
  if (content === 'schema' && request.dataOnly === true)
    refuse('contains definitions without rows', 'Omit --data-only, or name a backup with rows.');
  if (content !== 'whole' && request.dropExisting === true)
    refuse(
      `contains ${content === 'schema' ? 'no rows' : 'only chosen tables or schemas'}, but --drop-existing replaces the whole database`,
      'Restore it into a separate database: --target-db NAME --create-db.',
    );
}

/** @throws USAGE for two contradicting flags, or if no backup was named */
export function checkRestoreRequest(request: RestoreRequest): void {
  const isGiven = (key: keyof RestoreRequest): boolean => isGivenIn(request, key);
  const sources = (['backupFile', 'isLatest', 'at'] as const).filter(isGiven);
  if (sources.length === 0) {
    throw new AppError('USAGE', 'No backup was named.', {
      hint: 'Name one by its id from destino-db list, or use "latest" or --at TIME.',
    });
  }
  if (sources.length > 1)
    throw new AppError('USAGE', `${sources.map(nameOf).join(' contradicts ')}: name one backup.`);
  if (request.withRoles === true && request.roles === false)
    throw new AppError('USAGE', '--with-roles contradicts --no-roles.');
  for (const [one, other, why] of contradictions) {
    if (isGiven(one) && isGiven(other)) {
      throw new AppError('USAGE', `${nameOf(one)} contradicts ${nameOf(other)}: ${why}.`);
    }
  }
}
