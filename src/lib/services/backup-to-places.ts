/** `backup` with copies: the finished backup goes to every place that was named. */
import {basename, dirname} from 'node:path';
import {metadataSuffix} from '../backups/backup-name.js';
import {AppError, withState} from '../errors.js';
import type {RunContext} from '../run-context.js';
import {backupDatabase} from './backup-database.js';
import type {BackupRequest} from './backup-options.js';
import {isRemote} from '../storage/open-place.js';
import {type CopiedBackup, copyBackups, encryptToOf} from './copy-backups.js';
import type {BackupResult} from './describe-backup.js';

export interface CopyFlags {
  /** Places; those of the config file by default. */
  readonly to?: readonly string[] | undefined;
  readonly recipients?: readonly string[] | undefined;
  readonly passphraseFile?: string | undefined;
  /** False streams to the first place and copies from there to the others. */
  readonly isLocal?: boolean | undefined;
}

export interface CopiedBackupResult extends BackupResult {
  readonly copies: readonly CopiedBackup[];
}

/** @throws what `backupDatabase` and `copyBackups` throw; when a copy fails the backup itself is whole, and the message says so */
export async function backupToPlaces(
  context: RunContext,
  request: BackupRequest,
  flags: CopyFlags,
): Promise<CopiedBackupResult> {
  const {storage} = context.settings.config;
  const to = flags.to ?? storage?.places ?? [];
  if (to.length === 0 && (flags.recipients !== undefined || flags.passphraseFile !== undefined)) {
    const name = flags.recipients === undefined ? '--passphrase-file' : '--encrypt-to';
    throw new AppError('USAGE', `${name} encrypts copies, and no place for a copy was named.`, {
      hint: 'Add --to s3://bucket/prefix. The backup in the backups folder stays as it is.',
    });
  }
  const folder = to.find((place) => !isRemote(place));
  if (folder !== undefined && (flags.recipients !== undefined || flags.passphraseFile !== undefined)) {
    throw new AppError(
      'USAGE',
      `Backups in folders are not encrypted, and --to ${folder} is one; nothing was done.`,
      {
        hint: 'Encrypt copies in buckets only (--to s3://bucket/prefix), or leave the folder to a copy of its own.',
      },
    );
  }
  // A wrong key is known before the dump is made, not after it.
  const encryptTo = await encryptToOf(context.settings, flags);
  if (flags.isLocal === false) {
    const [first, ...others] = to;
    if (first === undefined)
      throw new AppError('USAGE', '--no-local needs a bucket in --to (s3://bucket/prefix).');
    const {streamBackup} = await import('./stream-backup.js');
    const streamed = await streamBackup(context, request, first, encryptTo);
    if (streamed.metadataPath === null || others.length === 0) return {...streamed, copies: []};
    const {copies: more} = await copyBackups(context, {
      from: first,
      to: others,
      backupFiles: [basename(streamed.metadataPath)],
      encryptTo,
    });
    return {...streamed, copies: more};
  }
  const result = await backupDatabase(context, request);
  if (to.length === 0 || result.metadataPath === null) return {...result, copies: []};
  const copies: CopiedBackup[] = [];
  for (const place of to) {
    try {
      const copied = await copyBackups(context, {
        from: dirname(result.metadataPath),
        to: [place],
        backupFiles: [basename(result.metadataPath, metadataSuffix)],
        encryptTo,
      });
      copies.push(...copied.copies);
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      throw withState(
        error,
        `The backup ${result.id ?? ''} itself is whole in ${dirname(result.metadataPath)}; the copy to ${place} is not there.`,
      );
    }
  }
  return {...result, copies};
}
