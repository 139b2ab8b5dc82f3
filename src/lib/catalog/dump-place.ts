/** The place of a dump in the making: a reserved id, its `.partial` path, and its final one. */
import {chmod, mkdir, readdir, rm, stat, truncate} from 'node:fs/promises';
import {join} from 'node:path';
import {AppError, systemErrorCode} from '../base/errors.js';
import {backupExtension, type BackupFormat, formats} from '../base/formats.js';
import {backupId, metadataName, rolesName} from './backup-name.js';
import {partialSuffix} from '../base/file-names.js';
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
  /** What pg_dump writes to; exists already, empty. */
  readonly partialPath: string;
  readonly finalPath: string;
  readonly finalName: string;
  readonly metadataPath: string;
  /** The roles beside the dump, where they were asked for. */
  readonly rolesPath: string;
  readonly rolesPartialPath: string;
  readonly isFolder: boolean;
}

const mostInOneSecond = 1000;

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
  for (let attempt = 1; attempt <= mostInOneSecond; attempt += 1) {
    const id = backupId(database, at, attempt);
    const taken = (await namesIn(folder)).some((name) => name.startsWith(`${id}.`));
    if (taken) continue;
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
      // An exclusive create decides between two runs that chose the same id at the same moment.
      if (place.isFolder) await mkdir(place.partialPath, {mode: 0o700});
      else await (await createPrivateFile(place.partialPath)).close();
      return place;
    } catch (error) {
      const cause = error instanceof AppError ? error.cause : error;
      if (systemErrorCode(cause) !== 'EEXIST') throw explainFileError(error, place.partialPath);
    }
  }
  throw new AppError(
    'WRITE_FAILED',
    `There are ${mostInOneSecond} backups of this second in ${folder} already.`,
  );
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    throw explainFileError(error, folder);
  }
}

/** Takes away what a dump that failed wrote; the place stays reserved. */
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

/** The metadata before it gets its name: written before the dump gets its own, so that `recover` can finish what a kill leaves between the two. */
export function unnamedMetadata({metadataPath}: Pick<DumpPlace, 'metadataPath'>): string {
  return metadataPath + partialSuffix;
}

/** @throws WRITE_FAILED when somebody else's file has the dump's name */
export async function requireFreeName({finalPath}: DumpPlace): Promise<void> {
  if (!(await exists(finalPath))) return;
  throw new AppError(
    'WRITE_FAILED',
    `${finalPath} appeared while the dump was made; it was not overwritten.`,
  );
}

/**
 * Gives the finished dump, and the roles beside it, their free names; the metadata is on the disk by then.
 * After an error the dump may have its name.
 * @param metadata text of the metadata file, which gets its name afterwards
 */
export async function publishDump(place: DumpPlace, metadata: string, hasRoles: boolean): Promise<void> {
  await writeNewFile(unnamedMetadata(place), metadata);
  if (hasRoles) await renameSafely(place.rolesPartialPath, place.rolesPath);
  await renameSafely(place.partialPath, place.finalPath);
}

/**
 * Removes what a failed run wrote; never throws, for the error of the run is the one to tell.
 * @param isPublished whether the dump may have its name; it keeps it only with the metadata that makes it a backup
 * @returns "stands" for a backup that is there in spite of the error, "stays" for remains that could not be removed
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
