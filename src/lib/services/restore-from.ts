/** `restore` of a backup in any place: fetched and checked whole, then restored as one made here. */
import {basename, dirname, join, resolve} from 'node:path';
import type {RunContext} from '../run-context.js';
import {decryptStream} from '../storage/age-stream.js';
import {localPlace} from '../storage/local-place.js';
import {openPlace} from '../storage/open-place.js';
import {choosePlaced, readPlace} from '../storage/place-catalogue.js';
import {type BackupSource, keysOf, withFetched, withFetchedFolder} from './backup-source.js';
import {restoreDatabase, type RestoreResult} from './restore-database.js';
import {checkRestoreRequest, type RestoreRequest} from './restore-request.js';

/** @throws what `restoreDatabase` throws, KEY_NEEDED, DECRYPT_FAILED and the codes of the stores; no database was touched then */
export async function restoreFrom(
  context: RunContext,
  source: BackupSource,
  request: RestoreRequest,
): Promise<RestoreResult> {
  if (source.from === undefined) {
    const file = request.backupFile;
    return file?.endsWith('.age') === true
      ? restoreAgeFile(context, source, request, resolve(context.settings.cwd, file))
      : restoreDatabase(context, request);
  }
  checkRestoreRequest(request);
  const place = await openPlace(context.settings, source.from);
  const keys = await keysOf(context.settings, source);
  const {backups} = await readPlace(place, context.signal);
  const backup = choosePlaced(place, backups, {file: request.backupFile, at: request.at});
  const result = await withFetched(context, place, backup, keys, (backupFile) =>
    restoreDatabase(context, {...request, backupFile, isLatest: undefined, at: undefined}),
  );
  return {...result, backupPath: backup.path};
}

/** A dump that somebody encrypted with the age tool: decrypted to its last chunk before anything is restored. */
async function restoreAgeFile(
  context: RunContext,
  source: BackupSource,
  request: RestoreRequest,
  path: string,
): Promise<RestoreResult> {
  const keys = await keysOf(context.settings, source);
  return withFetchedFolder(context, async (folder) => {
    const plain = join(folder, basename(path, '.age'));
    await context.progress.step('Decrypt', async () => {
      const place = localPlace(dirname(path));
      const sealed = (await place.read(basename(path), context.signal)) as AsyncIterable<Buffer>;
      await localPlace(folder).write(basename(plain), decryptStream(sealed, keys), {signal: context.signal});
    });
    const result = await restoreDatabase(context, {...request, backupFile: plain});
    return {...result, backupPath: path};
  });
}
