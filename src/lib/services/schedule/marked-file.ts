/** Files that this program made and may replace: known by their first line. */
import {mkdir, readFile, rm} from 'node:fs/promises';
import {dirname} from 'node:path';
import {explainFileError, writeFileSafely} from '../../base/safe-file.js';
import {AppError, systemErrorCode} from '../../base/errors.js';

/**
 * Writes `text`, or removes the file when undefined.
 * @returns whether anything changed
 * @throws GUARD when there is a file that does not begin with `mark`: somebody else's; FOLDER_NOT_WRITABLE, DISK_FULL
 */
export async function replaceMarkedFile(
  path: string,
  mark: string,
  text: string | undefined,
): Promise<boolean> {
  let before: string | undefined;
  try {
    before = await readFile(path, 'utf8');
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOENT') throw explainFileError(error, path);
  }
  if (before === text) return false;
  if (before !== undefined && !before.startsWith(`${mark}\n`)) {
    throw new AppError('GUARD', `${path} was not made by this program for this folder; it was left alone.`, {
      hint: 'Move the file away, then run this again.',
    });
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
