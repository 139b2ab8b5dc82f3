/** Temporary folders. */
import {mkdtemp, readdir, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {readOwnFile, requireOwnFolder} from './own-file.js';
import {AppError, messageOf, systemErrorCode} from './errors.js';
import {livenessOf, processIdentitySchema, thisProcess} from './process-identity.js';

/**
 * Makes a folder for the owner alone in the system's temporary folder.
 * @param word the purpose, as part of the name: "destino-db-list-Xy12ab"
 * @throws DISK_FULL, FOLDER_NOT_WRITABLE
 */
export async function makeTemporaryFolder(word: string): Promise<string> {
  try {
    return await mkdtemp(join(tmpdir(), `destino-db-${word}-`));
  } catch (error) {
    throw explain(error);
  }
}

/** In each folder of `withTemporaryFolder`: its process, so that a later run can remove the folder of a killed one. */
const ownerFile = '.owner';

/**
 * Runs `work` with a temporary folder and removes the folder afterwards. Also removes those of killed runs.
 * @throws DISK_FULL, FOLDER_NOT_WRITABLE also for writes of `work`; the other errors of `work`
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
    await rm(folder, {recursive: true, force: true}).catch(() => undefined); // the system cleans up later
  }
}

/** Folders of `withTemporaryFolder` that belong to the running user and whose process is gone. Never throws. */
export async function staleTemporaryFolders(): Promise<string[]> {
  const names = await readdir(tmpdir()).catch((): string[] => []);
  const stale: string[] = [];
  for (const name of names.filter((each) => /^destino-db-[a-z]+-[A-Za-z0-9]{6}$/.test(each))) {
    const folder = join(tmpdir(), name);
    try {
      await requireOwnFolder(folder);
      const owner = processIdentitySchema.parse(JSON.parse(await readOwnFile(join(folder, ownerFile))));
      if ((await livenessOf(owner)) === 'dead') stale.push(folder);
    } catch {
      continue; // another user's, another kind, or removed meanwhile
    }
  }
  return stale;
}

const full = ['ENOSPC', 'EDQUOT', 'EFBIG'];

/** Errors of other files, sessions and programs have their own codes. */
function isAboutWriting(error: unknown): boolean {
  return [...full, 'EACCES', 'EROFS', 'EIO'].includes(systemErrorCode(error) ?? '');
}

function explain(error: unknown): AppError {
  const isFull = full.includes(systemErrorCode(error) ?? '');
  return new AppError(
    isFull ? 'DISK_FULL' : 'FOLDER_NOT_WRITABLE',
    `The temporary folder ${tmpdir()} ${isFull ? 'is full' : 'cannot be used'}: ${messageOf(error)}.`,
    {hint: 'Free space there, or choose another folder with the variable TMPDIR.', cause: error},
  );
}
