/** Finds leftovers of interrupted runs in the backups folders. */
import {lstat, readdir} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import {backupFolder, isPartialName} from '../../catalog/backup-name.js';
import {orderBackupFolder} from '../../catalog/order-backup-name.js';
import {claimSuffix, partialSuffix} from '../../base/file-names.js';
import {folderLockOwner} from '../../run/lock.js';
import {whyForeign} from '../../base/own-file.js';
import {removeSafely} from '../../base/safe-file.js';
import {AppError, messageOf, systemErrorCode} from '../../base/errors.js';
import {describeProcess} from '../../base/process-identity.js';
import type {RunContext} from '../../run/run-context.js';
import {staleTemporaryFolders} from '../../base/temporary-folder.js';
import type {LeftJournal} from '../../run/journal.js';
import {finishLeftover, orphanLeftovers, readUnnamedBackup} from './orphan-dumps.js';
import {abandonedAfterMs, type Leftover} from './leftover.js';

/** A small file under a temporary name exists for milliseconds; an older one without a journal is abandoned. */
const briefMs = 60_000;
const isBrief = (name: string): boolean =>
  /\.json\.[0-9a-f]{8}\.partial$/.test(name) || name.endsWith(claimSuffix);

/**
 * Finds unfinished files and folders, and dumps without metadata, in the backups folder, its two sub-folders, and the folders in
 * journals. Folders that a run is using are not changed.
 */
export async function findLeftoverFiles(
  ctx: RunContext,
  journals: readonly LeftJournal[],
): Promise<Leftover[]> {
  const {backupsDir} = ctx.settings;
  const isDead = ({liveness, startedAt}: LeftJournal): boolean =>
    liveness === 'dead' ||
    (liveness === 'elsewhere' && ctx.clock.now().getTime() - Date.parse(startedAt) > abandonedAfterMs);
  const dead = journals.filter(isDead).flatMap((journal) => journal.unfinished);
  const dumps = dead.flatMap((entry) => (entry.kind === 'dump-without-metadata' ? [entry] : []));
  // The journals list the files of runs that are, or may be, running.
  const inUse = new Map(
    journals
      .filter((journal) => !isDead(journal))
      .flatMap((journal) =>
        journal.unfinished.flatMap((entry) => ('path' in entry ? [[entry.path, journal] as const] : [])),
      ),
  );
  const elsewhere = dead.flatMap((entry) =>
    entry.kind === 'partial' || entry.kind === 'dump-without-metadata' ? [dirname(entry.path)] : [],
  );
  const journalled = new Set(dead.flatMap((entry) => (entry.kind === 'partial' ? [entry.path] : [])));
  const folders = new Set([
    backupsDir,
    backupFolder({backupsDir}),
    join(backupsDir, orderBackupFolder),
    ...elsewhere,
  ]);
  const found: Leftover[] = [];
  for (const folder of folders) {
    const orphans = dumps.filter((entry) => dirname(entry.path) === folder);
    const unnamed = (await Promise.all(orphans.map(readUnnamedBackup))).flatMap((backup) => backup ?? []);
    const names = (await namesIn(folder)).filter(
      (name) =>
        (isPartialName(name) || (name.endsWith(partialSuffix) && journalled.has(join(folder, name)))) &&
        inUse.get(join(folder, name))?.liveness !== 'alive' &&
        !unnamed.some(({metadataPath}) => metadataPath === join(folder, name)),
    );
    if (names.length === 0 && orphans.length === 0) continue;
    const owner = await folderLockOwner(backupsDir, folder);
    const busy = owner && `"${owner.command}" (${describeProcess(owner)}) is running in its folder`;
    for (const name of names) {
      const path = join(folder, name);
      const isDeadRuns = dumps.some((entry) => path.startsWith(entry.metadataPath));
      const brief = isBrief(name) && !isDeadRuns && (await isYoungerThan(path, briefMs, ctx.clock.now()));
      const user = inUse.get(path);
      const obstacle =
        busy ??
        (user &&
          `its run on ${user.owner.host} may still be running; after a day without a lock the file counts as abandoned`) ??
        (await foreignReason(path)) ??
        (brief ? 'it was written within the last minute and may be in use' : undefined);
      found.push(partialLeftover(path, obstacle));
    }
    for (const backup of unnamed) found.push(finishLeftover(ctx, backup, busy));
    for (const entry of orphans) {
      if (!unnamed.some(({path}) => path === entry.path)) found.push(...(await orphanLeftovers(entry, busy)));
    }
  }
  for (const path of await staleTemporaryFolders()) found.push(partialLeftover(path, undefined));
  return found;
}

/** A dump in directory format is a folder, any other dump is a file. */
async function foreignReason(path: string): Promise<string | undefined> {
  const asFile = await whyForeign(path, 'file').catch(() => undefined); // already removed
  const reason = asFile === 'is a folder' ? await whyForeign(path, 'folder') : asFile;
  return reason === undefined ? undefined : `it ${reason}`;
}

function partialLeftover(path: string, obstacle: string | undefined): Leftover {
  const what = {kind: 'partial', what: path} as const;
  if (obstacle !== undefined) return {...what, action: 'leave', reason: obstacle};
  return {
    ...what,
    action: 'remove',
    reason: 'unfinished, and its run has ended',
    run: () => removeSafely(path),
  };
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
  const status = await lstat(path).catch(() => undefined); // already removed
  return status !== undefined && now.getTime() - status.mtimeMs < ms;
}
