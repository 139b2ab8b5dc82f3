/** `verify` of backups in any place: fetched and proven as one made here, the outcome noted in the place. */
import {readBackupRecord, formatBackupRecord} from '../backups/backup-record.js';
import {isGood} from '../backups/catalogue.js';
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
import {type VerifiedBackup, verifyBackup, type VerifyRequest, type VerifyResult} from './verify-backup.js';

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
  const results: VerifiedBackup[] = [];
  for (const backup of choose(place, backups, request)) {
    results.push(await proveRemote(context, place, backup, keys, request));
  }
  return {results};
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
      const result = await proveOne(context, metadataPath, request);
      await noteProof(context, place, backup, (await readBackupRecord(metadataPath)).proofs.at(-1));
      return {...result, path: backup.path};
    }),
  );
}

async function proveOne(
  context: RunContext,
  metadataPath: string,
  {level, scratch}: VerifyRequest,
): Promise<VerifiedBackup> {
  const {results} = await verifyBackup(context, {level, scratch, backupFile: metadataPath});
  const [result] = results;
  if (!result) throw new AppError('UNEXPECTED', `Nothing was proven of ${metadataPath}.`);
  return result;
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
    const proof = proofNow(context, 'checksum', [], elapsedMs(context.clock, startedMs));
    await noteProof(context, place, backup, proof);
    return provenBackup(backup, proof);
  });
}

type Proof = PlacedBackup['record']['proofs'][number];

function proofNow(
  {clock}: RunContext,
  level: VerifyRequest['level'],
  findings: readonly string[],
  duration: number,
): Proof {
  const at = clock.now().toISOString();
  return {level, at, ok: findings.length === 0, duration, findings: [...findings]};
}

function provenBackup({id, path}: PlacedBackup, proof: Proof): VerifiedBackup {
  const {level, ok, findings, duration} = proof;
  return {id, path, level, ok, findings, notes: [], duration, restoreDuration: null, rows: null};
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
    const proof = proofNow(context, level, [error.message, ...error.details], 0);
    await noteProof(context, place, backup, proof);
    return provenBackup(backup, proof);
  }
}

/**
 * Read again right before it is written: another run may have noted something meanwhile, and then this one is refused. Who
 * may only read has proven it all the same.
 */
async function noteProof(
  context: RunContext,
  place: Place,
  {id, metadataKey}: PlacedBackup,
  proof: Proof | undefined,
): Promise<void> {
  const status = await place.status(metadataKey);
  if (!status || !proof) return;
  const {record} = await readPlaced(place, metadataKey);
  const text = formatBackupRecord({...record, proofs: [...record.proofs, proof]});
  try {
    await place.writeText(metadataKey, text, status.tag);
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== 'STORAGE_DENIED') throw error;
    context.warn(
      `What was found of ${id} could not be noted in ${place.url}, so that list and status do not tell of it: ${error.message}`,
    );
  }
}
