/** Runs that are at work, each a small file, so that one that was killed is not missing in the audit log. */
import {lstat, mkdir, rename, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {z} from 'zod';
import {foreignNote, ownEntries, readOwnFile, requireOwnFolder} from '../base/own-file.js';
import {fateOf, processIdentitySchema, thisProcess} from '../base/process-identity.js';
import {appendRun} from './append-history.js';
import {type RunRecord, runRecordSchema} from './run-record.js';

const folderName = '.runs';
const unfinished = '.partial';
/** A run is named by a random UUID. */
const ourName = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\.json(?:\.partial)?$/;
/** A started run is written within milliseconds; what is unfinished after this time, ms, was given up. */
const givenUpAfterMs = 60_000;
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
    await requireOwnFolder(folder);
    const text = JSON.stringify({owner: await thisProcess(), record});
    try {
      await writeFile(path + unfinished, text, {mode: 0o600, flag: 'wx'});
      await rename(path + unfinished, path); // nobody reads half of it
    } catch (error) {
      await rm(path + unfinished, {force: true}); // a full disk leaves it empty
      throw error;
    }
  } catch {
    return () => Promise.resolve(); // no folder yet, a foreign one, or a full disk: the run itself reports that
  }
  return () => rm(path, {force: true}).catch(() => undefined); // its line is in the log, where it counts once
}

/**
 * Adds the runs to the audit log that stopped without recording a result, and removes what they left here.
 * @returns what was left alone, as a warning
 * @throws what `appendRun` throws, READ_FAILED
 */
export async function recordKilledRuns(backupsDir: string, now: Date): Promise<string[]> {
  const folder = join(backupsDir, folderName);
  const {names, foreign} = await ownEntries(folder, (name) => ourName.test(name));
  for (const name of names) {
    const path = join(folder, name);
    if (name.endsWith(unfinished)) {
      const status = await lstat(path).catch(() => undefined); // it was finished just now
      if (status && now.getTime() - status.mtimeMs > givenUpAfterMs) await rm(path, {force: true});
      continue;
    }
    const text = await readOwnFile(path).catch(() => undefined); // it has ended just now, or is root's
    if (text === undefined) continue;
    const started = parse(text);
    const isOurs = started ? `${started.record.runId}.json` === name : isTorn(text);
    if (!isOurs || (started && (await fateOf(started.owner)) !== 'dead')) continue;
    // Two runs that do this at once write the line twice, and readers count a run once.
    if (started) await appendRun(backupsDir, started.record);
    await rm(path, {force: true});
  }
  return foreignNote(foreign);
}

/** Whether it is what a power cut can leave of a started run: nothing, NUL bytes, or its beginning. */
function isTorn(text: string): boolean {
  return /^\0*$/.test(text) || text.startsWith('{"owner":');
}

function parse(text: string): z.infer<typeof startedSchema> | undefined {
  try {
    return startedSchema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined; // cut short, or not this program's
  }
}
