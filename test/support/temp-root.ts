/** vitest global setup: one folder for all that the tests of a run write, so that none of it outlives the run. */
import {chmod, mkdtemp, realpath, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

const variable = 'DESTINO_TEST_FOLDER';

/** @returns what removes the folder, for the first of the projects of a run alone: they share it */
export async function setup(): Promise<(() => Promise<void>) | undefined> {
  if (process.env[variable] !== undefined) return undefined;
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'destino-db-tests-')));
  await chmod(folder, 0o711); // programs that run under other accounts pass through it
  process.env[variable] = folder;
  return () => rm(folder, {recursive: true, force: true});
}
