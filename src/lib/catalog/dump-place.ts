/** The files of a dump in progress: a reserved id, the `.partial` path and the final path. */
import {chmod, mkdir, readdir, rm, stat, truncate} from 'node:fs/promises';
import {basename, dirname, join} from 'node:path';
import {AppError} from '../base/errors.js';
import {backupExtension, type BackupFormat, formats} from '../base/formats.js';
import {backupId, metadataName, rolesName} from './backup-name.js';
import {claimSuffix, partialSuffix} from '../base/file-names.js';
import {takeFreeName} from '../base/free-name.js';
import {
  createPrivateFile,
  exists,
  explainFileError,
  makePrivateFolder,
  renameSafely,
  syncTree,
  writeNewFile,
} from '../base/safe-file.js';

export interface DumpPlace {
  readonly id: string;
  /** The target of pg_dump; exists already, empty. */
  readonly partialPath: string;
  readonly finalPath: string;
  readonly finalName: string;
  readonly metadataPath: string;
  /** The file of roles, if requested. */
  readonly rolesPath: string;
  readonly rolesPartialPath: string;
  readonly isFolder: boolean;
}

/**
 * Reserves the first free id of this second by creating its partial file or folder (0600, 0700).
 * @throws FOLDER_NOT_WRITABLE, DISK_FULL
 */
export async function reserveDumpPlace(
  folder: string,
  database: string,
  at: Date,
  format: BackupFormat,
  isCompressed: boolean,
): Promise<DumpPlace> {
  await makePrivateFolder(folder);
  return takeFreeName(join(folder, backupId(database, at)), isTaken, async (path) => {
    const id = basename(path);
    const finalName = id + backupExtension(format, isCompressed);
    const place: DumpPlace = {
      id,
      finalName,
      finalPath: join(folder, finalName),
      partialPath: join(folder, finalName + partialSuffix),
      metadataPath: join(folder, metadataName(id)),
      rolesPath: join(folder, rolesName(id)),
      rolesPartialPath: join(folder, rolesName(id) + partialSuffix),
      isFolder: formats[format].isFolder,
    };
    try {
      if (place.isFolder) await mkdir(place.partialPath, {mode: 0o700});
      else await (await createPrivateFile(place.partialPath)).close();
      return place;
    } catch (error) {
      throw explainFileError(error, place.partialPath);
    }
  });
}

/** Files of different formats have different names, so any file of this id counts. */
async function isTaken(path: string): Promise<boolean> {
  const names = await namesIn(dirname(path));
  return names.some((name) => name.startsWith(`${basename(path)}.`) && !name.endsWith(claimSuffix));
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    throw explainFileError(error, folder);
  }
}

/** Removes the output of a failed dump; the id stays reserved. */
export async function emptyDump({partialPath, isFolder}: DumpPlace): Promise<void> {
  if (!isFolder) return truncate(partialPath);
  for (const name of await readdir(partialPath)) await rm(join(partialPath, name), {force: true});
}

/** Makes the dump's files private and durable. */
export async function syncDump(place: DumpPlace): Promise<void> {
  if (place.isFolder) {
    for (const name of await readdir(place.partialPath)) await chmod(join(place.partialPath, name), 0o600);
  }
  await syncTree(place.partialPath, place.isFolder);
}

/** Path of the metadata before the dump is published. It is written first, so that `recover` can complete a backup killed in between. */
export function unnamedMetadata({metadataPath}: Pick<DumpPlace, 'metadataPath'>): string {
  return metadataPath + partialSuffix;
}

/** @throws WRITE_FAILED if a foreign file has the dump's name */
export async function requireFreeName({finalPath}: DumpPlace): Promise<void> {
  if (!(await exists(finalPath))) return;
  throw new AppError(
    'WRITE_FAILED',
    `Another program created ${finalPath} during the dump; it was not overwritten.`,
  );
}

/**
 * Renames the finished dump and the file of roles to their final names; the metadata is already on disk.
 * After an error the dump may have its final name.
 * @param metadata text of the metadata file, which is renamed last
 */
export async function publishDump(place: DumpPlace, metadata: string, hasRoles: boolean): Promise<void> {
  await writeNewFile(unnamedMetadata(place), metadata);
  if (hasRoles) await renameSafely(place.rolesPartialPath, place.rolesPath);
  await renameSafely(place.partialPath, place.finalPath);
}

/**
 * Removes the files of a failed run. Never throws, because the error of the run must be reported.
 * @param isPublished whether the dump may have its final name; it keeps it only together with its metadata
 * @returns "stands" if the backup exists in spite of the error, "stays" if files could not be removed
 */
export async function discardDump(
  place: DumpPlace,
  isPublished: boolean,
): Promise<'removed' | 'stands' | 'stays'> {
  try {
    await rm(place.partialPath, {recursive: true, force: true});
    await rm(place.rolesPartialPath, {force: true});
    await rm(unnamedMetadata(place), {force: true});
    if (!isPublished) return 'removed';
    const metadata = await stat(place.metadataPath).catch(() => null);
    if (metadata?.isFile() === true) return 'stands';
    await rm(place.finalPath, {recursive: true, force: true});
    await rm(place.rolesPath, {force: true});
    return 'removed';
  } catch {
    return 'stays';
  }
}
