/** `backup` with copies: copies the finished backup to every requested location. */
import {basename, dirname} from 'node:path';
import {metadataSuffix} from '../../catalog/backup-name.js';
import {defined} from '../../base/defined.js';
import {AppError} from '../../base/errors.js';
import type {RunContext} from '../../run/run-context.js';
import {backupDatabase} from './local-backup.js';
import type {BackupRequest} from './options.js';
import type {CopiedBackup} from '../copy/copy-backups.js';
import type {BackupResult} from './result.js';
import {type EncryptionFlags, encryptionOf} from '../../encryption/settings.js';
import {requirePlaces} from '../../storage/open-place.js';
import {toEachPlace} from '../copy/each-location.js';

export interface CopyFlags extends Omit<EncryptionFlags, 'isLocal'> {
  /** Locations; by default those of the config file. */
  readonly to?: readonly string[];
  /** False streams to the first location and copies from there to the others. */
  readonly isLocal?: boolean;
  /** False keeps the backup in the backups folder unencrypted and encrypts only the copies. */
  readonly isLocalEncrypted?: boolean;
}

export interface CopiedBackupResult extends BackupResult {
  readonly copies: readonly CopiedBackup[];
}

/**
 * Tries every location, even after one failed.
 * @throws the errors of `backupDatabase` and `copyBackups`; if a copy fails, the message says that the backup itself is complete
 */
export async function backupToPlaces(
  context: RunContext,
  request: BackupRequest,
  flags: CopyFlags,
): Promise<CopiedBackupResult> {
  const to = flags.to ?? context.settings.config.storage?.places ?? [];
  // Check locations and keys before the dump, which may take hours.
  const places = await requirePlaces(context, to);
  const encryption = await encryptionOf(context, defined({...flags, isLocal: flags.isLocalEncrypted}));
  refusePlainOnly(flags, to);
  const plainPlaces = encryption.to
    ? []
    : to.filter((_name, index) => places[index]?.isOnThisMachine === false);
  const copy = async (from: string, backupFile: string, place: string): Promise<readonly CopiedBackup[]> => {
    const {copyBackups} = await import('../copy/copy-backups.js');
    return (await copyBackups(context, {from, to: [place], backupFiles: [backupFile], encryption})).copies;
  };
  if (flags.isLocal === false) {
    const [first, ...others] = to;
    if (first === undefined)
      throw new AppError('USAGE', '--no-local needs a bucket in --to (s3://bucket/prefix).');
    const {streamBackup} = await import('./stream-backup.js');
    const streamed = await streamBackup(context, {...request, plainPlaces}, first, encryption);
    const {metadataPath} = streamed;
    if (metadataPath === null) return {...streamed, copies: []};
    const copies = await toEachPlace(
      others,
      `The backup ${streamed.id ?? ''} is complete in ${first}.`,
      (place) => copy(first, basename(metadataPath), place),
    );
    return {...streamed, copies};
  }
  const result = await backupDatabase(context, {...request, encryption, plainPlaces});
  const {metadataPath} = result;
  if (metadataPath === null) return {...result, copies: []};
  const folder = dirname(metadataPath);
  const copies = await toEachPlace(
    to,
    `The backup ${result.id ?? ''} itself is complete in ${folder}.`,
    (place) => copy(folder, basename(metadataPath, metadataSuffix), place),
  );
  return {...result, copies};
}

/** @throws USAGE if encryption was requested and nothing would be encrypted */
function refusePlainOnly(flags: CopyFlags, to: readonly string[]): void {
  if (to.length > 0 || flags.isLocalEncrypted !== false) return;
  if (flags.recipients === undefined && flags.passphraseFile === undefined) return;
  const name = flags.recipients === undefined ? '--passphrase-file' : '--encrypt-to';
  throw new AppError('USAGE', `${name} contradicts --no-encrypt-local: there is no location for a copy.`, {
    hint: 'Add --to s3://bucket/prefix, or leave out --no-encrypt-local.',
  });
}
