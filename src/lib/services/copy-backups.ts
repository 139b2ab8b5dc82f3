/** The story of `copy`: chosen backups from one place to others, each whole or not at all. */
import {join} from 'node:path';
import {AppError} from '../errors.js';
import type {RunContext} from '../run-context.js';
import type {Settings} from '../settings/settings.js';
import {checkRecipients, type EncryptTo, type OpeningKeys, readPassphrase} from '../storage/age-keys.js';
import {openPlace} from '../storage/open-place.js';
import type {Place} from '../storage/place.js';
import {choosePlaced, type PlacedBackup, readPlace} from '../storage/place-catalogue.js';
import {decryptStream} from '../storage/age-stream.js';
import {filesOf, transferBackup} from '../storage/transfer-backup.js';
import {folderOf} from '../storage/place-catalogue.js';
import {type BackupSource, keysOf} from './backup-source.js';

export interface CopyRequest extends BackupSource {
  readonly to: readonly string[];
  /** Paths or ids; the newest good backup without any and without `isAll`. */
  readonly backupFiles?: readonly string[] | undefined;
  readonly isAll?: boolean | undefined;
  readonly encryptTo?: EncryptTo | undefined;
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

/** @throws BACKUP_NOT_FOUND, KEY_NEEDED, CHECKSUM_MISMATCH and the codes of the stores; copies made before stay */
export async function copyBackups(context: RunContext, request: CopyRequest): Promise<CopyResult> {
  const {settings} = context;
  const from = await openPlace(settings, request.from ?? join(settings.backupsDir, 'database'));
  const keys = await keysOf(settings, request);
  const {backups, problems} = await readPlace(from, context.signal);
  for (const {path, reason} of problems) context.warn(`${path} was not copied: ${reason}`);
  const chosen =
    request.isAll === true
      ? backups
      : (request.backupFiles ?? ['latest']).map((file) => choosePlaced(from, backups, {file}));
  const copies: CopiedBackup[] = [];
  for (const name of request.to) {
    const to = await openPlace(settings, name);
    for (const backup of chosen)
      copies.push(await copyOne(context, {from, to, backup, keys, encryptTo: request.encryptTo}));
  }
  return {from: from.url, copies};
}

async function copyOne(
  context: RunContext,
  parts: {from: Place; to: Place; backup: PlacedBackup; keys: OpeningKeys; encryptTo: EncryptTo | undefined},
): Promise<CopiedBackup> {
  const {backup, to, keys} = parts;
  const startedMs = performance.now();
  const {record, metadataKey, isPresent} = await context.progress.step(
    `Copy ${backup.id} to ${to.url}`,
    (step) =>
      transferBackup(context, {...parts, onBytes: (done, total) => step.advance(done, total, 'bytes')}),
  );
  if (record.encryption && !isPresent && keys.identities.length + keys.passphrases.length > 0) {
    await requireOpening(to, record, keys);
  }
  return {
    id: backup.id,
    to: to.url,
    metadataPath: `${to.url}/${metadataKey}`,
    size: record.size,
    encrypted: record.encryption !== undefined,
    outcome: isPresent ? 'present' : 'copied',
    duration: Math.round(performance.now() - startedMs),
  };
}

/** That the key at hand opens what was just encrypted: the first chunk is decrypted. @throws KEY_NEEDED, DECRYPT_FAILED */
async function requireOpening(
  place: Place,
  record: PlacedBackup['record'],
  keys: OpeningKeys,
): Promise<void> {
  const [first] = filesOf(record);
  if (!first) return;
  const stream = await place.read(folderOf(record) + first.name);
  try {
    await decryptStream(stream as AsyncIterable<Buffer>, keys).next();
  } finally {
    stream.destroy();
  }
}

/**
 * Whom copies are encrypted to: the flags, else the config file's recipients.
 * @throws USAGE for a recipient that is none, or both kinds at once
 */
export async function encryptToOf(
  settings: Settings,
  flags: {readonly recipients?: readonly string[] | undefined; readonly passphraseFile?: string | undefined},
): Promise<EncryptTo | undefined> {
  if (flags.recipients !== undefined && flags.passphraseFile !== undefined) {
    throw new AppError(
      'USAGE',
      '--encrypt-to contradicts --passphrase-file: the age format knows one or the other.',
    );
  }
  if (flags.passphraseFile !== undefined)
    return {passphrase: await readPassphrase(settings.cwd, flags.passphraseFile)};
  const recipients = flags.recipients ?? settings.config.encryption?.recipients ?? [];
  if (recipients.length === 0) return undefined;
  await checkRecipients(recipients);
  return {recipients};
}
