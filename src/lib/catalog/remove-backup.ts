/** Takes one backup away so that no moment of it looks like a backup that is still there. */
import {randomBytes} from 'node:crypto';
import {rename, rm} from 'node:fs/promises';
import {basename, dirname, join} from 'node:path';
import {systemErrorCode} from '../base/errors.js';
import type {Reach} from '../run/fault-points.js';
import {backupExtension, formats, withoutExtension} from '../base/formats.js';
import {metadataName, metadataSuffix, rolesName} from './backup-name.js';
import {partialSuffix} from '../base/file-names.js';
import type {Backup} from './catalogue.js';
import {whyForeign} from '../base/own-file.js';
import {explainFileError, syncFolder} from '../base/safe-file.js';

/**
 * Why the files of a backup are not this program's to remove, or undefined when they are: both must be named as this
 * program or the old scripts name them, belong to the running user, be of the right kind and not be links.
 */
export async function whyNotOurs(backup: Backup): Promise<string | undefined> {
  if (!isNamedByUs(backup)) return 'its files are not named as this program names them';
  for (const path of [backup.metadataPath, ...contentPaths(backup)]) {
    const kind = path === backup.path && formats[backup.format].isFolder ? 'folder' : 'file';
    // If it cannot be looked at, it cannot be shown to be ours.
    const reason = await whyForeign(path, kind).catch(() => 'is missing');
    if (reason !== undefined) return `${basename(path)} ${reason}`;
  }
  return undefined;
}

function isNamedByUs({metadataPath, path, format, compressed, record, id}: Backup): boolean {
  const [metadata, dump] = [basename(metadataPath), basename(path)];
  if (dirname(metadataPath) !== dirname(path)) return false;
  if (record) {
    // Of a folder it is the files in it whose names say so.
    const sealed = record.encryption ? '.age' : '';
    const name = id + backupExtension(format, compressed) + (formats[format].isFolder ? '' : sealed);
    const hasOurRoles = !record.roles || record.roles.path === rolesName(id) + sealed;
    return metadata === metadataName(id) && dump === name && hasOurRoles;
  }
  const named = metadata.slice(0, -metadataSuffix.length);
  return (dump === named || dump === `${named}.gz`) && withoutExtension(dump) !== undefined;
}

/**
 * Removes a backup: first its metadata and its dump lose their names (no metadata, no backup), then they go.
 * Links inside a dump folder are removed, not followed.
 * @throws FOLDER_NOT_WRITABLE, WRITE_FAILED; what is left then ends in `.partial`, or is the untouched backup
 */
export async function removeBackup(backup: Backup, reach: Reach): Promise<void> {
  const mark = `.${randomBytes(4).toString('hex')}${partialSuffix}`;
  const metadata = `${backup.metadataPath}${mark}`;
  const contents = contentPaths(backup);
  try {
    await rename(backup.metadataPath, metadata);
    try {
      await reach('prune.metadata-renamed');
      for (const path of contents) await rename(path, `${path}${mark}`);
    } catch (error) {
      await restoreNames(backup, contents, mark);
      throw error;
    }
    await syncFolder(dirname(backup.path));
    await reach('prune.renamed');
    for (const path of contents) await rm(`${path}${mark}`, {recursive: true});
    await reach('prune.dump-removed');
    await rm(metadata);
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return; // somebody else removed it meanwhile
    throw explainFileError(error, backup.path);
  }
}

/** The dump, and the roles beside it where the backup has them. */
function contentPaths({path, record}: Backup): string[] {
  return record?.roles ? [path, join(dirname(path), record.roles.path)] : [path];
}

/** Nothing was removed yet: the backup gets all its names back, the metadata's last. */
async function restoreNames(backup: Backup, contents: readonly string[], mark: string): Promise<void> {
  for (const path of [...contents, backup.metadataPath]) {
    try {
      await rename(`${path}${mark}`, path);
    } catch (error) {
      if (systemErrorCode(error) !== 'ENOENT') throw error; // it had kept its name
    }
  }
}
