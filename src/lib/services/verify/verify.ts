/** `verify` of backups in any place: fetched and checked as one made here, the outcome noted in the place. */
import {type CheckNotes, withNotes} from '../../catalog/add-proof.js';
import {formatBackupRecord} from '../../catalog/backup-record.js';
import {readBackup} from '../../catalog/catalogue.js';
import {isRemote} from '../../base/place-name.js';
import type {RunContext} from '../../run/run-context.js';
import type {OpeningKeys} from '../../encryption/age-keys.js';
import {requireFrom} from '../../storage/all-locations.js';
import {openPlace} from '../../storage/open-place.js';
import {checkPlacedFiles} from '../../storage/checked-files.js';
import type {Place} from '../../storage/place.js';
import {type PlacedBackup, readPlace, readPlaced} from '../../storage/place-catalogue.js';
import {type BackupSource, databaseFolder, withFetched} from '../../storage/fetch-backup.js';
import {keysOf} from '../../encryption/settings.js';
import {choosePlacedOwn} from '../restore/source.js';
import {
  checkAndNote,
  checkFiles,
  chooseSeveral,
  type NoteCheck,
  proveEach,
  type VerifiedBackup,
  verifyBackup,
  type VerifyRequest,
  type VerifyResult,
} from './verify-local.js';

/** @throws what `verifyBackup` throws, KEY_NEEDED and the codes of the stores; damage is a finding */
export async function verifyFrom(
  context: RunContext,
  source: BackupSource,
  request: VerifyRequest,
): Promise<VerifyResult> {
  const keys = await keysOf(context, source);
  if (source.from === undefined) return verifyBackup(context, {...request, keys});
  await requireFrom(context.settings, source.from);
  const place = await openPlace(context.settings, source.from);
  if (!isRemote(place.url))
    return verifyBackup(context, {...request, keys, folder: await databaseFolder(place.url)});
  const {backups, problems} = await readPlace(place, context.signal);
  for (const {path, reason} of problems) context.warn(`${path} tells no backup: ${reason}`);
  const chosen =
    request.isAll === true || request.sample !== undefined
      ? chooseSeveral(backups, request, place.url)
      : [await choosePlacedOwn(context, place, backups, request)];
  return proveEach(context, chosen, (backup) => proveRemote(context, place, backup, keys, request));
}

/** Checksums are compared with the bytes as they come; for more, the backup is fetched and opened. */
async function proveRemote(
  context: RunContext,
  place: Place,
  backup: PlacedBackup,
  keys: OpeningKeys,
  request: VerifyRequest,
): Promise<VerifiedBackup> {
  const note: NoteCheck = (_within, notes) => noteInPlace(place, backup, notes);
  return checkAndNote(context, backup, request.level, note, async (found) => {
    if (request.level === 'checksum') {
      await context.progress.step(`Checksum of ${backup.id}`, (step) =>
        checkPlacedFiles(place, backup, context.signal, (done) =>
          step.advance(done, backup.sizeBytes, 'bytes'),
        ),
      );
      found.passed = 'checksum';
      return;
    }
    await withFetched(context, place, backup, keys, async (metadataPath) =>
      checkFiles(context, await readBackup(metadataPath), request, found),
    );
  });
}

/**
 * Read again right before it is written: another run may have noted something meanwhile, and then this one is refused.
 * @throws STORAGE_CONFLICT, STORAGE_DENIED, ...
 */
async function noteInPlace(place: Place, {metadataKey}: PlacedBackup, notes: CheckNotes): Promise<void> {
  const status = await place.status(metadataKey);
  if (!status) return;
  const {record} = await readPlaced(place, metadataKey);
  await place.writeText(metadataKey, formatBackupRecord(withNotes(record, notes)), status.tag);
}
