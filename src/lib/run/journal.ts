/** The crash journal: what a run has begun and not yet finished, on disk before it is begun. */
import {randomBytes} from 'node:crypto';
import {constants, lstat, rm} from 'node:fs/promises';
import {join} from 'node:path';
import {z} from 'zod';
import {openOwnFile, type OwnEntries, ownEntries, readOwnFile, requireOwnFolder} from '../base/own-file.js';
import {explainFileError, makePrivateFolder, syncFolder} from '../base/safe-file.js';
import {AppError, messageOf, systemErrorCode} from '../base/errors.js';
import {fateOf, processIdentitySchema, type ProcessIdentity, thisProcess} from '../base/process-identity.js';
import type {RunContext} from './run-context.js';

const server = z.object({host: z.string(), port: z.int()});

/** What can be left behind, and all that is needed to find it again; never a password. */
export const journalEntrySchema = z.discriminatedUnion('kind', [
  /** A file or folder that is being written, or taken away; it ends in `.partial`. */
  z.object({kind: z.literal('partial'), path: z.string()}),
  /** A dump whose metadata is about to be written, or was just taken away. */
  z.object({kind: z.literal('dump-without-metadata'), path: z.string(), metadataPath: z.string()}),
  /** A database made for a proof by restore. */
  z.object({kind: z.literal('scratch-database'), server, database: z.string()}),
  /** A database that is being filled to take the place of `target`. */
  z.object({kind: z.literal('staging-database'), server, database: z.string(), target: z.string()}),
  /** The moment in which `target` becomes `setAside` and `staging` becomes `target`; `undo` sets `staging` to the one it brings back. */
  z.object({
    kind: z.literal('swap'),
    server,
    target: z.string(),
    setAside: z.string(),
    staging: z.string(),
  }),
  /** New sessions are kept out of `database` for a moment. */
  z.object({kind: z.literal('no-connections'), server, database: z.string()}),
  /** An index that `orders:clean` made for its own duration. */
  z.object({kind: z.literal('temporary-index'), server, database: z.string(), index: z.string()}),
  /** An upload in parts that a store keeps, and charges, until it is completed or given up. */
  z.object({kind: z.literal('upload'), place: z.string(), key: z.string(), uploadId: z.string()}),
]);
export type JournalEntry = z.infer<typeof journalEntrySchema>;

export interface Journal {
  /**
   * Call before the thing is begun; returns once the entry would survive a power cut.
   * Call what it returns when the thing is finished or cleared up; that never throws.
   */
  begin(entry: JournalEntry): Promise<() => Promise<void>>;
  /** Ends the journal; what was begun and not done stays for `recover`. Never throws. */
  close(): Promise<void>;
}

const folderName = '.journal';
const suffix = '.jsonl';
/** The time and a random part, as `openJournal` names them. */
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
 * A journal for one run. The file is made by the first entry and gone after the last, so that a run which leaves
 * nothing behind leaves no journal either. Work on a server goes on where the journal cannot be written, with one
 * warning: a restore from a read-only folder must be possible, and `recover` also finds databases by their comments.
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
          // Every line begins with its newline: one that a full disk cut short must not swallow the next.
          await file.writeFile(`${head}\n${JSON.stringify(line)}`);
          if (isDurable) await file.sync();
        } finally {
          await file.close();
        }
        if (!isMade) await syncFolder(folder);
        isMade = true;
      } catch (error) {
        if (!isMade) await rm(path, {force: true}).catch(() => undefined); // the first error is the one to tell
        throw explainFileError(error, path);
      }
    });
    queue = work.catch(() => undefined); // the caller of this line is told; later lines are tried all the same
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
          ctx.warn(
            `The crash journal cannot be written, and the work goes on without it: ${messageOf(error)}`,
          );
        isWarned = true;
        return () => Promise.resolve();
      }
      return async () => {
        if (!unfinished.delete(number)) return;
        // Without this line `recover` looks at the thing once more and finds it finished; that is no reason to fail.
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
  /** Whether the run that wrote it is still at work, or may be (on another machine). */
  readonly fate: 'alive' | 'dead' | 'elsewhere';
  /** Begun and not done, oldest first. */
  readonly unfinished: readonly JournalEntry[];
}

/** Makes the journal's folder. @throws FOREIGN_FILE where something else has its name */
async function makeOwnFolder(folder: string): Promise<void> {
  await makePrivateFolder(folder);
  await requireOwnFolder(folder);
}

/**
 * Every journal in the backups folder; lines that a crash cut short are skipped.
 * What others wrote is not believed: a journal says which files and databases to remove.
 * @param report is given what was left alone, as `ownEntries` says it
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
      throw new AppError('READ_FAILED', `The journal ${path} cannot be read: ${messageOf(error)}.`, {
        cause: error,
      });
    }
    const journal = await parseJournal(path, text);
    if (journal) journals.push(journal);
  }
  return journals;
}

/** A head is written within milliseconds; one that is torn after this time, ms, was given up. */
const givenUpAfterMs = 60_000;

/**
 * Removes journals of runs that were killed while they wrote the first line: nothing had been begun.
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
  // A head that was cut short was never followed by an entry, so nothing had been begun.
  if (!head.success) return undefined;
  const open = new Map<number, JournalEntry>();
  for (const line of lines) {
    const parsed = lineSchema.safeParse(line);
    if (!parsed.success) continue;
    if ('done' in parsed.data) open.delete(parsed.data.done);
    else open.set(parsed.data.begin, parsed.data.entry);
  }
  return {path, ...head.data, fate: await fateOf(head.data.owner), unfinished: [...open.values()]};
}

function parseLine(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined; // cut short by the crash
  }
}

/**
 * A sentence when interrupted runs left something behind, else undefined. Costs one look into a folder in the usual case.
 * @param report as of `readJournals`
 */
export async function leftoversNote(
  ctx: Pick<RunContext, 'settings'>,
  report?: (foreign: readonly string[]) => void,
): Promise<string | undefined> {
  const left = (await readJournals(ctx.settings.backupsDir, report)).filter(
    (journal) => journal.fate === 'dead' && journal.unfinished.length > 0,
  );
  if (left.length === 0) return undefined;
  const commands = [...new Set(left.map((journal) => journal.command))].join(', ');
  return `An interrupted run (${commands}) left work half done; see it with: destino-db recover --dry-run`;
}

async function journalEntries(folder: string): Promise<OwnEntries> {
  try {
    return await ownEntries(folder, (name) => ourName.test(name));
  } catch (error) {
    // Without the folder there is no journal; an unreadable one is reported by the commands that need it.
    if (systemErrorCode(error) !== undefined) return {names: [], foreign: []};
    throw error;
  }
}
