/** Writes files that are either complete or absent: under a temporary name, synced, then renamed. */
import {randomBytes} from 'node:crypto';
import {constants, type FileHandle, lstat, mkdir, open, readdir, rename, rm} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import {AppError, messageOf, systemErrorCode} from './errors.js';
import {partialSuffix} from './file-names.js';
import {foreignFile} from './own-file.js';

/**
 * Makes `folder` and its missing parents, for the owner alone (0700). The new folders survive a power cut.
 * @throws FOLDER_NOT_WRITABLE, DISK_FULL
 */
export async function makePrivateFolder(folder: string): Promise<void> {
  try {
    const first = await mkdir(folder, {recursive: true, mode: 0o700});
    if (first === undefined) return;
    for (let made = folder; made.length >= first.length; made = dirname(made))
      await syncFolder(dirname(made));
  } catch (error) {
    throw explainFileError(error, folder);
  }
}

/**
 * Creates a file that must not exist, for the owner alone (0600).
 * O_EXCL does not follow a symbolic link of that name.
 */
export async function createPrivateFile(path: string): Promise<FileHandle> {
  try {
    return await open(path, constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY, 0o600);
  } catch (error) {
    throw explainFileError(error, path);
  }
}

/**
 * Creates an empty file for the owner alone (0600), so that of several runs one alone has the name.
 * @returns false if something has the name already
 * @throws DISK_FULL, FOLDER_NOT_WRITABLE, WRITE_FAILED
 */
export async function reserveFile(path: string): Promise<boolean> {
  try {
    await (await createPrivateFile(path)).close();
    return true;
  } catch (error) {
    if (error instanceof AppError && systemErrorCode(error.cause) === 'EEXIST') return false;
    throw error;
  }
}

/**
 * Writes `text` so that `path` has either the old or the new content, complete, whenever the machine stops.
 * A link, a pipe or a device of that name is not replaced.
 * @param mode for the owner alone by default
 * @throws FOREIGN_FILE, DISK_FULL, FOLDER_NOT_WRITABLE, WRITE_FAILED
 */
export async function writeFileSafely(path: string, text: string, mode = 0o600): Promise<void> {
  const partial = `${path}.${randomBytes(4).toString('hex')}${partialSuffix}`;
  const present = await lstat(path).catch(() => undefined); // usually nothing
  if (present && !present.isFile()) throw foreignFile(path, 'is not a regular file');
  try {
    await writeNewFile(partial, text, mode);
    await renameSafely(partial, path);
  } catch (error) {
    await rm(partial, {force: true}).catch(() => undefined); // report the first error
    throw explainFileError(error, path);
  }
}

/** Writes and syncs a file that must not exist. @throws DISK_FULL, FOLDER_NOT_WRITABLE, WRITE_FAILED; may leave a part of the file */
export async function writeNewFile(path: string, text: string | Uint8Array, mode = 0o600): Promise<void> {
  const file = await createPrivateFile(path);
  try {
    await file.writeFile(text);
    if (mode !== 0o600) await file.chmod(mode);
    await file.sync();
  } catch (error) {
    throw explainFileError(error, path);
  } finally {
    await file.close();
  }
}

/** Renames a file and syncs the folder, so that the new name survives a power cut. @throws the errors of `explainFileError`; the file may be renamed then */
export async function renameSafely(from: string, to: string): Promise<void> {
  try {
    await rename(from, to);
  } catch (error) {
    throw explainFileError(error, to);
  }
  await syncFolder(dirname(to));
}

/** Removes a file, a link, or a folder with its content, and syncs the parent folder. A missing path is not an error. */
export async function removeSafely(path: string): Promise<void> {
  try {
    await rm(path, {recursive: true, force: true});
  } catch (error) {
    throw explainFileError(error, path);
  }
  await syncFolder(dirname(path));
}

/** Syncs a file, or a folder with its content. */
export async function syncTree(path: string, isFolder: boolean): Promise<void> {
  if (isFolder) {
    for (const entry of await readdir(path, {withFileTypes: true})) {
      await syncTree(join(path, entry.name), entry.isDirectory());
    }
    await syncFolder(path);
    return;
  }
  const file = await open(path, 'r');
  try {
    await file.sync();
  } catch (error) {
    throw explainFileError(error, path);
  } finally {
    await file.close();
  }
}

/** Makes the names in the folder durable, where the system supports it. */
export async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return; // cannot open folders
  let handle: FileHandle;
  try {
    handle = await open(folder, 'r');
  } catch (error) {
    if (systemErrorCode(error) === 'EACCES') return; // this account may write but not read
    throw explainFileError(error, folder);
  }
  try {
    await handle.sync();
  } catch (error) {
    // Some network file systems cannot sync folders (EINVAL); the rename has been done.
    if (systemErrorCode(error) !== 'EINVAL') throw explainFileError(error, folder);
  } finally {
    await handle.close();
  }
}

/** The `AppError` for a failed file operation. */
export function explainFileError(error: unknown, path: string): AppError {
  if (error instanceof AppError) return error;
  switch (systemErrorCode(error)) {
    case 'ENOSPC':
    case 'EDQUOT':
    case 'EFBIG':
      return new AppError('DISK_FULL', `The disk is full: ${path} could not be written.`, {
        hint: 'Free space, or choose another folder with --backups-dir.',
        cause: error,
      });
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return new AppError('FOLDER_NOT_WRITABLE', `${path} is not accessible: ${messageOf(error)}.`, {
        hint: 'Check the rights of the folder, or choose another with --backups-dir.',
        cause: error,
      });
    case 'ENOTDIR':
    case 'EEXIST':
      return new AppError('FOLDER_NOT_WRITABLE', `Cannot use ${path}: ${messageOf(error)}.`, {
        hint: 'It is a file where a folder is needed, or the other way round; choose another path.',
        cause: error,
      });
    default:
      return new AppError('WRITE_FAILED', `${path}: ${messageOf(error)}.`, {cause: error});
  }
}

/** Whether the path exists, a dangling link included; false also where it may not be read. */
export async function exists(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    () => false,
  );
}
