/** Dumps that bear their names while their metadata has none: of runs that were killed between the two. */
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

/** Whether it is named as this program names dumps, and has no metadata vouching for it. */
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

/** The backup whose run was killed when its dump had its name, and its metadata, which was written before, had none yet; else undefined. */
export async function readUnnamedBackup(entry: DumpEntry): Promise<Backup | undefined> {
  const partial = unnamedMetadata(entry);
  // Prune names them otherwise, and most runs end before.
  const reason = await whyForeign(partial, 'file').catch(() => 'is missing');
  if (reason !== undefined || !(await isOurOrphan(entry))) return undefined;
  try {
    const backup = await readBackup(partial);
    return backup.path === entry.path && backup.id === idOf(entry.metadataPath) ? backup : undefined;
  } catch (error) {
    if (error instanceof AppError) return undefined; // cut short, or of a dump without its name: unfinished like others
    throw error;
  }
}

/** Every byte is compared before the metadata gets its name. @param backup as `readUnnamedBackup` gives it */
export function finishLeftover(ctx: RunContext, backup: Backup, busy: string | undefined): Leftover {
  const what = {kind: 'dump-without-metadata', what: backup.path} as const;
  if (busy !== undefined) return {...what, action: 'leave', reason: busy};
  return {
    ...what,
    action: 'finish',
    reason:
      'verified by its run, which ended before its metadata had a name; it is a backup when every byte is there',
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
    ctx.warn(`${backup.path} was no whole backup and was removed: ${messageOf(error)}`);
    for (const path of [backup.path, ...rolesOf(backup)]) await removeOrphan(path, metadataPath);
    await removeSafely(partial);
    return;
  }
  await renameSafely(partial, metadataPath);
}

function rolesOf({path, record}: Pick<Backup, 'path' | 'record'>): string[] {
  return record?.roles ? [join(dirname(path), record.roles.path)] : [];
}

/** The dump, and the roles beside it, whose metadata cannot make it a backup. */
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
  if (await exists(metadataPath)) return; // it has become a backup meanwhile
  const partial = `${path}${partialSuffix}`;
  await renameSafely(path, partial);
  await removeSafely(partial);
}
