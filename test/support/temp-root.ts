/** vitest global setup: one folder for all that the tests of a run write, so that none of it outlives the run. */
import {chmod, mkdtemp, readFile, realpath, rm, statfs} from 'node:fs/promises';
import {freemem, tmpdir} from 'node:os';
import {join} from 'node:path';

const variable = 'DESTINO_TEST_FOLDER';

/** Room for the servers and backups of a whole run, bytes. */
const roomBytes = 6 * 2 ** 30;

/** @returns what removes the folder, for the first of the projects of a run alone: they share it */
export async function setup(): Promise<(() => Promise<void>) | undefined> {
  if (process.env[variable] !== undefined) return undefined;
  if (process.env['TMPDIR'] === undefined && (await isRoomyMemory('/dev/shm')))
    process.env['TMPDIR'] = '/dev/shm';
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'destino-db-tests-')));
  await chmod(folder, 0o711); // programs that run under other accounts pass through it
  process.env[variable] = folder;
  return () => rm(folder, {recursive: true, force: true});
}

/**
 * Whether a file system in memory takes all that the tests write. Each of their databases is some 300 files, and ext4 looks for seconds
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
