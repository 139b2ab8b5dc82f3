/** Finds the backup that show, delete and label work on, and its location. */
import type {Backup} from '../../catalog/catalogue.js';
import type {RunContext} from '../../run/run-context.js';
import {chooseOwn} from '../../storage/choose-backup.js';
import {placeOf} from '../../storage/fetch-backup.js';
import {openSource} from '../../storage/open-place.js';
import type {Place} from '../../storage/place.js';

export interface BackupRequest {
  /** An id, the beginning of one, "latest", or a path. */
  readonly backup: string;
  /** "s3://bucket/prefix", or a folder; the backups folder without it. */
  readonly from?: string;
}

export interface FoundBackup {
  readonly backup: Backup;
  /** Where it is stored: for a path perhaps another folder than the one that was asked. */
  readonly place: Place;
}

/** @throws BACKUP_NOT_FOUND, USAGE, METADATA_INVALID, BACKUP_INCOMPLETE and the codes of the store */
export async function findBackup(
  context: Pick<RunContext, 'settings' | 'signal'>,
  {backup: backupFile, from}: BackupRequest,
): Promise<FoundBackup> {
  const asked = await openSource(context.settings, from);
  const backup = await chooseOwn(context, asked, {backupFile});
  return {backup, place: placeOf(asked, backup)};
}
