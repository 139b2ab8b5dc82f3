/** `verify` of backups in any place: fetched whole, proven as one made here, the outcome noted in the place. */
import {readBackupRecord, formatBackupRecord} from '../backups/backup-record.js';
import {isGood} from '../backups/catalogue.js';
import {AppError} from '../errors.js';
import type {RunContext} from '../run-context.js';
import {openPlace} from '../storage/open-place.js';
import type {Place} from '../storage/place.js';
import {choosePlaced, type PlacedBackup, readPlace, readPlaced} from '../storage/place-catalogue.js';
import {type BackupSource, keysOf, withFetched} from './backup-source.js';
import {type VerifiedBackup, verifyBackup, type VerifyRequest, type VerifyResult} from './verify-backup.js';

/** @throws what `verifyBackup` throws, KEY_NEEDED and the codes of the stores; damage is a finding */
export async function verifyFrom(
  context: RunContext,
  source: BackupSource,
  request: VerifyRequest,
): Promise<VerifyResult> {
  if (source.from === undefined) return verifyBackup(context, request);
  const place = await openPlace(context.settings, source.from);
  const keys = await keysOf(context.settings, source);
  const {backups, problems} = await readPlace(place, context.signal);
  for (const {path, reason} of problems) context.warn(`${path} tells no backup: ${reason}`);
  const results: VerifiedBackup[] = [];
  for (const backup of choose(place, backups, request)) {
    results.push(
      await proveFetched(context, place, backup, request, (prove) =>
        withFetched(context, place, backup, keys, prove),
      ),
    );
  }
  return {results};
}

function choose(
  place: Place,
  backups: readonly PlacedBackup[],
  request: VerifyRequest,
): readonly PlacedBackup[] {
  if (request.isAll !== true && request.sample === undefined)
    return [choosePlaced(place, backups, {file: request.backupFile})];
  if (backups.length === 0) throw new AppError('BACKUP_NOT_FOUND', `There is no backup in ${place.url}.`);
  if (request.isAll === true) return backups;
  const rest = backups.filter(isGood);
  const chosen: PlacedBackup[] = [];
  while (chosen.length < (request.sample ?? 1) && rest.length > 0) {
    chosen.push(...rest.splice(Math.floor(Math.random() * rest.length), 1));
  }
  return chosen;
}

async function proveFetched(
  context: RunContext,
  place: Place,
  backup: PlacedBackup,
  request: VerifyRequest,
  fetch: (prove: (metadataPath: string) => Promise<VerifiedBackup>) => Promise<VerifiedBackup>,
): Promise<VerifiedBackup> {
  const {level} = request;
  try {
    return await fetch(async (metadataPath) => {
      const {results} = await verifyBackup(context, {
        level,
        scratch: request.scratch,
        backupFile: metadataPath,
      });
      const [result] = results;
      if (!result) throw new AppError('UNEXPECTED', `Nothing was proven of ${backup.id}.`);
      const {proofs} = await readBackupRecord(metadataPath);
      await noteProof(place, backup, proofs.at(-1));
      return {...result, path: backup.path};
    });
  } catch (error) {
    const isDamage =
      error instanceof AppError &&
      ['CHECKSUM_MISMATCH', 'DECRYPT_FAILED', 'BACKUP_INCOMPLETE'].includes(error.code);
    if (!isDamage) throw error;
    const findings = [error.message, ...error.details];
    await noteProof(place, backup, {
      level,
      at: context.clock.now().toISOString(),
      ok: false,
      duration: 0,
      findings,
    });
    return {
      id: backup.id,
      path: backup.path,
      level,
      ok: false,
      findings,
      notes: [],
      duration: 0,
      restoreDuration: null,
      rows: null,
    };
  }
}

/** Read again right before it is written: another run may have noted something meanwhile, and then this one is refused. */
async function noteProof(
  place: Place,
  {metadataKey}: PlacedBackup,
  proof: PlacedBackup['record']['proofs'][number] | undefined,
): Promise<void> {
  const status = await place.status(metadataKey);
  if (!status || !proof) return;
  const {record} = await readPlaced(place, metadataKey);
  await place.writeText(
    metadataKey,
    formatBackupRecord({...record, proofs: [...record.proofs, proof]}),
    status.tag,
  );
}
