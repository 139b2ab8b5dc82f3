/** Fetches a backup from any location into a local folder, where it can be read like a local one. */
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
import {readRoles} from './read-roles.js';
import {transferBackup} from './transfer-backup.js';
import {openJournal} from '../run/journal.js';
import type {KeyFiles} from '../encryption/settings.js';

/** The location of a backup and the key files for it; undefined if not given. */
export interface BackupSource extends KeyFiles {
  readonly from?: string;
}

/** Whether the files of a backup are encrypted. */
export function isEncrypted(backup: Backup): backup is RecordedBackup {
  return backup.record?.encryption !== undefined;
}

/** The backup without its file of roles, whose passwords are not written unencrypted. */
function withoutRoles(backup: RecordedBackup): RecordedBackup {
  const {encryption, ...record} = backup.record;
  if (!encryption) return backup;
  const plain = {...encryption.plain, roles: null};
  return {...backup, record: {...record, roles: null, encryption: {...encryption, plain}}};
}

/**
 * A backup with unencrypted files on this machine: the backup itself, or a copy that is fetched, decrypted and completely checked
 * before `work` receives it, and removed afterwards. Of an encrypted backup, the file of roles is only checked, and not part of it.
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
    if (isEncrypted(backup)) await readRoles(context, placeOf(place, backup), backup, keys);
    await context.progress.step(`${isHere ? 'Decrypt' : 'Fetch'} ${backup.id}`, (step) =>
      transferBackup(context, {
        from: placeOf(place, backup),
        backup: withoutRoles(backup),
        to: localPlace(folder),
        keys,
        isOpening: true,
        onBytes: (done, total) => step.advance(done, total, 'bytes'),
      }),
    );
    return work(await readBackup(join(folder, metadataName(backup.id))));
  });
}

/** A path can name a backup in a different folder than the given one. */
export function placeOf(place: Place, {metadataPath}: Backup): Place {
  return place.isOnThisMachine ? localPlace(dirname(metadataPath)) : place;
}

/** A folder in the backups folder for the duration of `work`; the journal lists it, so that `recover` removes it after a kill. */
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
