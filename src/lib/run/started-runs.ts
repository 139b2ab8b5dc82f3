/** Running runs, one small file each, so that the audit log also has the runs that were killed. */
import {lstat, mkdir, rename, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {z} from 'zod';
import {foreignNote, ownEntries, readOwnFile, requireOwnFolder} from '../base/own-file.js';
import {livenessOf, processIdentitySchema, thisProcess} from '../base/process-identity.js';
import {appendRun} from './append-history.js';
import {type RunRecord, runRecordSchema} from './run-record.js';

const folderName = '.runs';
const unfinished = '.partial';
/** A run is named by a random UUID. */
const ourName = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\.json(?:\.partial)?$/;
/** A start is written within milliseconds; an unfinished file older than this, ms, is abandoned. */
const givenUpAfterMs = 60_000;
const startedSchema = z.object({owner: processIdentitySchema, record: runRecordSchema});

/**
 * Records the start of a run in an existing backups folder.
 * @param record the line for the audit log if the run is killed
 * @returns a function to call once the run is in the audit log
 */
export async function recordStart(backupsDir: string, record: RunRecord): Promise<() => Promise<void>> {
  const folder = join(backupsDir, folderName);
  const path = join(folder, `${record.runId}.json`);
  try {
    // Not recursive: a run that fails at once must not create a backups folder.
    await mkdir(folder, {mode: 0o700}).catch(() => undefined);
    await requireOwnFolder(folder);
    const text = JSON.stringify({owner: await thisProcess(), record});
    try {
      await writeFile(path + unfinished, text, {mode: 0o600, flag: 'wx'});
      await rename(path + unfinished, path); // so that no reader sees half of it
    } catch (error) {
      await rm(path + unfinished, {force: true}); // a full disk leaves it empty
      throw error;
    }
  } catch {
    return () => Promise.resolve(); // no folder yet, a foreign one, or a full disk: the run itself reports it
  }
  return () => rm(path, {force: true}).catch(() => undefined); // its line is in the log, and readers count a run once
}

/**
 * Adds killed runs to the audit log and removes their files here.
 * @returns a warning about foreign files, or none
 * @throws the errors of `appendRun`, READ_FAILED
 */
export async function recordKilledRuns(backupsDir: string, now: Date): Promise<string[]> {
  const folder = join(backupsDir, folderName);
  const {names, foreign} = await ownEntries(folder, (name) => ourName.test(name));
  for (const name of names) {
    const path = join(folder, name);
    if (name.endsWith(unfinished)) {
      const status = await lstat(path).catch(() => undefined); // it may be finished by now
      if (status && now.getTime() - status.mtimeMs > givenUpAfterMs) await rm(path, {force: true});
      continue;
    }
    const text = await readOwnFile(path).catch(() => undefined); // the run has just ended, or is root's
    if (text === undefined) continue;
    const started = parse(text);
    const isOurs = started ? `${started.record.runId}.json` === name : isTorn(text);
    if (!isOurs || (started && (await livenessOf(started.owner)) !== 'dead')) continue;
    // If two runs do this at once, the line is written twice; readers count a run once.
    if (started) await appendRun(backupsDir, started.record);
    await rm(path, {force: true});
  }
  return foreignNote(foreign);
}

/** Whether the text is what a power cut can leave of a started run: nothing, NUL bytes, or its beginning. */
function isTorn(text: string): boolean {
  return /^\0*$/.test(text) || text.startsWith('{"owner":');
}

function parse(text: string): z.infer<typeof startedSchema> | undefined {
  try {
    return startedSchema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined; // incomplete, or not written by this program
  }
}
