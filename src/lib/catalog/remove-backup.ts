/** Removes a backup so that it is never listed while it is half removed. */
import {randomBytes} from 'node:crypto';
import {rename, rm} from 'node:fs/promises';
import {basename, dirname, join} from 'node:path';
import {systemErrorCode} from '../base/errors.js';
import type {Checkpoint} from '../run/fault-points.js';
import {backupExtension, formats, withoutExtension} from '../base/formats.js';
import {metadataName, metadataSuffix, rolesName} from './backup-name.js';
import {partialSuffix} from '../base/file-names.js';
import type {Backup} from './catalogue.js';
import {whyForeign} from '../base/own-file.js';
import {explainFileError, syncFolder} from '../base/safe-file.js';

/**
 * Why this program may not remove the files of a backup; undefined if it may. All must be named as this
 * program or the old scripts name them, belong to the running user, be of the right kind and not be links.
 */
export async function whyNotOurs(backup: Backup): Promise<string | undefined> {
  if (!isNamedByUs(backup)) return 'its files do not have names of this program';
  for (const path of [backup.metadataPath, ...contentPaths(backup)]) {
    const kind = path === backup.path && formats[backup.format].isFolder ? 'folder' : 'file';
    // A file that cannot be inspected cannot be shown to be ours.
    const reason = await whyForeign(path, kind).catch(() => 'is missing');
    if (reason !== undefined) return `${basename(path)} ${reason}`;
  }
  return undefined;
}

function isNamedByUs({metadataPath, path, format, compressed, record, id}: Backup): boolean {
  const [metadata, dump] = [basename(metadataPath), basename(path)];
  if (dirname(metadataPath) !== dirname(path)) return false;
  if (record) {
    // For a folder, the files in it have the suffix.
    const encryptedSuffix = record.encryption ? '.age' : '';
    const name = id + backupExtension(format, compressed) + (formats[format].isFolder ? '' : encryptedSuffix);
    const hasOurRoles = !record.roles || record.roles.path === rolesName(id) + encryptedSuffix;
    return metadata === metadataName(id) && dump === name && hasOurRoles;
  }
  const named = metadata.slice(0, -metadataSuffix.length);
  return (dump === named || dump === `${named}.gz`) && withoutExtension(dump) !== undefined;
}

/**
 * Removes a backup: metadata and dump are renamed first (without metadata there is no backup), then removed.
 * Links inside a dump folder are removed, not followed.
 * @throws FOLDER_NOT_WRITABLE, WRITE_FAILED; the remains then end in `.partial`, or the backup is unchanged
 */
export async function removeBackup(backup: Backup, checkpoint: Checkpoint): Promise<void> {
  const suffix = `.${randomBytes(4).toString('hex')}${partialSuffix}`;
  const metadata = `${backup.metadataPath}${suffix}`;
  const contents = contentPaths(backup);
  try {
    await rename(backup.metadataPath, metadata);
    try {
      await checkpoint('prune.metadata-renamed');
      for (const path of contents) await rename(path, `${path}${suffix}`);
    } catch (error) {
      await restoreNames(backup, contents, suffix);
      throw error;
    }
    await syncFolder(dirname(backup.path));
    await checkpoint('prune.renamed');
    for (const path of contents) await rm(`${path}${suffix}`, {recursive: true});
    await checkpoint('prune.dump-removed');
    await rm(metadata);
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return; // another process removed it meanwhile
    throw explainFileError(error, backup.path);
  }
}

/** The dump, and the file of roles if the backup has one. */
function contentPaths({path, record}: Backup): string[] {
  return record?.roles ? [path, join(dirname(path), record.roles.path)] : [path];
}

/** Nothing was removed yet: renames all files back, the metadata last. */
async function restoreNames(backup: Backup, contents: readonly string[], suffix: string): Promise<void> {
  for (const path of [...contents, backup.metadataPath]) {
    try {
      await rename(`${path}${suffix}`, path);
    } catch (error) {
      if (systemErrorCode(error) !== 'ENOENT') throw error; // it was not renamed
    }
  }
}
