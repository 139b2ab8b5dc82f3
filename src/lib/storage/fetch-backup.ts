/** Takes a backup from any place into a folder here, where it can be read as if it had been made here. */
import {randomBytes} from 'node:crypto';
import {readdir, rm} from 'node:fs/promises';
import {basename, dirname, join} from 'node:path';
import {metadataName, metadataSuffix} from '../catalog/backup-name.js';
import {partialSuffix} from '../base/file-names.js';
import type {BackupRecord} from '../catalog/backup-record.js';
import {type Backup, readBackup} from '../catalog/catalogue.js';
import {makePrivateFolder} from '../base/safe-file.js';
import type {RunContext} from '../run/run-context.js';
import type {OpeningKeys} from '../encryption/age-keys.js';
import {localPlace} from './local-place.js';
import type {Place} from './place.js';
import type {PlacedBackup} from './place-catalogue.js';
import {transferBackup} from './transfer-backup.js';
import {openJournal} from '../run/journal.js';
import type {KeyFiles} from '../encryption/settings.js';

/** Where a backup is taken from, and the files of what opens it; undefined where not given. */
export interface BackupSource extends KeyFiles {
  readonly from?: string | undefined;
}

/** The folder that --from means: itself, or the one for databases in it, where a whole backups folder is named. */
export async function databaseFolder(path: string): Promise<string> {
  const names: string[] = await readdir(path).catch(() => []); // what is not there is reported by who reads it
  const isItself = names.some((name) => name.endsWith(metadataSuffix));
  return !isItself && names.includes('database') ? join(path, 'database') : path;
}

/** A backup of a folder as a place has it. */
export function placedIn(backup: Backup & {readonly record: BackupRecord}): {
  place: Place;
  backup: PlacedBackup;
} {
  const place = localPlace(dirname(backup.metadataPath));
  return {place, backup: {...backup, metadataKey: basename(backup.metadataPath)}};
}

/** Whether the files of a backup are encrypted. */
export function isEncrypted(backup: Backup): backup is Backup & {readonly record: BackupRecord} {
  return backup.record?.encryption !== undefined;
}

/**
 * A backup here with plain files: itself, or decrypted in a folder of its own for as long as `work` takes.
 * @throws KEY_NEEDED, DECRYPT_FAILED, CHECKSUM_MISMATCH before `work` begins
 */
export async function withPlain<T>(
  context: RunContext,
  backup: Backup,
  keys: OpeningKeys,
  work: (backup: Backup) => Promise<T>,
): Promise<T> {
  if (!isEncrypted(backup)) return work(backup);
  const placed = placedIn(backup);
  return withFetched(context, placed.place, placed.backup, keys, async (metadataPath) =>
    work(await readBackup(metadataPath)),
  );
}

/**
 * Fetches, decrypts and checks the whole backup before `work` sees it, and removes it afterwards.
 * @param work is given the path of the metadata file: of the backup itself where it lies plain in a folder, else in a folder of its own
 */
export async function withFetched<T>(
  context: RunContext,
  place: Place,
  backup: PlacedBackup,
  keys: OpeningKeys,
  work: (metadataPath: string) => Promise<T>,
): Promise<T> {
  const isHere = place.isOnThisMachine;
  if (isHere && !backup.record.encryption) return work(backup.metadataPath);
  return withFetchedFolder(context, async (folder) => {
    await context.progress.step(`${isHere ? 'Decrypt' : 'Fetch'} ${backup.id}`, (step) =>
      transferBackup(context, {
        from: place,
        backup,
        to: localPlace(folder),
        keys,
        isOpening: true,
        onBytes: (done, total) => step.advance(done, total, 'bytes'),
      }),
    );
    return work(join(folder, metadataName(backup.id)));
  });
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
