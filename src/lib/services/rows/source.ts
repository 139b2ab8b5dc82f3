/** Opens the backup for a restore of rows, from any location and encrypted or not, while `work` runs. */
import {basename, dirname, resolve} from 'node:path';
import {formats} from '../../base/formats.js';
import {isRecorded} from '../../catalog/catalogue.js';
import {keysOf} from '../../encryption/settings.js';
import type {RunContext} from '../../run/run-context.js';
import {type BackupSource, isEncrypted, placeOf, withPlain} from '../../storage/fetch-backup.js';
import {type ChosenBackup, chooseOwnIfKnown} from '../../storage/choose-backup.js';
import {localPlace} from '../../storage/local-place.js';
import {openSource} from '../../storage/open-place.js';
import {ageSuffix} from '../../storage/stored-record.js';
import {ageFileSource, placedSource} from '../restore/remote-source.js';
import {findRestoreSource, type RestoreSource} from '../restore/source.js';

/** @throws BACKUP_NOT_FOUND, METADATA_INVALID, KEY_NEEDED, DECRYPT_FAILED and the codes of the locations, before `work` starts */
export async function withBackup<T>(
  context: RunContext,
  from: BackupSource,
  choice: ChosenBackup,
  work: (source: RestoreSource) => Promise<T>,
): Promise<T> {
  const {settings} = context;
  const keys = await keysOf(context, from);
  const place = await openSource(settings, from.from);
  const backup = await chooseOwnIfKnown(context, place, choice, from.from);
  if (backup) {
    const isReadable = place.isOnThisMachine && !isEncrypted(backup);
    if (!isReadable && isRecorded(backup) && formats[backup.format].canStream)
      return work(await placedSource(context, placeOf(place, backup), backup, keys));
    return withPlain(context, place, backup, keys, async ({metadataPath}) =>
      work(await findRestoreSource(context, {backupFile: metadataPath})),
    );
  }
  const path = resolve(settings.cwd, choice.backupFile ?? '');
  if (path.endsWith(ageSuffix) && (await localPlace(dirname(path)).status(basename(path)))) {
    context.warn(`${path} has no metadata, so only its completeness can be checked.`);
    return work(await ageFileSource(context, localPlace(dirname(path)), path, keys));
  }
  return work(await findRestoreSource(context, choice));
}
