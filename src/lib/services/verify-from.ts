/** `verify` of backups in any place: fetched and proven as one made here, the outcome noted in the place. */
import {readBackupRecord, formatBackupRecord} from '../backups/backup-record.js';
import {readBackup} from '../backups/catalogue.js';
import {elapsedMs} from '../clock.js';
import {AppError} from '../errors.js';
import {isRemote} from '../place-name.js';
import type {RunContext} from '../run-context.js';
import type {OpeningKeys} from '../storage/age-keys.js';
import {openPlace} from '../storage/open-place.js';
import {checkPlacedFiles} from '../storage/checked-files.js';
import type {Place} from '../storage/place.js';
import {choosePlaced, type PlacedBackup, readPlace, readPlaced} from '../storage/place-catalogue.js';
import {type BackupSource, withFetched} from './backup-source.js';
import {keysOf} from './encryption.js';
import {
  chooseSeveral,
  outcomeOf,
  proveBackup,
  proveEach,
  type VerifiedBackup,
  verifyBackup,
  type VerifyRequest,
  type VerifyResult,
  warnOfUnnoted,
} from './verify-backup.js';

/** @throws what `verifyBackup` throws, KEY_NEEDED and the codes of the stores; damage is a finding */
export async function verifyFrom(
  context: RunContext,
  source: BackupSource,
  request: VerifyRequest,
): Promise<VerifyResult> {
  const keys = await keysOf(context, source);
  if (source.from === undefined) return verifyBackup(context, {...request, keys});
  const place = await openPlace(context.settings, source.from);
  if (!isRemote(place.url)) return verifyBackup(context, {...request, keys, folder: place.url});
  const {backups, problems} = await readPlace(place, context.signal);
  for (const {path, reason} of problems) context.warn(`${path} tells no backup: ${reason}`);
  const chosen =
    request.isAll === true || request.sample !== undefined
      ? chooseSeveral(backups, request, place.url)
      : [choosePlaced(place, backups, {file: request.backupFile})];
  return proveEach(context, chosen, request.level, (backup) =>
    proveRemote(context, place, backup, keys, request),
  );
}

/** Checksums are compared with the bytes as they come; for more, the backup is fetched and opened. */
async function proveRemote(
  context: RunContext,
  place: Place,
  backup: PlacedBackup,
  keys: OpeningKeys,
  request: VerifyRequest,
): Promise<VerifiedBackup> {
  if (request.level === 'checksum') return proveChecksums(context, place, backup);
  return findingDamage(context, place, backup, request, () =>
    withFetched(context, place, backup, keys, async (metadataPath) => {
      const result = await proveBackup(context, await readBackup(metadataPath), request);
      await noteProof(context, place, backup, (await readBackupRecord(metadataPath)).proofs.at(-1));
      return {...result, path: backup.path};
    }),
  );
}

async function proveChecksums(
  context: RunContext,
  place: Place,
  backup: PlacedBackup,
): Promise<VerifiedBackup> {
  const startedMs = context.clock.now().getTime();
  return findingDamage(context, place, backup, {level: 'checksum'}, async () => {
    await context.progress.step(`Checksum of ${backup.id}`, (step) =>
      checkPlacedFiles(place, backup, context.signal, (done) =>
        step.advance(done, backup.sizeBytes, 'bytes'),
      ),
    );
    return tell(context, place, backup, 'checksum', [], elapsedMs(context.clock, startedMs));
  });
}

/** Tells the audit log and the place's metadata of a proof. */
async function tell(
  context: RunContext,
  place: Place,
  backup: PlacedBackup,
  level: VerifyRequest['level'],
  findings: readonly string[],
  duration: number,
): Promise<VerifiedBackup> {
  const outcome = outcomeOf(backup, level, findings, duration);
  const {ok, restoreDuration} = outcome;
  context.record({verifications: [{backupId: backup.id, level, ok, duration, restoreDuration}]});
  const at = context.clock.now().toISOString();
  await noteProof(context, place, backup, {level, at, ok, duration, findings: [...findings]});
  return outcome;
}

/** Damage that keeps a backup from being fetched is what a proof looks for. */
async function findingDamage(
  context: RunContext,
  place: Place,
  backup: PlacedBackup,
  {level}: Pick<VerifyRequest, 'level'>,
  prove: () => Promise<VerifiedBackup>,
): Promise<VerifiedBackup> {
  try {
    return await prove();
  } catch (error) {
    const isDamage =
      error instanceof AppError &&
      ['CHECKSUM_MISMATCH', 'DECRYPT_FAILED', 'BACKUP_INCOMPLETE'].includes(error.code);
    if (!isDamage) throw error;
    return tell(context, place, backup, level, [error.message, ...error.details], 0);
  }
}

/**
 * Read again right before it is written: another run may have noted something meanwhile, and then this one is refused. That
 * one, and who may only read, has proven it all the same.
 */
async function noteProof(
  context: RunContext,
  place: Place,
  {id, metadataKey}: PlacedBackup,
  proof: PlacedBackup['record']['proofs'][number] | undefined,
): Promise<void> {
  const status = await place.status(metadataKey);
  if (!status || !proof) return;
  const {record} = await readPlaced(place, metadataKey);
  const text = formatBackupRecord({...record, proofs: [...record.proofs, proof]});
  try {
    await place.writeText(metadataKey, text, status.tag);
  } catch (error) {
    const isInTheWay =
      error instanceof AppError && ['STORAGE_DENIED', 'STORAGE_CONFLICT'].includes(error.code);
    if (!isInTheWay) throw error;
    warnOfUnnoted(context, id, place.url, error);
  }
}
