/** The backup that rows are taken from, in any place, encrypted or not, for as long as `work` takes. */
import {basename, dirname, resolve} from 'node:path';
import {AppError} from '../../base/errors.js';
import type {Backup} from '../../catalog/catalogue.js';
import {isRemote} from '../../base/place-name.js';
import {keysOf} from '../../encryption/settings.js';
import type {RunContext} from '../../run/run-context.js';
import {requireFrom} from '../../storage/all-locations.js';
import {
  type BackupSource,
  databaseFolder,
  isEncrypted,
  placedIn,
  withFetched,
} from '../../storage/fetch-backup.js';
import {localPlace} from '../../storage/local-place.js';
import {openPlace} from '../../storage/open-place.js';
import type {Place} from '../../storage/place.js';
import {type PlacedBackup, readPlace} from '../../storage/place-catalogue.js';
import {ageSuffix} from '../../storage/stored-record.js';
import {ageFileSource, placedSource} from '../restore/remote-source.js';
import {choosePlacedOwn, findLocalBackup, findRestoreSource, type RestoreSource} from '../restore/source.js';

export interface BackupChoice {
  /** A path or an id; the newest usable backup of the own database without it. */
  readonly backupFile: string | undefined;
  readonly at: Date | undefined;
}

/** @throws BACKUP_NOT_FOUND, METADATA_INVALID, KEY_NEEDED, DECRYPT_FAILED and the codes of the stores, before `work` begins */
export async function withBackup<T>(
  context: RunContext,
  from: BackupSource,
  choice: BackupChoice,
  work: (source: RestoreSource) => Promise<T>,
): Promise<T> {
  const {settings, signal} = context;
  const keys = await keysOf(context, from);
  const open = async (place: Place, backup: PlacedBackup): Promise<T> =>
    backup.record.format === 'directory'
      ? withFetched(context, place, backup, keys, async (metadataPath) =>
          work(await findRestoreSource(context, {backupFile: metadataPath})),
        )
      : work(await placedSource(context, place, backup, keys));
  if (from.from !== undefined && isRemote(from.from)) {
    const place = await openPlace(settings, from.from);
    const {backups} = await readPlace(place, signal);
    return open(place, await choosePlacedOwn(context, place, backups, choice));
  }
  await requireFrom(settings, from.from);
  const folder = from.from === undefined ? undefined : await databaseFolder(resolve(settings.cwd, from.from));
  const backup = await findHere(context, choice, folder);
  if (backup && isEncrypted(backup)) {
    const placed = placedIn(backup);
    return open(placed.place, placed.backup);
  }
  if (backup) return work(await findRestoreSource(context, {backupFile: backup.metadataPath}));
  const path = resolve(settings.cwd, choice.backupFile ?? '');
  if (path.endsWith(ageSuffix) && (await localPlace(dirname(path)).status(basename(path)))) {
    context.warn(`${path} has no metadata: only that it is complete can be checked.`);
    return work(await ageFileSource(context, localPlace(dirname(path)), path, keys));
  }
  return work(await findRestoreSource(context, choice));
}

/** Undefined where a path may be that of a dump without metadata. */
async function findHere(
  context: RunContext,
  choice: BackupChoice,
  folder: string | undefined,
): Promise<Backup | undefined> {
  try {
    return await findLocalBackup(context, choice, folder);
  } catch (error) {
    const isUnknown = error instanceof AppError && error.code === 'BACKUP_NOT_FOUND';
    if (isUnknown && folder === undefined && choice.backupFile !== undefined) return undefined;
    throw error;
  }
}
