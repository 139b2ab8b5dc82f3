/** `restore` of a backup in any place, or of an encrypted one: checked whole, then restored as one made here; from a plain copy of it where the way to restore needs one. */
import {basename, dirname, join, resolve} from 'node:path';
import {defined} from '../../base/defined.js';
import {isRecorded} from '../../catalog/catalogue.js';
import type {RunContext} from '../../run/run-context.js';
import type {OpeningKeys} from '../../encryption/age-keys.js';
import {decryptStream} from '../../encryption/age-stream.js';
import {chooseOwnIfKnown} from '../../storage/choose-backup.js';
import {localPlace} from '../../storage/local-place.js';
import {openSource} from '../../storage/open-place.js';
import {ageSuffix} from '../../storage/stored-record.js';
import {
  type BackupSource,
  isEncrypted,
  placeOf,
  withFetchedFolder,
  withPlain,
} from '../../storage/fetch-backup.js';
import {keysOf} from '../../encryption/settings.js';
import {ageFileSource, canStream, placedSource} from './remote-source.js';
import {restoreDatabase, type RestoreResult} from './execute.js';
import {checkRestoreRequest, type RestoreRequest} from './options.js';

/** @throws what `restoreDatabase` throws, KEY_NEEDED, DECRYPT_FAILED and the codes of the stores; no database was touched then */
export async function restoreFrom(
  context: RunContext,
  source: BackupSource,
  request: RestoreRequest,
): Promise<RestoreResult> {
  checkRestoreRequest(request);
  const {settings} = context;
  const keys = await keysOf(context, source);
  const place = await openSource(settings, source.from);
  const backup = await chooseOwnIfKnown(context, place, request, source.from);
  if (!backup) {
    const path = resolve(settings.cwd, request.backupFile ?? '');
    const isAgeFile = path.endsWith(ageSuffix) && (await localPlace(dirname(path)).status(basename(path)));
    return isAgeFile ? restoreAgeFile(context, keys, request, path) : restoreDatabase(context, request);
  }
  const isReadable = place.isOnThisMachine && !isEncrypted(backup);
  if (!isReadable && isRecorded(backup) && canStream(backup.format, request)) {
    const stored = placeOf(place, backup);
    return restoreDatabase(context, request, await placedSource(context, stored, backup, keys));
  }
  const result = await withPlain(context, place, backup, keys, ({metadataPath}) =>
    restoreDatabase(
      context,
      defined({...request, backupFile: metadataPath, isLatest: undefined, at: undefined}),
    ),
  );
  return {...result, backupPath: backup.path};
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
