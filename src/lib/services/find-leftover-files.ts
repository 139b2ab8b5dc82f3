/** What interrupted runs left in the backups folders. */
import {lstat, readdir, rename, rm, stat} from 'node:fs/promises';
import {basename, dirname, join} from 'node:path';
import {metadataSuffix, partialSuffix} from '../backups/backup-name.js';
import {folderLockOwner} from '../backups/lock.js';
import {explainFileError, syncFolder} from '../backups/safe-file.js';
import {AppError, messageOf, systemErrorCode} from '../errors.js';
import {describeProcess} from '../process-identity.js';
import type {RunContext} from '../run-context.js';
import type {LeftJournal} from '../watch/journal.js';
import type {Leftover} from './recover-leftovers.js';

/** A small file under a temporary name lives for milliseconds; one without a journal that is older has no owner. */
const briefMs = 60_000;
const briefName = /\.json\.[0-9a-f]{8}\.partial$/;

/**
 * Unfinished files and folders, and dumps that were named but got no metadata, in the backups folder, its two
 * sub-folders and wherever a journal says that its run worked. A folder in which a run is at work is left alone.
 */
export async function findLeftoverFiles(
  ctx: RunContext,
  journals: readonly LeftJournal[],
): Promise<Leftover[]> {
  const {backupsDir} = ctx.settings;
  const dead = journals.filter((journal) => journal.fate === 'dead').flatMap((journal) => journal.unfinished);
  const dumps = dead.flatMap((entry) => (entry.kind === 'dump-without-metadata' ? [entry] : []));
  // Runs that are at work, or may be, are told by their journals.
  const inUse = new Set(
    journals
      .filter((journal) => journal.fate !== 'dead')
      .flatMap((journal) => journal.unfinished.flatMap((entry) => ('path' in entry ? [entry.path] : []))),
  );
  const elsewhere = dead.flatMap((entry) =>
    entry.kind === 'partial' || entry.kind === 'dump-without-metadata' ? [dirname(entry.path)] : [],
  );
  const folders = new Set([
    backupsDir,
    join(backupsDir, 'database'),
    join(backupsDir, 'order-cleanup'),
    ...elsewhere,
  ]);
  const found: Leftover[] = [];
  for (const folder of folders) {
    const names = (await namesIn(folder)).filter(
      (name) => name.endsWith(partialSuffix) && !inUse.has(join(folder, name)),
    );
    const orphans = dumps.filter((entry) => dirname(entry.path) === folder);
    if (names.length === 0 && orphans.length === 0) continue;
    const owner = await folderLockOwner(backupsDir, folder);
    const busy = owner && `"${owner.command}" (${describeProcess(owner)}) is at work in its folder`;
    for (const name of names) {
      const path = join(folder, name);
      const isDeadRuns = dumps.some((entry) => path.startsWith(entry.metadataPath));
      const brief =
        briefName.test(name) && !isDeadRuns && (await isYoungerThan(path, briefMs, ctx.clock.now()));
      const obstacle =
        busy ?? (brief ? 'it was written within the last minute and may be in use' : undefined);
      found.push(partialLeftover(path, obstacle));
    }
    for (const entry of orphans) found.push(...(await orphanLeftovers(entry.path, entry.metadataPath, busy)));
  }
  return found;
}

function partialLeftover(path: string, obstacle: string | undefined): Leftover {
  const what = {kind: 'partial', what: path} as const;
  if (obstacle !== undefined) return {...what, action: 'leave', reason: obstacle};
  return {
    ...what,
    action: 'remove',
    reason: 'unfinished, and its run has ended',
    run: () => removePartial(path),
  };
}

/** Only what is named as this program names dumps, is no link, and has no metadata vouching for it. */
async function orphanLeftovers(
  path: string,
  metadataPath: string,
  busy: string | undefined,
): Promise<Leftover[]> {
  const id = basename(metadataPath)
    .slice(0, -metadataSuffix.length)
    .replace(/\.(?:dump|sql|sql\.gz|dir)$/, '');
  const isOurs =
    metadataPath.endsWith(metadataSuffix) &&
    dirname(metadataPath) === dirname(path) &&
    /-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d/.test(id) &&
    new RegExp(`^${escapeForRegExp(id)}\\.(?:(?:dump|sql|sql\\.gz)(?:\\.age)?|dir)$`).test(basename(path));
  if (!isOurs || (await exists(metadataPath))) return [];
  const found: Leftover[] = [];
  const roles = join(dirname(path), `${id}.roles.sql`);
  for (const candidate of [path, roles, `${roles}.age`]) {
    const status = await lstat(candidate).catch(() => undefined); // gone already: nothing to do
    if (!status || status.isSymbolicLink()) continue;
    const what = {kind: 'dump-without-metadata', what: candidate} as const;
    found.push(
      busy === undefined
        ? {
            ...what,
            action: 'remove',
            reason: 'its metadata was never written, or was removed with it',
            run: () => removeOrphan(candidate, metadataPath),
          }
        : {...what, action: 'leave', reason: busy},
    );
  }
  return found;
}

async function removePartial(path: string): Promise<void> {
  try {
    await rm(path, {recursive: true, force: true}); // a link goes itself, not what it leads to
    await syncFolder(dirname(path));
  } catch (error) {
    throw explainFileError(error, path);
  }
}

async function removeOrphan(path: string, metadataPath: string): Promise<void> {
  if (await exists(metadataPath)) return; // it has become a backup meanwhile
  const partial = `${path}${partialSuffix}`;
  try {
    await rename(path, partial);
  } catch (error) {
    throw explainFileError(error, path);
  }
  await removePartial(partial);
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).sort();
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return [];
    throw new AppError('READ_FAILED', `The folder ${folder} cannot be read: ${messageOf(error)}.`, {
      cause: error,
    });
  }
}

async function isYoungerThan(path: string, ms: number, now: Date): Promise<boolean> {
  const status = await lstat(path).catch(() => undefined); // gone already
  return status !== undefined && now.getTime() - status.mtimeMs < ms;
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

function escapeForRegExp(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
