/** Dumps with a final name but without metadata: their runs were killed between the two renames. */
import {basename, dirname, join} from 'node:path';
import {formats, withoutExtension} from '../../base/formats.js';
import {metadataSuffix, rolesName} from '../../catalog/backup-name.js';
import {partialSuffix} from '../../base/file-names.js';
import {type Backup, readBackup} from '../../catalog/catalogue.js';
import {checkFiles} from '../../catalog/check-files.js';
import {unnamedMetadata} from '../../catalog/dump-place.js';
import {whyForeign} from '../../base/own-file.js';
import {exists, removeSafely, renameSafely} from '../../base/safe-file.js';
import {AppError, messageOf} from '../../base/errors.js';
import type {RunContext} from '../../run/run-context.js';
import type {JournalEntry} from '../../run/journal.js';
import type {Leftover} from './leftover.js';

type DumpEntry = Extract<JournalEntry, {kind: 'dump-without-metadata'}>;

/** Whether it is named like a dump of this program and has no metadata. */
async function isOurOrphan({path, metadataPath}: DumpEntry): Promise<boolean> {
  const id = idOf(metadataPath);
  const isOurs =
    metadataPath.endsWith(metadataSuffix) &&
    dirname(metadataPath) === dirname(path) &&
    /-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d/.test(id) &&
    withoutExtension(basename(path).replace(/\.age$/, '')) === id;
  return isOurs && !(await exists(metadataPath));
}

function idOf(metadataPath: string): string {
  const name = basename(metadataPath).slice(0, -metadataSuffix.length);
  return withoutExtension(name) ?? name;
}

/** The backup of a run that was killed after its dump got its final name and before its metadata did; otherwise undefined. */
export async function readUnnamedBackup(entry: DumpEntry): Promise<Backup | undefined> {
  const partial = unnamedMetadata(entry);
  // Prune uses other names; most entries are resolved before this.
  const reason = await whyForeign(partial, 'file').catch(() => 'is missing');
  if (reason !== undefined || !(await isOurOrphan(entry))) return undefined;
  try {
    const backup = await readBackup(partial);
    return backup.path === entry.path && backup.id === idOf(entry.metadataPath) ? backup : undefined;
  } catch (error) {
    if (error instanceof AppError) return undefined; // truncated, or the dump has no final name: an ordinary unfinished file
    throw error;
  }
}

/** Compares every byte before the metadata gets its final name. @param backup from `readUnnamedBackup` */
export function finishLeftover(ctx: RunContext, backup: Backup, busy: string | undefined): Leftover {
  const what = {kind: 'dump-without-metadata', what: backup.path} as const;
  if (busy !== undefined) return {...what, action: 'leave', reason: busy};
  return {
    ...what,
    action: 'finish',
    reason:
      'its run verified it and ended before it named the metadata; it becomes a backup if all its bytes are intact',
    run: () => finishBackup(ctx, backup),
  };
}

/** @throws READ_FAILED, FOLDER_NOT_WRITABLE */
async function finishBackup(ctx: RunContext, {metadataPath: partial, ...backup}: Backup): Promise<void> {
  const metadataPath = partial.slice(0, -partialSuffix.length);
  try {
    await checkFiles(backup, {signal: ctx.signal});
  } catch (error) {
    const isDamaged =
      error instanceof AppError && ['CHECKSUM_MISMATCH', 'BACKUP_INCOMPLETE'].includes(error.code);
    if (!isDamaged) throw error;
    ctx.warn(`${backup.path} was not a complete backup and was removed: ${messageOf(error)}`);
    for (const path of [backup.path, ...rolesOf(backup)]) await removeOrphan(path, metadataPath);
    await removeSafely(partial);
    return;
  }
  await renameSafely(partial, metadataPath);
}

function rolesOf({path, record}: Pick<Backup, 'path' | 'record'>): string[] {
  return record?.roles ? [join(dirname(path), record.roles.path)] : [];
}

/** The dump, and the roles next to it, if their metadata cannot make them a backup. */
export async function orphanLeftovers(entry: DumpEntry, busy: string | undefined): Promise<Leftover[]> {
  const {path, metadataPath} = entry;
  if (!(await isOurOrphan(entry))) return [];
  const id = idOf(metadataPath);
  const found: Leftover[] = [];
  const roles = join(dirname(path), rolesName(id));
  for (const candidate of [path, roles, `${roles}.age`]) {
    const kind = candidate.endsWith(formats.directory.extension) ? 'folder' : 'file';
    const foreign = await whyForeign(candidate, kind).catch(() => 'is missing'); // nothing to do
    if (foreign !== undefined) continue;
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

async function removeOrphan(path: string, metadataPath: string): Promise<void> {
  if (await exists(metadataPath)) return; // it became a backup meanwhile
  const partial = `${path}${partialSuffix}`;
  await renameSafely(path, partial);
  await removeSafely(partial);
}
