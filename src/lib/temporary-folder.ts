/** A folder for what is needed for a while only. */
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {AppError, messageOf, systemErrorCode} from './errors.js';

/**
 * Makes a folder for the owner alone in the system's temporary folder.
 * @param word tells what it is for: "destino-db-list-Xy12ab"
 * @throws DISK_FULL, FOLDER_NOT_WRITABLE
 */
export async function makeTemporaryFolder(word: string): Promise<string> {
  try {
    return await mkdtemp(join(tmpdir(), `destino-db-${word}-`));
  } catch (error) {
    throw explain(error);
  }
}

/**
 * Runs `work` with such a folder, which is gone afterwards.
 * @throws DISK_FULL, FOLDER_NOT_WRITABLE also for what `work` could not write there; what else `work` throws
 */
export async function withTemporaryFolder<T>(word: string, work: (folder: string) => Promise<T>): Promise<T> {
  const folder = await makeTemporaryFolder(word);
  try {
    return await work(folder);
  } catch (error) {
    throw isAboutWriting(error) ? explain(error) : error;
  } finally {
    await rm(folder, {recursive: true, force: true}).catch(() => undefined); // the system empties it some day
  }
}

const full = ['ENOSPC', 'EDQUOT', 'EFBIG'];

/** Errors of other files, sessions and programs have codes of this program's own. */
function isAboutWriting(error: unknown): boolean {
  return [...full, 'EACCES', 'EROFS', 'EIO'].includes(systemErrorCode(error) ?? '');
}

function explain(error: unknown): AppError {
  const isFull = full.includes(systemErrorCode(error) ?? '');
  return new AppError(
    isFull ? 'DISK_FULL' : 'FOLDER_NOT_WRITABLE',
    `The temporary folder ${tmpdir()} ${isFull ? 'is full' : 'cannot be used'}: ${messageOf(error)}.`,
    {hint: 'Free space there, or name another folder with the variable TMPDIR.', cause: error},
  );
}
