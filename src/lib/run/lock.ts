/** One writer per backups folder, or per database in it: lock files, taken over when their owner is dead. */
import {createHash, randomBytes} from 'node:crypto';
import {lstat, lutimes, open, readdir, realpath, rename, rm} from 'node:fs/promises';
import {basename, dirname, isAbsolute, join, relative, sep} from 'node:path';
import {setTimeout as delay} from 'node:timers/promises';
import {z} from 'zod';
import {AppError, messageOf, systemErrorCode} from '../base/errors.js';
import {formatAge, formatDuration} from '../base/format.js';
import {describeProcess, livenessOf, processIdentitySchema, thisProcess} from '../base/process-identity.js';
import type {RunContext} from './run-context.js';
import {openOwnFile, requireOwnFolder, requireTrustedFolder, whyForeign} from '../base/own-file.js';
import {explainFileError, makePrivateFolder} from '../base/safe-file.js';

const lockSchema = processIdentitySchema.extend({
  /** The running command, such as "backup". */
  command: z.string(),
  startedAt: z.iso.datetime(),
  /** Distinguishes this lock from all others; part of a file name. */
  token: z.string().regex(/^[0-9a-f]{1,64}$/),
});
export type LockOwner = z.infer<typeof lockSchema>;

export interface LockOptions {
  /** The running command, shown to runs that find the folder locked. */
  readonly command: string;
  /** How long to wait for another run, ms; 0 (the default) refuses at once. */
  readonly waitMs?: number;
  /**
   * Identity of the database (`databaseIdentity`) whose backups alone the run changes. Runs for other databases of the folder go on
   * beside it; runs for the whole folder do not.
   */
  readonly database?: string;
}

/** How often the owner touches its lock. */
const heartbeatMs = 10_000;
/** A lock of another machine that was not touched for this long has lost its owner. */
const deadAfterMs = 5 * 60_000;
const pollMs = 200;
const takeOverTries = 20;
/** How long two runs that lock the folder and a database of it at the same moment look for each other, ms: one of them steps back. */
const meetingMs = 1000;

/**
 * Runs `work` while no other process on any machine does so for the same folder, or for the same database in it. Not re-entrant.
 * @throws LOCKED naming the other run, after `waitMs`; FOLDER_NOT_WRITABLE; FOREIGN_FILE if the lock's name is taken by something else
 */
export async function withFolderLock<T>(
  ctx: RunContext,
  folder: string,
  work: () => Promise<T>,
  options: LockOptions,
): Promise<T> {
  const whole = await lockPath(ctx.settings.backupsDir, folder);
  const path = options.database === undefined ? whole : databaseLockPath(whole, options.database);
  await requireTrustedFolder(ctx.settings.backupsDir);
  await requireTrustedFolder(folder);
  await makePrivateFolder(dirname(path));
  if (basename(dirname(path)) === locksFolder) await requireOwnFolder(dirname(path));
  const token = await acquire(ctx, {path, whole}, folder, options);
  const heartbeat = setInterval(() => {
    // A failed heartbeat does not stop the run: the next one may succeed, and on this machine the process itself is visible.
    lutimes(path, new Date(), new Date()).catch(() => undefined);
  }, heartbeatMs);
  heartbeat.unref();
  try {
    return await work();
  } finally {
    clearInterval(heartbeat);
    await release(ctx, path, folder, token);
  }
}

/** If the lock file cannot be removed, warn; the next run takes it over once this process has ended. */
async function release(ctx: RunContext, path: string, folder: string, token: string): Promise<void> {
  try {
    if ((await readLock(path))?.owner?.token === token) await rm(path, {force: true});
    else ctx.warn(`Another run took over the lock of ${folder} while this one was running.`);
  } catch (error) {
    ctx.warn(`Could not remove the lock of ${folder}: ${messageOf(error)}.`);
  }
}

/**
 * The run that is using the folder or a database of it; undefined if there is none or it is dead.
 * For decisions that must not wait; only `withFolderLock` is reliable.
 */
export async function folderLockOwner(backupsDir: string, folder: string): Promise<LockOwner | undefined> {
  const whole = await lockPath(backupsDir, folder);
  const found = (await liveLock(whole)) ?? (await liveDatabaseLock(whole));
  return found?.owner;
}

/** The lock at `path` unless its owner is dead. */
async function liveLock(path: string): Promise<FoundLock | undefined> {
  const found = await readLock(path);
  return found && !(await isAbandoned(found)) ? found : undefined;
}

/** The first lock of a database in the folder whose lock is `whole`, unless their owners are all dead. */
async function liveDatabaseLock(whole: string): Promise<FoundLock | undefined> {
  const name = basename(whole).slice(0, -lockSuffix.length);
  const isOfDatabase = (other: string): boolean =>
    other.startsWith(`${name}@`) && databaseLock.test(other.slice(name.length));
  for (const other of await namesIn(dirname(whole))) {
    const found = isOfDatabase(other) ? await liveLock(join(dirname(whole), other)) : undefined;
    if (found) return found;
  }
  return undefined;
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).sort();
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return [];
    throw explainFileError(error, folder);
  }
}

const lockSuffix = '.lock';
const databaseLock = /^@[0-9a-f]{16}\.lock$/;

/** "database.lock" -> "database@0123456789abcdef.lock": an identity may contain any character. */
function databaseLockPath(whole: string, database: string): string {
  const digits = createHash('sha256').update(database).digest('hex').slice(0, 16);
  return `${whole.slice(0, -lockSuffix.length)}@${digits}${lockSuffix}`;
}

/**
 * Path of the lock file. Folders inside the backups folder are locked next to it, so that they contain backups only; other folders
 * contain their lock. Links are resolved, and a folder inside another user's backups folder is locked where that user's runs look.
 */
async function lockPath(backupsDir: string, folder: string): Promise<string> {
  const [root, real] = [await realPath(backupsDir), await realPath(folder)];
  const inside = relative(root, real);
  if (!inside.startsWith('..') && !isAbsolute(inside))
    return join(root, locksFolder, `${inside === '' ? 'all' : inside.split(sep).join('.')}.lock`);
  const ofOthers = join(dirname(real), locksFolder);
  const isTheirs = await whyForeign(ofOthers, 'folder').then(
    (reason) => reason === undefined,
    () => false, // it is not a backups folder
  );
  return isTheirs ? join(ofOthers, `${basename(real)}.lock`) : join(real, '.destino-db.lock');
}

const locksFolder = '.locks';

/** Resolves links, as far as the path exists. */
async function realPath(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch {
    const parent = dirname(path); // the rest does not exist yet, or the work itself fails
    return parent === path ? path : join(await realPath(parent), basename(path));
  }
}

/** The lock to take, and that of the whole folder: the same, unless the run is for one database. */
interface LockPaths {
  readonly path: string;
  readonly whole: string;
}

async function acquire(
  ctx: RunContext,
  paths: LockPaths,
  folder: string,
  options: LockOptions,
): Promise<string> {
  const token = randomBytes(8).toString('hex');
  const owner: LockOwner = {
    ...(await thisProcess()),
    command: options.command,
    startedAt: ctx.clock.now().toISOString(),
    token,
  };
  const waitMs = options.waitMs ?? 0;
  const now = (): Date => ctx.clock.now();
  let holder = await attemptBoth(paths, owner);
  if (holder && waitMs > 0) {
    holder = await ctx.progress.step('Wait for another run', async (step) => {
      const end = performance.now() + waitMs;
      for (;;) {
        const found = await attemptBoth(paths, owner);
        if (!found || performance.now() >= end) return found;
        step.note(describeHolder(found, now()));
        await delay(pollMs, undefined, {signal: ctx.signal}).catch(() => ctx.signal.throwIfAborted());
      }
    });
  }
  if (!holder) return token;
  const waited = waitMs > 0 ? `, and did not end within ${formatDuration(waitMs)}` : '';
  throw new AppError(
    'LOCKED',
    `Another run is using ${folder}: ${describeHolder(holder, now())}${waited}. Nothing was done.`,
    {hint: 'Run again when it has ended, or wait for it with --wait SECONDS.'},
  );
}

/**
 * Takes the lock, then looks for one that excludes it: that of the whole folder, or of any database in it. Of two runs that do so at
 * the same moment at least one sees the other. The run for a database gives way at once, the run for the folder a moment later.
 * @returns undefined when this run has the lock now, else the owner that is in the way
 */
async function attemptBoth({path, whole}: LockPaths, owner: LockOwner): Promise<FoundLock | undefined> {
  const holder = await attempt(path, owner);
  if (holder) return holder;
  const inTheWay = () => (path === whole ? liveDatabaseLock(whole) : liveLock(whole));
  try {
    let other = await inTheWay();
    const end = performance.now() + (path === whole ? meetingMs : 0);
    while (other && performance.now() < end) {
      await delay(pollMs / 4);
      other = await inTheWay();
    }
    if (other) await rm(path, {force: true});
    return other;
  } catch (error) {
    await rm(path, {force: true}).catch(() => undefined); // report the first error
    throw error;
  }
}

/** @returns undefined when this run has the lock now, else its owner */
async function attempt(path: string, owner: LockOwner): Promise<FoundLock | undefined> {
  for (let tries = 1; ; tries += 1) {
    if (await create(path, owner)) return undefined;
    const found = await readLock(path);
    if (!found) continue; // released between the two attempts
    if (!(await isAbandoned(found))) return found;
    if (await takeOver(path, found, owner)) return undefined;
    if (tries >= takeOverTries) return found;
    await delay(pollMs / 4); // another process is taking it over
  }
}

interface FoundLock {
  /** Undefined while the owner is still writing its name, or was stopped while writing. */
  readonly owner: LockOwner | undefined;
  readonly touchedAt: Date;
}

/** @returns whether this run has the lock now */
async function create(path: string, owner: LockOwner): Promise<boolean> {
  let file;
  try {
    file = await open(path, 'wx', 0o600);
  } catch (error) {
    if (systemErrorCode(error) === 'EEXIST') return false;
    throw explainFileError(error, path);
  }
  try {
    await file.writeFile(`${JSON.stringify(owner)}\n`);
    await file.sync();
    return true;
  } catch (error) {
    await rm(path, {force: true}).catch(() => undefined); // report the first error
    throw explainFileError(error, path);
  } finally {
    await file.close();
  }
}

async function readLock(path: string): Promise<FoundLock | undefined> {
  try {
    const file = await openOwnFile(path);
    try {
      return {owner: parseOwner(await file.readFile('utf8')), touchedAt: (await file.stat()).mtime};
    } finally {
      await file.close();
    }
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    throw explainFileError(error, path);
  }
}

function parseOwner(text: string): LockOwner | undefined {
  try {
    return lockSchema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined; // incomplete: the owner was stopped while writing, or is still writing
  }
}

async function isAbandoned(lock: FoundLock): Promise<boolean> {
  const untouchedMs = Date.now() - lock.touchedAt.getTime();
  if (!lock.owner) return untouchedMs > heartbeatMs;
  const fate = await livenessOf(lock.owner);
  return fate === 'dead' || (fate === 'elsewhere' && untouchedMs > deadAfterMs);
}

/**
 * Replaces an abandoned lock. Of several processes that find it, the one that creates the claim for this lock may replace it.
 * The lock is read again after that, because another process may have replaced it just before.
 * @returns whether this run has the lock now
 */
async function takeOver(path: string, found: FoundLock, owner: LockOwner): Promise<boolean> {
  const claim = `${path}.${found.owner?.token ?? 'unreadable'}.claim`;
  if (!(await create(claim, owner))) {
    const status = await lstat(claim).catch(() => undefined); // its owner may have finished
    if (status && Date.now() - status.mtimeMs > heartbeatMs) await rm(claim, {force: true}); // its owner died
    return false;
  }
  const current = await readLock(path);
  if (current?.owner?.token !== found.owner?.token) {
    await rm(claim, {force: true});
    return false;
  }
  await rename(claim, path);
  return true;
}

function describeHolder({owner, touchedAt}: FoundLock, now: Date): string {
  if (!owner) return `a run that began ${formatAge(touchedAt, now)}`;
  return `"${owner.command}" (${describeProcess(owner)}), started ${formatAge(new Date(owner.startedAt), now)}`;
}
