/** Replaces files that this program created, which it recognises by their first line. */
import {mkdir, readFile, rm} from 'node:fs/promises';
import {dirname} from 'node:path';
import {explainFileError, writeFileSafely} from '../../base/safe-file.js';
import {AppError, systemErrorCode} from '../../base/errors.js';

/**
 * Writes `text`, or removes the file if it is undefined.
 * @returns whether anything changed
 * @throws GUARD if an existing file does not begin with `header`; FOLDER_NOT_WRITABLE, DISK_FULL
 */
export async function replaceOwnFile(
  path: string,
  header: string,
  text: string | undefined,
): Promise<boolean> {
  let before: string | undefined;
  try {
    before = await readFile(path, 'utf8');
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOENT') throw explainFileError(error, path);
  }
  if (before === text) return false;
  if (before !== undefined && !before.startsWith(`${header}\n`)) {
    throw new AppError(
      'GUARD',
      `${path} was not created by this program for this folder; it was not changed.`,
      {
        hint: 'Move the file away, then run this again.',
      },
    );
  }
  try {
    if (text === undefined) {
      await rm(path);
    } else {
      await mkdir(dirname(path), {recursive: true});
      await writeFileSafely(path, text, 0o644);
    }
  } catch (error) {
    throw explainFileError(error, path);
  }
  return true;
}
