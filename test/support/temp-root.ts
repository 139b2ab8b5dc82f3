/** vitest global setup: one folder for all files of the tests, which is removed after the run. */
import {chmod, mkdtemp, readFile, realpath, rm, statfs} from 'node:fs/promises';
import {freemem, tmpdir} from 'node:os';
import {join} from 'node:path';

const variable = 'DESTINO_TEST_FOLDER';

/** Space for the servers and backups of a complete run, bytes. */
const roomBytes = 6 * 2 ** 30;

/** @returns a function that removes the folder, for the first of the projects of a run only: they share it */
export async function setup(): Promise<(() => Promise<void>) | undefined> {
  if (process.env[variable] !== undefined) return undefined;
  if (process.env['TMPDIR'] === undefined && (await isRoomyMemory('/dev/shm')))
    process.env['TMPDIR'] = '/dev/shm';
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'destino-db-tests-')));
  await chmod(folder, 0o711); // programs under other accounts must be able to enter it
  process.env[variable] = folder;
  return () => rm(folder, {recursive: true, force: true});
}

/**
 * Whether a file system in memory is large enough for the tests. Each of their databases is some 300 files, and ext4 searches for seconds
 * for the numbers of files that were deleted seconds ago (recently_deleted in fs/ext4/ialloc.c): a third of all CPU time.
 */
async function isRoomyMemory(folder: string): Promise<boolean> {
  const mounts = await readFile('/proc/mounts', 'utf8').catch(() => ''); // only Linux has it
  const mount = mounts.split('\n').findLast((line) => line.split(' ')[1] === folder);
  const [, , type, options = ''] = mount?.split(' ') ?? [];
  if (type !== 'tmpfs' || options.split(',').includes('noexec')) return false;
  const {bavail, bsize} = await statfs(folder);
  return Math.min(bavail * bsize, freemem()) >= roomBytes;
}
