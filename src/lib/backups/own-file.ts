/** A dump lies where its metadata lies: links do not lead out of the folder. */
import {realpath, stat} from 'node:fs/promises';
import {dirname} from 'node:path';
import {AppError, messageOf} from '../errors.js';

/** @throws BACKUP_INCOMPLETE when it is missing, METADATA_INVALID when it is a link to another place or neither file nor folder */
export async function requireOwnFile(path: string): Promise<void> {
  let real: string;
  let isFileOrFolder: boolean;
  try {
    const status = await stat(path);
    isFileOrFolder = status.isFile() || status.isDirectory();
    real = await realpath(path);
  } catch (error) {
    throw new AppError('BACKUP_INCOMPLETE', `The dump ${path} is missing: ${messageOf(error)}.`, {
      cause: error,
    });
  }
  if (dirname(real) !== (await realpath(dirname(path)))) {
    throw new AppError('METADATA_INVALID', `The dump ${path} is a link that leads out of its folder.`);
  }
  // Opening a pipe could wait for ever.
  if (!isFileOrFolder)
    throw new AppError('METADATA_INVALID', `The dump ${path} is neither a file nor a folder.`);
}
