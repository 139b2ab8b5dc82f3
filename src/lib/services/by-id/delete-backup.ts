/** `delete`: removes one backup, after the checks and the question that stand before it. */
import {
  type Backup,
  databaseIdentity,
  isUsable,
  lockOfBackup,
  retentionCandidate,
} from '../../catalog/catalogue.js';
import {recordBackup} from '../../catalog/record-backup.js';
import {newestFirst} from '../../catalog/retention.js';
import {defined} from '../../base/defined.js';
import {AppError} from '../../base/errors.js';
import {formatBytes} from '../../base/format.js';
import {shellCommand} from '../../base/shell-quote.js';
import {openJournal} from '../../run/journal.js';
import type {RunContext} from '../../run/run-context.js';
import type {Place} from '../../storage/place.js';
import {isProductionBackup} from '../guards/production.js';
import {type BackupRequest, findBackup} from './find-backup.js';

export interface DeleteRequest extends BackupRequest {
  /** Whether the newest usable backup of its database is deleted too. */
  readonly isNewestToo: boolean;
  readonly dryRun: boolean;
  /** How long to wait for another run, ms. */
  readonly waitMs?: number;
}

export interface DeleteResult {
  readonly dryRun: boolean;
  /** The folder or store. */
  readonly folder: string;
  readonly id: string;
  readonly path: string;
  readonly database: string;
  readonly createdAt: string;
  /** Bytes. */
  readonly size: number;
  readonly label: string | null;
  /** How many usable backups of the database remain there. */
  readonly goodBackupsLeft: number;
  /** Consequences to know before the deletion, a line each. */
  readonly notes: readonly string[];
}

/**
 * Removes the backup, or with a dry run says what would go.
 * @throws KEPT_BACKUP, NEWEST_BACKUP, FOREIGN_FILE for one that stays; NOT_CONFIRMED, CONFIRMATION_NEEDED, LOCKED; BACKUP_NOT_FOUND, also
 * where another run removed it meanwhile; FOLDER_NOT_WRITABLE and the codes of the store
 */
export async function deleteBackup(context: RunContext, request: DeleteRequest): Promise<DeleteResult> {
  const {backup, place} = await findBackup(context, request);
  recordBackup(context, backup);
  const {good, notes} = await requireDeletable(context, place, backup, request);
  const {id, path, database, createdAt, sizeBytes, label} = backup;
  context.checkName({database});
  const result: DeleteResult = {
    dryRun: request.dryRun,
    folder: place.url,
    id,
    path,
    database,
    createdAt: createdAt.toISOString(),
    size: sizeBytes,
    label,
    goodBackupsLeft: good.length,
    notes,
  };
  if (request.dryRun) return result;
  await context.confirm({
    action: `Delete the backup ${id} for good.`,
    host: place.url,
    hostLabel: place.isOnThisMachine ? 'folder' : 'place',
    database,
    isProduction: await isProductionBackup(context, backup),
    plan: [
      `${id}: taken ${createdAt.toISOString()}, ${formatBytes(sizeBytes)}${label === null ? '' : `, label ${label}`}`,
      ...notes,
    ],
  });
  const work = () =>
    context.progress.step(`Delete ${id}`, async () => {
      // Another run may have changed the folder or store while the question was open.
      const {current} = await requireDeletable(context, place, backup, request);
      context.signal.throwIfAborted();
      const journal = openJournal(context, 'delete');
      try {
        await place.removeBackup(current, journal, context.checkpoint);
        context.record({pruned: [id]});
      } finally {
        await journal.close();
      }
    });
  await (place.withLock
    ? place.withLock(
        context,
        work,
        defined({command: 'delete', waitMs: request.waitMs, database: lockOfBackup(backup)}),
      )
    : work());
  return result;
}

/** Reads the folder or store and decides. */
async function requireDeletable(
  context: RunContext,
  place: Place,
  backup: Backup,
  request: DeleteRequest,
): Promise<{current: Backup; good: readonly Backup[]; notes: string[]}> {
  const {id, metadataPath} = backup;
  const from = request.from === undefined ? [] : ['--from', request.from];
  const now = context.clock.now();
  const obstacle = await place.whyKept(backup, 'delete asks for it', now);
  const {backups} = await place.catalogue(context.signal, context.settings.backupsDir);
  const current = backups.find((one) => one.metadataPath === metadataPath);
  if (!current) {
    if (obstacle !== undefined && (await place.find(metadataPath, '/').catch(() => null)))
      throw new AppError('FOREIGN_FILE', `${id} was not deleted: ${obstacle}.`);
    throw new AppError('BACKUP_NOT_FOUND', `${id} is not in ${place.url} any more: another run removed it.`, {
      hint: 'List the backups: destino-db list',
    });
  }
  if (current.record?.keep === true) {
    throw new AppError('KEPT_BACKUP', `${id} is kept by label --keep; nothing was deleted.`, {
      hint: `Release it first: ${shellCommand(['destino-db', 'label', id, ...from, '--no-keep'])}`,
    });
  }
  if (obstacle !== undefined) {
    const code = place.isOnThisMachine ? 'FOREIGN_FILE' : 'KEPT_BACKUP';
    throw new AppError(code, `${id} was not deleted: ${obstacle}.`);
  }
  const identity = databaseIdentity(current);
  const good = backups.filter((one) => isUsable(one) && databaseIdentity(one) === identity).sort(newestFirst);
  const [newest] = [...good.filter(({createdAt}) => createdAt <= now), ...good];
  const left = good.filter((one) => one.metadataPath !== metadataPath);
  const isNewest = newest?.metadataPath === metadataPath;
  if (isNewest && !request.isNewestToo) {
    throw new AppError(
      'NEWEST_BACKUP',
      `${id} is the newest usable backup of ${current.database} in ${place.url}; nothing was deleted.`,
      {
        hint:
          left.length === 0
            ? 'Make another one first: destino-db backup. To delete it all the same, add --even-the-newest.'
            : 'To delete it all the same, add --even-the-newest.',
      },
    );
  }
  return {current, good: left, notes: notesOn(current, {isNewest, good, left})};
}

function notesOn(
  backup: Backup,
  {isNewest, good, left}: {isNewest: boolean; good: readonly Backup[]; left: readonly Backup[]},
): string[] {
  const isProven = (one: Backup): boolean => retentionCandidate(one).isProvenByRestore;
  const [other] = left;
  return [
    ...(isNewest && other ? [`It is the newest usable backup; the next one is ${other.id}.`] : []),
    ...(isNewest && !other ? ['It is the only usable backup of the database there.'] : []),
    ...(isProven(backup) && good.find(isProven)?.metadataPath === backup.metadataPath
      ? ['It is the newest one that a restore has proven.']
      : []),
    ...(other && retentionCandidate(other).isShrunk
      ? [`Tables shrank in the backup that stays, and nobody accepted that: ${other.id}.`]
      : []),
  ];
}
