/** Implements `copy`: copies chosen backups to other locations, each completely or not at all. */
import {databaseIdentity, newestUsable, type RecordedBackup} from '../../catalog/catalogue.js';
import {elapsedMs} from '../../base/clock.js';
import {defined} from '../../base/defined.js';
import {AppError, type ErrorCode, messageOf} from '../../base/errors.js';
import {passwordTables, plainPasswordsWarning} from '../../catalog/outside-database.js';
import {countOf} from '../../base/format.js';
import type {RunContext} from '../../run/run-context.js';
import type {EncryptTo, OpeningKeys} from '../../encryption/age-keys.js';
import {openPlace, openSource} from '../../storage/open-place.js';
import type {Place} from '../../storage/place.js';
import {findPlaced, readPlace} from '../../storage/place-catalogue.js';
import {transferBackup} from '../../storage/transfer-backup.js';
import {
  type Encryption,
  type EncryptionFlags,
  encryptionOf,
  requireEncryption,
} from '../../encryption/settings.js';
import {requireOpening} from '../../storage/try-keys.js';
import {findOwnDatabase} from '../../catalog/own-database.js';

export interface CopyRequest extends EncryptionFlags {
  readonly from?: string;
  readonly to: readonly string[];
  /** Paths or ids; by default the newest usable backup. */
  readonly backupFiles?: readonly string[];
  readonly isAll?: boolean;
  /** Encrypts unencrypted backups; its keys are tested on the copies, and decrypt them with `isOpening`. By default that of the flags. */
  readonly encryption?: Encryption;
  /** Whether the copies are decrypted. */
  readonly isOpening?: boolean;
}

export interface CopiedBackup {
  readonly id: string;
  readonly to: string;
  readonly metadataPath: string;
  /** Bytes stored there. */
  readonly size: number;
  readonly encrypted: boolean;
  /** "present" if the copy already existed. */
  readonly outcome: 'copied' | 'present';
  /** ms */
  readonly duration: number;
}

export interface CopyResult {
  readonly from: string;
  readonly copies: readonly CopiedBackup[];
}

/**
 * If one backup cannot be copied for a reason of its own, the others are still copied.
 * @throws BACKUP_NOT_FOUND, KEY_NEEDED, CHECKSUM_MISMATCH and the codes of the stores; earlier copies remain
 */
export async function copyBackups(context: RunContext, request: CopyRequest): Promise<CopyResult> {
  const {settings} = context;
  const from = await openSource(settings, request.from);
  const {isOpening = false} = request;
  const encryption = request.encryption ?? (await encryptionOf(context, request));
  const {backups, problems} = await readPlace(from, context.signal);
  for (const {path, reason} of problems) context.warn(`${path} was not copied: ${reason}`);
  const chosen =
    request.isAll === true
      ? backups
      : await chooseNamed(context, from, backups, request.backupFiles ?? ['latest']);
  const encryptTo = isOpening ? undefined : encryption.to;
  const isPlain = ({record}: RecordedBackup): boolean => !encryptTo && (isOpening || !record.encryption);
  if (chosen.some(isPlain)) requireEncryption({to: undefined, isRequired: encryption.isRequired});
  // `backup` warns before it makes the dump.
  const places = await Promise.all(request.to.map((name) => openPlace(settings, name)));
  if (request.encryption === undefined) warnOfPasswords(context, chosen.filter(isPlain), places);
  const opened = isOpening ? chosen.filter(({record}) => record.roles?.hasPasswords === true) : [];
  if (opened.length > 0)
    context.warn(
      `--decrypt writes the stored passwords of roles unencrypted: ${opened.map(({id}) => id).join(', ')}.`,
    );
  const copies: CopiedBackup[] = [];
  const failures: AppError[] = [];
  for (const to of places) {
    for (const backup of chosen) {
      try {
        copies.push(await copyOne(context, {from, to, backup, isOpening, encryptTo, keys: encryption.keys}));
      } catch (error) {
        if (!(error instanceof AppError) || !errorsOfOneBackup.has(error.code)) throw error;
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
    `${first.message} ${failures.length} of ${countOf(tried, 'copy', 'copies')} failed; the others are complete.`,
    {
      ...(first.hint === undefined ? {} : {hint: first.hint}),
      details: [...first.details, ...failures.slice(1).map(messageOf)],
      cause: first,
    },
  );
}

/** Copying backups of another database does no harm, so the own database matters only if there are several. */
async function chooseNamed(
  context: RunContext,
  from: Place,
  backups: readonly RecordedBackup[],
  files: readonly string[],
): Promise<RecordedBackup[]> {
  const isOfOne = new Set(backups.map(databaseIdentity)).size < 2;
  const own = isOfOne ? undefined : await findOwnDatabase(context);
  return files.map((file) =>
    file === 'latest' ? newestUsable(backups, defined({own}), from.url) : findPlaced(from, backups, file),
  );
}

function warnOfPasswords({warn}: RunContext, backups: readonly RecordedBackup[], to: readonly Place[]): void {
  const places = to.filter(({isOnThisMachine}) => !isOnThisMachine).map(({url}) => url);
  const tables = [...new Set(backups.flatMap(({record}) => passwordTables(record)))];
  if (tables.length > 0 && places.length > 0) warn(plainPasswordsWarning(tables, places));
}

/** Errors that concern only one backup. */
const errorsOfOneBackup: ReadonlySet<ErrorCode> = new Set([
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
    backup: RecordedBackup;
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
      transferBackup(
        context,
        defined({
          ...parts,
          beforeCommit: (stored) => requireOpening(to, stored, keys),
          onBytes: (done, total) => step.advance(done, total, 'bytes'),
        }),
      ),
  );
  if (isPresent && parts.encryptTo && !record.encryption)
    context.warn(
      `${backup.id} already exists unencrypted in ${to.url} and stays unencrypted: an existing backup is never replaced.`,
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
