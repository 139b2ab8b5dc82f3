// Sizes of dumps.
import {readdir, stat} from 'node:fs/promises';
import {join} from 'node:path';

/** Of a file, or of all files of a folder, in MB. */
export async function megabytesOf(path) {
  const status = await stat(path);
  if (!status.isDirectory()) return status.size / 1e6;
  const sizes = await Promise.all(
    (await readdir(path)).map(async (name) => (await stat(join(path, name))).size),
  );
  return sizes.reduce((sum, size) => sum + size, 0) / 1e6;
}

/** Of the one backup there is in the working folder, without its metadata. */
export async function sizeOfBackup(work) {
  const folder = join(work, 'backups', 'database');
  const [name] = (await readdir(folder)).filter((file) => !file.endsWith('.json'));
  return megabytesOf(join(folder, name));
}
