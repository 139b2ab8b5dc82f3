/** `restore` of a backup in any place, or of an encrypted one: checked whole, then restored as one made here; from a plain copy of it where the way to restore needs one. */
import {basename, dirname, join, resolve} from 'node:path';
import type {Backup} from '../../catalog/catalogue.js';
import {AppError} from '../../base/errors.js';
import {isRemote} from '../../base/place-name.js';
import type {RunContext} from '../../run/run-context.js';
import type {OpeningKeys} from '../../encryption/age-keys.js';
import {decryptStream} from '../../encryption/age-stream.js';
import {localPlace} from '../../storage/local-place.js';
import {requireFrom} from '../../storage/all-locations.js';
import {openPlace} from '../../storage/open-place.js';
import type {Place} from '../../storage/place.js';
import {type PlacedBackup, readPlace} from '../../storage/place-catalogue.js';
import {ageSuffix} from '../../storage/stored-record.js';
import {
  type BackupSource,
  databaseFolder,
  isEncrypted,
  placedIn,
  withFetched,
  withFetchedFolder,
} from '../../storage/fetch-backup.js';
import {keysOf} from '../../encryption/settings.js';
import {ageFileSource, canStream, placedSource} from './remote-source.js';
import {restoreDatabase, type RestoreResult} from './execute.js';
import {checkRestoreRequest, type RestoreRequest} from './options.js';
import {choosePlacedOwn, findLocalBackup} from './source.js';

/** @throws what `restoreDatabase` throws, KEY_NEEDED, DECRYPT_FAILED and the codes of the stores; no database was touched then */
export async function restoreFrom(
  context: RunContext,
  source: BackupSource,
  request: RestoreRequest,
): Promise<RestoreResult> {
  checkRestoreRequest(request);
  const {settings, signal} = context;
  const keys = await keysOf(context, source);
  if (source.from !== undefined && isRemote(source.from)) {
    const place = await openPlace(settings, source.from);
    const {backups} = await readPlace(place, signal);
    const backup = await choosePlacedOwn(context, place, backups, request);
    return restoreFetched(context, place, backup, keys, request);
  }
  await requireFrom(settings, source.from);
  const folder =
    source.from === undefined ? undefined : await databaseFolder(resolve(settings.cwd, source.from));
  const backup = await findHere(context, request, folder);
  if (backup && isEncrypted(backup)) {
    const placed = placedIn(backup);
    return restoreFetched(context, placed.place, placed.backup, keys, request);
  }
  if (backup && folder !== undefined) return restoreDatabase(context, asNamed(request, backup.metadataPath));
  const path = resolve(settings.cwd, request.backupFile ?? '');
  const isAgeFile = path.endsWith(ageSuffix) && (await localPlace(dirname(path)).status(basename(path)));
  return isAgeFile ? restoreAgeFile(context, keys, request, path) : restoreDatabase(context, request);
}

async function restoreFetched(
  context: RunContext,
  place: Place,
  backup: PlacedBackup,
  keys: OpeningKeys,
  request: RestoreRequest,
): Promise<RestoreResult> {
  if ((isRemote(place.url) || backup.record.encryption) && canStream(backup.record.format, request)) {
    return restoreDatabase(context, request, await placedSource(context, place, backup, keys));
  }
  const result = await withFetched(context, place, backup, keys, (metadataPath) =>
    restoreDatabase(context, asNamed(request, metadataPath)),
  );
  return {...result, backupPath: backup.path};
}

function asNamed(request: RestoreRequest, metadataPath: string): RestoreRequest {
  return {...request, backupFile: metadataPath, isLatest: undefined, at: undefined};
}

/** The backup that the flags name; that there is none in the backups folder is for `restoreDatabase` to tell. */
async function findHere(
  context: RunContext,
  request: RestoreRequest,
  folder: string | undefined,
): Promise<Backup | undefined> {
  try {
    return await findLocalBackup(context, request, folder);
  } catch (error) {
    if (folder === undefined && error instanceof AppError && error.code === 'BACKUP_NOT_FOUND')
      return undefined;
    throw error;
  }
}

/** A dump that somebody encrypted with the age tool: decrypted to its last chunk before anything is restored. */
async function restoreAgeFile(
  context: RunContext,
  keys: OpeningKeys,
  request: RestoreRequest,
  path: string,
): Promise<RestoreResult> {
  if (canStream('custom', request)) {
    context.warn(
      `${path} has no metadata: whether it is what was once written cannot be proven, only that it is complete.`,
    );
    return restoreDatabase(
      context,
      request,
      await ageFileSource(context, localPlace(dirname(path)), path, keys),
    );
  }
  return withFetchedFolder(context, async (folder) => {
    const plain = join(folder, basename(path, ageSuffix));
    await context.progress.step('Decrypt', async () => {
      const place = localPlace(dirname(path));
      const sealed = (await place.read(basename(path), context.signal)) as AsyncIterable<Buffer>;
      await localPlace(folder).write(basename(plain), decryptStream(sealed, keys), {signal: context.signal});
    });
    const result = await restoreDatabase(context, {...request, backupFile: plain});
    return {...result, backupPath: path};
  });
}
