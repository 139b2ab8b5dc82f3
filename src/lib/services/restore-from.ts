/** `restore` of a backup in any place, or of an encrypted one: fetched, opened and checked whole, then restored as one made here. */
import {basename, dirname, join, resolve} from 'node:path';
import {AppError} from '../errors.js';
import {resolveConnection} from '../postgres/connection.js';
import type {RunContext} from '../run-context.js';
import type {OpeningKeys} from '../storage/age-keys.js';
import {decryptStream} from '../storage/age-stream.js';
import {localPlace} from '../storage/local-place.js';
import {openPlace} from '../storage/open-place.js';
import type {Place} from '../storage/place.js';
import {choosePlaced, type PlacedBackup, readPlace} from '../storage/place-catalogue.js';
import {ageSuffix} from '../storage/stored-record.js';
import {type BackupSource, isEncrypted, placedIn, withFetched, withFetchedFolder} from './backup-source.js';
import {keysOf} from './encryption.js';
import {restoreDatabase, type RestoreResult} from './restore-database.js';
import {checkRestoreRequest, type RestoreRequest} from './restore-request.js';
import {findLocalBackup} from './restore-source.js';

/** @throws what `restoreDatabase` throws, KEY_NEEDED, DECRYPT_FAILED and the codes of the stores; no database was touched then */
export async function restoreFrom(
  context: RunContext,
  source: BackupSource,
  request: RestoreRequest,
): Promise<RestoreResult> {
  checkRestoreRequest(request);
  const {settings} = context;
  const keys = await keysOf(context, source);
  if (source.from !== undefined) {
    const place = await openPlace(settings, source.from);
    const {backups} = await readPlace(place, context.signal);
    const backup = choosePlaced(place, backups, {file: request.backupFile, at: request.at});
    return restoreFetched(context, place, backup, keys, request);
  }
  const sealed = await findEncrypted(context, request);
  if (sealed) return restoreFetched(context, sealed.place, sealed.backup, keys, request);
  const file = request.backupFile;
  return file?.endsWith(ageSuffix) === true
    ? restoreAgeFile(context, keys, request, resolve(settings.cwd, file))
    : restoreDatabase(context, request);
}

async function restoreFetched(
  context: RunContext,
  place: Place,
  backup: PlacedBackup,
  keys: OpeningKeys,
  request: RestoreRequest,
): Promise<RestoreResult> {
  const result = await withFetched(context, place, backup, keys, (backupFile) =>
    restoreDatabase(context, {...request, backupFile, isLatest: undefined, at: undefined}),
  );
  return {...result, backupPath: backup.path};
}

/** The backup here that the flags name, when it is encrypted; that there is none is for `restoreDatabase` to tell. */
async function findEncrypted(
  {settings}: RunContext,
  request: RestoreRequest,
): Promise<{place: Place; backup: PlacedBackup} | undefined> {
  try {
    const backup = await findLocalBackup(settings, request, resolveConnection(settings).database);
    return isEncrypted(backup) ? placedIn(backup) : undefined;
  } catch (error) {
    if (error instanceof AppError && error.code === 'BACKUP_NOT_FOUND') return undefined;
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
