/** Restores a backup from any location, encrypted or not, and from a plain local copy if the strategy needs one. */
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
import type {BeforeSwap} from './plan.js';
import {checkRestoreRequest, type RestoreRequest} from './options.js';

/**
 * @param beforeSwap the work of another command on the new database
 * @throws the errors of `restoreDatabase`, and before a database is touched KEY_NEEDED, DECRYPT_FAILED and the codes of the locations
 */
export async function restoreFrom(
  context: RunContext,
  source: BackupSource,
  request: RestoreRequest,
  beforeSwap?: BeforeSwap,
): Promise<RestoreResult> {
  checkRestoreRequest(request);
  const {settings} = context;
  const keys = await keysOf(context, source);
  const place = await openSource(settings, source.from);
  const backup = await chooseOwnIfKnown(context, place, request, source.from);
  if (!backup) {
    const path = resolve(settings.cwd, request.backupFile ?? '');
    const isAgeFile = path.endsWith(ageSuffix) && (await localPlace(dirname(path)).status(basename(path)));
    return isAgeFile
      ? restoreAgeFile(context, keys, request, path, beforeSwap)
      : restoreDatabase(context, request, undefined, beforeSwap);
  }
  const isReadable = place.isOnThisMachine && !isEncrypted(backup);
  if (!isReadable && isRecorded(backup) && canStream(backup.format, request)) {
    const stored = placeOf(place, backup);
    const streamed = await placedSource(context, stored, backup, keys);
    return restoreDatabase(context, request, streamed, beforeSwap);
  }
  const result = await withPlain(context, place, backup, keys, ({metadataPath}) =>
    restoreDatabase(
      context,
      defined({...request, backupFile: metadataPath, isLatest: undefined, at: undefined}),
      undefined,
      beforeSwap,
    ),
  );
  return {...result, backupPath: backup.path};
}

/** Restores a dump that was encrypted with the age tool, after it was decrypted to its last chunk. */
async function restoreAgeFile(
  context: RunContext,
  keys: OpeningKeys,
  request: RestoreRequest,
  path: string,
  beforeSwap: BeforeSwap | undefined,
): Promise<RestoreResult> {
  if (canStream('custom', request)) {
    context.warn(`${path} has no metadata, so only its completeness can be checked, not its checksums.`);
    return restoreDatabase(
      context,
      request,
      await ageFileSource(context, localPlace(dirname(path)), path, keys),
      beforeSwap,
    );
  }
  return withFetchedFolder(context, async (folder) => {
    const plain = join(folder, basename(path, ageSuffix));
    await context.progress.step('Decrypt', async () => {
      const place = localPlace(dirname(path));
      const encrypted = (await place.read(basename(path), context.signal)) as AsyncIterable<Buffer>;
      await localPlace(folder).write(basename(plain), decryptStream(encrypted, keys), {
        signal: context.signal,
      });
    });
    const result = await restoreDatabase(context, {...request, backupFile: plain}, undefined, beforeSwap);
    return {...result, backupPath: path};
  });
}
