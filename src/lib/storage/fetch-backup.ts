/** Takes a backup from any place into a folder here, where it can be read as if it had been made here. */
import {randomBytes} from 'node:crypto';
import {rm} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import {metadataName} from '../catalog/backup-name.js';
import {partialSuffix} from '../base/file-names.js';
import {type Backup, isRecorded, readBackup, type RecordedBackup} from '../catalog/catalogue.js';
import {makePrivateFolder} from '../base/safe-file.js';
import type {RunContext} from '../run/run-context.js';
import type {OpeningKeys} from '../encryption/age-keys.js';
import {localPlace} from './local-place.js';
import type {Place} from './place.js';
import {transferBackup} from './transfer-backup.js';
import {openJournal} from '../run/journal.js';
import type {KeyFiles} from '../encryption/settings.js';

/** Where a backup is taken from, and the files of what opens it; undefined where not given. */
export interface BackupSource extends KeyFiles {
  readonly from?: string | undefined;
}

/** Whether the files of a backup are encrypted. */
export function isEncrypted(backup: Backup): backup is RecordedBackup {
  return backup.record?.encryption !== undefined;
}

/**
 * A backup with plain files on this machine: itself, or a copy that was fetched, decrypted and checked whole before `work` sees it,
 * and that is removed afterwards.
 * @throws KEY_NEEDED, DECRYPT_FAILED, CHECKSUM_MISMATCH and the codes of the store before `work` begins
 */
export async function withPlain<T>(
  context: RunContext,
  place: Place,
  backup: Backup,
  keys: OpeningKeys,
  work: (backup: Backup) => Promise<T>,
): Promise<T> {
  const isHere = place.isOnThisMachine;
  if (!isRecorded(backup) || (isHere && !isEncrypted(backup))) return work(backup);
  return withFetchedFolder(context, async (folder) => {
    await context.progress.step(`${isHere ? 'Decrypt' : 'Fetch'} ${backup.id}`, (step) =>
      transferBackup(context, {
        from: placeOf(place, backup),
        backup,
        to: localPlace(folder),
        keys,
        isOpening: true,
        onBytes: (done, total) => step.advance(done, total, 'bytes'),
      }),
    );
    return work(await readBackup(join(folder, metadataName(backup.id))));
  });
}

/** A path can name a backup in another folder than the one that was asked. */
export function placeOf(place: Place, {metadataPath}: Backup): Place {
  return place.isOnThisMachine ? localPlace(dirname(metadataPath)) : place;
}

/** A folder in the backups folder for `work` alone: gone afterwards, and known to `recover` if this run is killed. */
export async function withFetchedFolder<T>(
  context: RunContext,
  work: (folder: string) => Promise<T>,
): Promise<T> {
  const folder = join(
    context.settings.backupsDir,
    `fetched-${randomBytes(4).toString('hex')}${partialSuffix}`,
  );
  const journal = openJournal(context, 'fetch');
  const removed = await journal.begin({kind: 'partial', path: folder});
  try {
    await makePrivateFolder(folder);
    return await work(folder);
  } finally {
    await rm(folder, {recursive: true, force: true});
    await removed();
    await journal.close();
  }
}
