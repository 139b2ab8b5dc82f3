/** A folder for what is needed for a while only. */
import {mkdtemp, readdir, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {readOwnFile, requireOwnFolder} from './own-file.js';
import {AppError, messageOf, systemErrorCode} from './errors.js';
import {fateOf, processIdentitySchema, thisProcess} from './process-identity.js';

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

/** In each folder of `withTemporaryFolder`: whose it is, so that a later run can remove what a killed one left. */
const ownerFile = '.owner';

/**
 * Runs `work` with such a folder, which is gone afterwards. What runs that were killed left is removed before.
 * @throws DISK_FULL, FOLDER_NOT_WRITABLE also for what `work` could not write there; what else `work` throws
 */
export async function withTemporaryFolder<T>(word: string, work: (folder: string) => Promise<T>): Promise<T> {
  for (const stale of await staleTemporaryFolders())
    await rm(stale, {recursive: true}).catch(() => undefined);
  const folder = await makeTemporaryFolder(word);
  try {
    await writeFile(join(folder, ownerFile), JSON.stringify(await thisProcess()), {mode: 0o600});
    return await work(folder);
  } catch (error) {
    throw isAboutWriting(error) ? explain(error) : error;
  } finally {
    await rm(folder, {recursive: true, force: true}).catch(() => undefined); // the system empties it some day
  }
}

/** Folders of `withTemporaryFolder` that belong to the running user and whose process has ended. Never throws. */
export async function staleTemporaryFolders(): Promise<string[]> {
  const names = await readdir(tmpdir()).catch((): string[] => []);
  const stale: string[] = [];
  for (const name of names.filter((each) => /^destino-db-[a-z]+-[A-Za-z0-9]{6}$/.test(each))) {
    const folder = join(tmpdir(), name);
    try {
      await requireOwnFolder(folder);
      const owner = processIdentitySchema.parse(JSON.parse(await readOwnFile(join(folder, ownerFile))));
      if ((await fateOf(owner)) === 'dead') stale.push(folder);
    } catch {
      continue; // of another user, of another kind, or removed just now
    }
  }
  return stale;
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
