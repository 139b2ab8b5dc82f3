/** The crash journal: the unfinished steps of a run, written to disk before each step begins. */
import {randomBytes} from 'node:crypto';
import {constants, lstat, rm} from 'node:fs/promises';
import {join} from 'node:path';
import {z} from 'zod';
import {openOwnFile, type OwnEntries, ownEntries, readOwnFile, requireOwnFolder} from '../base/own-file.js';
import {explainFileError, makePrivateFolder, syncFolder} from '../base/safe-file.js';
import {AppError, messageOf, systemErrorCode} from '../base/errors.js';
import {
  livenessOf,
  processIdentitySchema,
  type ProcessIdentity,
  thisProcess,
} from '../base/process-identity.js';
import type {RunContext} from './run-context.js';

const server = z.object({host: z.string(), port: z.int()});

/** A step that can be interrupted, with everything needed to find its remains; never a password. */
export const journalEntrySchema = z.discriminatedUnion('kind', [
  /** A file or folder that is being written or removed; its name ends in `.partial`. */
  z.object({kind: z.literal('partial'), path: z.string()}),
  /** A dump whose metadata is about to be written, or was just removed. */
  z.object({kind: z.literal('dump-without-metadata'), path: z.string(), metadataPath: z.string()}),
  /** A database made for a restore test. */
  z.object({kind: z.literal('scratch-database'), server, database: z.string()}),
  /** A database that is being filled to replace `target`. */
  z.object({kind: z.literal('staging-database'), server, database: z.string(), target: z.string()}),
  /** The swap in which `target` becomes `setAside` and `staging` becomes `target`; for `undo`, `staging` is the database that it brings back. */
  z.object({
    kind: z.literal('swap'),
    server,
    target: z.string(),
    setAside: z.string(),
    staging: z.string(),
  }),
  /** `database` does not accept new sessions for a moment. */
  z.object({kind: z.literal('no-connections'), server, database: z.string()}),
  /** An index made by `orders:clean` for the duration of the run. */
  z.object({kind: z.literal('temporary-index'), server, database: z.string(), index: z.string()}),
  /** A multipart upload, which a store keeps and charges for until it is completed or aborted. */
  z.object({kind: z.literal('upload'), place: z.string(), key: z.string(), uploadId: z.string()}),
]);
export type JournalEntry = z.infer<typeof journalEntrySchema>;

export interface Journal {
  /**
   * Call before a step begins; returns once the entry would survive a power cut.
   * Call the returned function when the step is finished or cleaned up; it never throws.
   */
  begin(entry: JournalEntry): Promise<() => Promise<void>>;
  /** Ends the journal; unfinished entries stay for `recover`. Never throws. */
  close(): Promise<void>;
}

const folderName = '.journal';
const suffix = '.jsonl';
/** Name of a journal: the time and a random part. */
const ourName = /^\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d-\d{3}Z-[0-9a-f]{6}\.jsonl$/;

const headSchema = z.object({
  run: z.string(),
  command: z.string(),
  startedAt: z.iso.datetime(),
  owner: processIdentitySchema,
});
const lineSchema = z.union([
  z.object({begin: z.int(), entry: journalEntrySchema}),
  z.object({done: z.int()}),
]);

/**
 * A journal for one run. The first entry creates the file and the end of the last one removes it, so that a clean run
 * leaves no journal. If the journal cannot be written, work on a server continues with one warning: a restore from a
 * read-only folder must be possible, and `recover` also finds databases by their comments.
 * @throws FOLDER_NOT_WRITABLE, DISK_FULL, FOREIGN_FILE from `begin`, for files
 */
export function openJournal(ctx: RunContext, command: string): Journal {
  const startedAt = ctx.clock.now().toISOString();
  const run = `${startedAt.replaceAll(/[:.]/g, '-')}-${randomBytes(3).toString('hex')}`;
  const folder = join(ctx.settings.backupsDir, folderName);
  const path = join(folder, run + suffix);
  const unfinished = new Set<number>();
  let last = 0;
  let queue = Promise.resolve();
  let isMade = false;
  let isWarned = false;

  const append = (line: object, isDurable: boolean): Promise<void> => {
    const work = queue.then(async () => {
      try {
        if (!isMade) await makeOwnFolder(folder);
        const file = await openOwnFile(path, constants.O_CREAT | constants.O_APPEND | constants.O_WRONLY);
        try {
          const head = isMade ? '' : JSON.stringify({run, command, startedAt, owner: await thisProcess()});
          // Every line begins with a newline, so that a line cut short by a full disk does not swallow the next one.
          await file.writeFile(`${head}\n${JSON.stringify(line)}`);
          if (isDurable) await file.sync();
        } finally {
          await file.close();
        }
        if (!isMade) await syncFolder(folder);
        isMade = true;
      } catch (error) {
        if (!isMade) await rm(path, {force: true}).catch(() => undefined); // report the first error
        throw explainFileError(error, path);
      }
    });
    queue = work.catch(() => undefined); // the caller gets the error; later lines are still tried
    return work;
  };

  return {
    async begin(entry) {
      const number = (last += 1);
      unfinished.add(number);
      try {
        await append({begin: number, entry}, true);
      } catch (error) {
        unfinished.delete(number);
        if (!('server' in entry)) throw error;
        if (!isWarned)
          ctx.warn(`The crash journal cannot be written; the run continues without it: ${messageOf(error)}`);
        isWarned = true;
        return () => Promise.resolve();
      }
      return async () => {
        if (!unfinished.delete(number)) return;
        // Without this line `recover` finds the step finished, so a failure here is harmless.
        await append({done: number}, false).catch(() => unfinished.add(number));
      };
    },
    async close() {
      await queue;
      if (isMade && unfinished.size === 0) await rm(path, {force: true}).catch(() => undefined); // as above
    },
  };
}

export interface LeftJournal {
  readonly path: string;
  readonly run: string;
  readonly command: string;
  readonly startedAt: string;
  readonly owner: ProcessIdentity;
  /** Whether the run that wrote it is still running, or may be (on another machine). */
  readonly liveness: 'alive' | 'dead' | 'elsewhere';
  /** Unfinished steps, oldest first. */
  readonly unfinished: readonly JournalEntry[];
}

/** Makes the journal's folder. @throws FOREIGN_FILE if its name is taken by something else */
async function makeOwnFolder(folder: string): Promise<void> {
  await makePrivateFolder(folder);
  await requireOwnFolder(folder);
}

/**
 * Reads all journals in the backups folder and skips lines that a crash cut short. A journal names files and databases to
 * remove, so files of other users are not read.
 * @param report receives the foreign files, as `ownEntries` returns them
 * @throws READ_FAILED
 */
export async function readJournals(
  backupsDir: string,
  report: (foreign: readonly string[]) => void = () => undefined,
): Promise<LeftJournal[]> {
  const folder = join(backupsDir, folderName);
  const journals: LeftJournal[] = [];
  const {names, foreign} = await journalEntries(folder);
  report(foreign);
  for (const name of names) {
    const path = join(folder, name);
    let text: string;
    try {
      text = await readOwnFile(path);
    } catch (error) {
      if (systemErrorCode(error) === 'ENOENT') continue; // its run ended just now
      if (systemErrorCode(error) === 'EACCES') continue; // root's, which root's own recover reads
      throw new AppError('READ_FAILED', `Cannot read the journal ${path}: ${messageOf(error)}.`, {
        cause: error,
      });
    }
    const journal = await parseJournal(path, text);
    if (journal) journals.push(journal);
  }
  return journals;
}

/** A head is written within milliseconds; an incomplete one older than this, ms, is abandoned. */
const givenUpAfterMs = 60_000;

/**
 * Removes journals of runs that were killed while writing the first line, before any step began.
 * @throws READ_FAILED
 */
export async function removeTornJournals(backupsDir: string, now: Date): Promise<void> {
  const folder = join(backupsDir, folderName);
  for (const name of (await journalEntries(folder)).names) {
    const path = join(folder, name);
    const status = await lstat(path).catch(() => undefined); // its run ended just now
    if (!status || now.getTime() - status.mtimeMs <= givenUpAfterMs) continue;
    const text = await readOwnFile(path).catch(() => undefined); // as above, or root's
    if (text !== undefined && !headOf(text).success) await rm(path, {force: true});
  }
}

function headOf(text: string): ReturnType<typeof headSchema.safeParse> {
  return headSchema.safeParse(parseLine(text.split('\n', 1)[0] ?? ''));
}

async function parseJournal(path: string, text: string): Promise<LeftJournal | undefined> {
  const [, ...lines] = text.split('\n').map(parseLine);
  const head = headOf(text);
  // A head that was cut short has no entries, so no step had begun.
  if (!head.success) return undefined;
  const open = new Map<number, JournalEntry>();
  for (const line of lines) {
    const parsed = lineSchema.safeParse(line);
    if (!parsed.success) continue;
    if ('done' in parsed.data) open.delete(parsed.data.done);
    else open.set(parsed.data.begin, parsed.data.entry);
  }
  return {path, ...head.data, liveness: await livenessOf(head.data.owner), unfinished: [...open.values()]};
}

function parseLine(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined; // cut short by the crash
  }
}

/**
 * A sentence if interrupted runs left something behind, else undefined. Usually costs one look into a folder.
 * @param report as in `readJournals`
 */
export async function leftoversNote(
  ctx: Pick<RunContext, 'settings'>,
  report?: (foreign: readonly string[]) => void,
): Promise<string | undefined> {
  const left = (await readJournals(ctx.settings.backupsDir, report)).filter(
    (journal) => journal.liveness === 'dead' && journal.unfinished.length > 0,
  );
  if (left.length === 0) return undefined;
  const commands = [...new Set(left.map((journal) => journal.command))].join(', ');
  return `Interrupted runs (${commands}) left unfinished work. See it with: destino-db recover --dry-run`;
}

async function journalEntries(folder: string): Promise<OwnEntries> {
  try {
    return await ownEntries(folder, (name) => ourName.test(name));
  } catch (error) {
    // Without the folder there is no journal; commands that need the folder report an unreadable one.
    if (systemErrorCode(error) !== undefined) return {names: [], foreign: []};
    throw error;
  }
}
