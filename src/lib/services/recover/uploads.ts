/** What copies that were cut off left in object stores. */
import {AppError} from '../../base/errors.js';
import type {RunContext} from '../../run/run-context.js';
import {openPlace} from '../../storage/open-place.js';
import {folderOf, readPlace} from '../../storage/place-catalogue.js';
import {removeStaged} from '../../storage/transfer-backup.js';
import type {LeftJournal} from '../../run/journal.js';
import type {Leftover} from './leftover.js';

/** Told by the journals of runs that have ended; the store is asked when they are cleared up. */
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
        reason: `a copy to ${entry.place} was cut off`,
        run: () => removeUpload(ctx, entry.place, entry.key),
      },
    ];
  });
}

/** A run that was killed right after it wrote the metadata had finished: its files are a backup's. */
async function removeUpload(ctx: RunContext, url: string, staging: string): Promise<void> {
  const place = await openPlace(ctx.settings, url);
  const found = await readPlace(place, ctx.signal).catch((error: unknown) => {
    if (error instanceof AppError && error.code === 'STORAGE_BUCKET_NOT_FOUND') return undefined;
    throw error;
  });
  if (!found) {
    ctx.warn(`${url}: there is no such bucket any more, nor what a copy left in it.`);
    return;
  }
  const {backups, problems} = found;
  if (backups.some(({record}) => folderOf(record) === staging)) return;
  const id = /^data\/(.*)\.[^.]*\/$/.exec(staging)?.[1];
  const unread = problems.find(({path}) => id !== undefined && path.startsWith(`${place.url}/${id}.`));
  if (unread)
    throw new AppError('METADATA_INVALID', `It may be the backup of ${unread.path}, which cannot be read.`, {
      hint: 'Look at that file: remove it when it is of no use, and run recover again.',
    });
  await removeStaged(place, staging);
}
