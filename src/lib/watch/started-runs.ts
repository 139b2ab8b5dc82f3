/** Runs that are at work, each a small file, so that one that was killed is not missing in the audit log. */
import {mkdir, readdir, readFile, rename, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {z} from 'zod';
import {fateOf, processIdentitySchema, thisProcess} from '../process-identity.js';
import {appendRun} from './history.js';
import {type RunRecord, runRecordSchema} from './run-record.js';

const folderName = '.runs';
const unfinished = '.partial';
const startedSchema = z.object({owner: processIdentitySchema, record: runRecordSchema});

/**
 * Notes that a run has begun, in a backups folder that exists.
 * @param record what the audit log says should the run never end by itself
 * @returns to be called once the run is in the audit log
 */
export async function noteStart(backupsDir: string, record: RunRecord): Promise<() => Promise<void>> {
  const folder = join(backupsDir, folderName);
  const path = join(folder, `${record.runId}.json`);
  try {
    // Not recursive: a run that fails at once is no reason to make a backups folder.
    await mkdir(folder, {mode: 0o700}).catch(() => undefined);
    const text = JSON.stringify({owner: await thisProcess(), record});
    await writeFile(path + unfinished, text, {mode: 0o600, flag: 'wx'});
    await rename(path + unfinished, path); // nobody reads half of it
  } catch {
    return () => Promise.resolve(); // no folder yet, or a full disk: the run itself meets that and tells it
  }
  return () => rm(path, {force: true}).catch(() => undefined); // its line is in the log, where it counts once
}

/**
 * Adds the runs to the audit log that have ended without a word.
 * @throws what `appendRun` throws
 */
export async function recordKilledRuns(backupsDir: string): Promise<void> {
  const folder = join(backupsDir, folderName);
  const names = await readdir(folder).catch((): string[] => []); // nothing has begun yet
  for (const name of names.filter((each) => !each.endsWith(unfinished))) {
    const path = join(folder, name);
    const started = parse(await readFile(path, 'utf8').catch(() => '')); // it has ended just now
    if (started && (await fateOf(started.owner)) !== 'dead') continue;
    // Two runs that do this at once write the line twice, and readers count a run once.
    if (started) await appendRun(backupsDir, started.record);
    await rm(path, {force: true});
  }
}

function parse(text: string): z.infer<typeof startedSchema> | undefined {
  try {
    return startedSchema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined; // it is gone, or nothing of this program's
  }
}
