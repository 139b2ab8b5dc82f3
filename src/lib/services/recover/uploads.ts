/** Finds leftovers of interrupted copies in object stores. */
import {AppError} from '../../base/errors.js';
import type {RunContext} from '../../run/run-context.js';
import {openPlace} from '../../storage/open-place.js';
import {folderOf, readPlace} from '../../storage/place-catalogue.js';
import {removeStaged} from '../../storage/transfer-backup.js';
import type {LeftJournal} from '../../run/journal.js';
import type {Leftover} from './leftover.js';

/** The journals of ended runs list them; the store is read when they are cleared up. */
export function findLeftoverUploads(ctx: RunContext, journals: readonly LeftJournal[]): Leftover[] {
  const entries = journals
    .filter((journal) => journal.liveness === 'dead')
    .flatMap((journal) => journal.unfinished);
  return entries.flatMap((entry): Leftover[] => {
    if (entry.kind !== 'upload') return [];
    return [
      {
        kind: 'upload',
        what: entry.key,
        action: 'remove',
        reason: `a copy to ${entry.place} was interrupted`,
        run: () => removeUpload(ctx, entry.place, entry.key),
      },
    ];
  });
}

/** If the run was killed right after it wrote the metadata, its files are a complete backup and are kept. */
async function removeUpload(ctx: RunContext, url: string, staging: string): Promise<void> {
  const place = await openPlace(ctx.settings, url);
  const found = await readPlace(place, ctx.signal).catch((error: unknown) => {
    if (error instanceof AppError && error.code === 'STORAGE_BUCKET_NOT_FOUND') return undefined;
    throw error;
  });
  if (!found) {
    ctx.warn(`${url}: the bucket does not exist, so nothing remains of the copy.`);
    return;
  }
  const {backups, problems} = found;
  if (backups.some(({record}) => folderOf(record) === staging)) return;
  const id = /^data\/(.*)\.[^.]*\/$/.exec(staging)?.[1];
  const unread = problems.find(({path}) => id !== undefined && path.startsWith(`${place.url}/${id}.`));
  if (unread)
    throw new AppError('METADATA_INVALID', `It may be the backup of ${unread.path}, which cannot be read.`, {
      hint: 'Look at that file. If you do not need it, remove it and run recover again.',
    });
  await removeStaged(place, staging);
}
