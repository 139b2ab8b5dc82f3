/** The story of `copy`: chosen backups from one place to others, each whole or not at all. */
import {resolve} from 'node:path';
import {backupFolder} from '../../catalog/backup-name.js';
import {databaseIdentity} from '../../catalog/catalogue.js';
import {elapsedMs} from '../../base/clock.js';
import {AppError, type ErrorCode, messageOf} from '../../base/errors.js';
import {passwordTables, plainPasswordsWarning} from '../../catalog/outside-database.js';
import {countOf} from '../../base/format.js';
import {isAddress, isRemote} from '../../base/place-name.js';
import type {RunContext} from '../../run/run-context.js';
import type {EncryptTo, OpeningKeys} from '../../encryption/age-keys.js';
import {openPlace} from '../../storage/open-place.js';
import type {Place} from '../../storage/place.js';
import {choosePlaced, type PlacedBackup, readPlace} from '../../storage/place-catalogue.js';
import {transferBackup} from '../../storage/transfer-backup.js';
import {
  type Encryption,
  type EncryptionFlags,
  encryptionOf,
  requireEncryption,
} from '../../encryption/settings.js';
import {requireOpening} from '../../storage/try-keys.js';
import {databaseFolder} from '../../storage/fetch-backup.js';
import {requireFrom} from '../../storage/all-locations.js';
import {findOwnDatabase} from '../../catalog/own-database.js';

export interface CopyRequest extends EncryptionFlags {
  readonly from?: string | undefined;
  readonly to: readonly string[];
  /** Paths or ids; the newest good backup without any and without `isAll`. */
  readonly backupFiles?: readonly string[] | undefined;
  readonly isAll?: boolean | undefined;
  /** Encrypts what is plain; its keys are tried on what arrives, and open it with `isOpening`. By default that of the flags. */
  readonly encryption?: Encryption | undefined;
  /** Whether encrypted backups arrive plain. */
  readonly isOpening?: boolean | undefined;
}

export interface CopiedBackup {
  readonly id: string;
  readonly to: string;
  readonly metadataPath: string;
  /** Bytes stored there. */
  readonly size: number;
  readonly encrypted: boolean;
  /** "present" when it was there already. */
  readonly outcome: 'copied' | 'present';
  /** ms */
  readonly duration: number;
}

export interface CopyResult {
  readonly from: string;
  readonly copies: readonly CopiedBackup[];
}

/**
 * One backup that cannot be copied, whatever its own trouble is, does not keep the others here.
 * @throws BACKUP_NOT_FOUND, KEY_NEEDED, CHECKSUM_MISMATCH and the codes of the stores; copies made before stay
 */
export async function copyBackups(context: RunContext, request: CopyRequest): Promise<CopyResult> {
  const {settings} = context;
  await requireFrom(settings, request.from);
  const named = request.from ?? backupFolder(settings);
  const from = await openPlace(
    settings,
    isRemote(named) || isAddress(named) ? named : await databaseFolder(resolve(settings.cwd, named)),
  );
  const {isOpening = false} = request;
  const encryption = request.encryption ?? (await encryptionOf(context, request));
  const {backups, problems} = await readPlace(from, context.signal);
  for (const {path, reason} of problems) context.warn(`${path} was not copied: ${reason}`);
  const chosen =
    request.isAll === true
      ? backups
      : await chooseNamed(context, from, backups, request.backupFiles ?? ['latest']);
  const encryptTo = isOpening ? undefined : encryption.to;
  const isPlain = ({record}: PlacedBackup): boolean => !encryptTo && (isOpening || !record.encryption);
  if (chosen.some(isPlain)) requireEncryption({to: undefined, isRequired: encryption.isRequired});
  // A new backup was warned of before it was made.
  if (request.encryption === undefined) warnOfPasswords(context, chosen.filter(isPlain), request.to);
  const copies: CopiedBackup[] = [];
  const failures: AppError[] = [];
  for (const name of request.to) {
    const to = await openPlace(settings, name);
    for (const backup of chosen) {
      try {
        copies.push(await copyOne(context, {from, to, backup, isOpening, encryptTo, keys: encryption.keys}));
      } catch (error) {
        if (!(error instanceof AppError) || !ownTroubles.has(error.code)) throw error;
        failures.push(error);
      }
    }
  }
  const [first] = failures;
  if (!first) return {from: from.url, copies};
  const tried = copies.length + failures.length;
  if (tried === 1) throw first;
  throw new AppError(
    first.code,
    `${first.message} ${failures.length} of ${countOf(tried, 'copy', 'copies')} could not be made; the others are whole.`,
    {
      ...(first.hint === undefined ? {} : {hint: first.hint}),
      details: [...first.details, ...failures.slice(1).map(messageOf)],
      cause: first,
    },
  );
}

/** A copy of another database's backups harms nobody, so that the own database matters only where there are several. */
async function chooseNamed(
  context: RunContext,
  from: Place,
  backups: readonly PlacedBackup[],
  files: readonly string[],
): Promise<PlacedBackup[]> {
  const isOfOne = new Set(backups.map(databaseIdentity)).size < 2;
  const own = isOfOne ? undefined : await findOwnDatabase(context);
  return files.map((file) => choosePlaced(from, backups, {file, own}));
}

function warnOfPasswords({warn}: RunContext, backups: readonly PlacedBackup[], to: readonly string[]): void {
  const places = to.filter(isRemote);
  const tables = [...new Set(backups.flatMap(({record}) => passwordTables(record)))];
  if (tables.length > 0 && places.length > 0) warn(plainPasswordsWarning(tables, places));
}

/** What is wrong with one backup says nothing of the next one. */
const ownTroubles: ReadonlySet<ErrorCode> = new Set([
  'CHECKSUM_MISMATCH',
  'BACKUP_INCOMPLETE',
  'METADATA_INVALID',
  'DECRYPT_FAILED',
  'STORAGE_CONFLICT',
]);

async function copyOne(
  context: RunContext,
  parts: {
    from: Place;
    to: Place;
    backup: PlacedBackup;
    isOpening: boolean;
    keys: OpeningKeys;
    encryptTo: EncryptTo | undefined;
  },
): Promise<CopiedBackup> {
  const {backup, to, keys} = parts;
  const startedMs = context.clock.now().getTime();
  const {record, metadataKey, isPresent} = await context.progress.step(
    `Copy ${backup.id} to ${to.url}`,
    (step) =>
      transferBackup(context, {
        ...parts,
        beforeCommit: (stored) => requireOpening(to, stored, keys),
        onBytes: (done, total) => step.advance(done, total, 'bytes'),
      }),
  );
  if (isPresent && parts.encryptTo && !record.encryption)
    context.warn(
      `${backup.id} is in ${to.url} already, unencrypted, and stays so: what is there is never replaced.`,
    );
  return {
    id: backup.id,
    to: to.url,
    metadataPath: `${to.url}/${metadataKey}`,
    size: record.size,
    encrypted: record.encryption !== undefined,
    outcome: isPresent ? 'present' : 'copied',
    duration: elapsedMs(context.clock, startedMs),
  };
}
