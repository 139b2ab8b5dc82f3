/** Copies one backup from a location to another. Files are checked on the way and read back; the metadata is written last. */
import type {BackupRecord} from '../catalog/backup-record.js';
import {formatBackupRecord} from '../catalog/backup-record.js';
import type {RecordedBackup} from '../catalog/catalogue.js';
import {AppError, messageOf} from '../base/errors.js';
import {formatBytes} from '../base/format.js';
import type {RunContext} from '../run/run-context.js';
import {type Journal, openJournal} from '../run/journal.js';
import type {EncryptTo, OpeningKeys} from '../encryption/age-keys.js';
import {decryptStream} from '../encryption/age-stream.js';
import {digested, mismatch, writeChecked} from './write-checked.js';
import {isAway, type Place} from './place.js';
import {folderOf, contentTag, metadataKeyIn, readPlaced} from './place-catalogue.js';
import {isOrderKey} from './placed-orders.js';
import {
  ageSuffix,
  filesOf,
  plainRecord,
  type StoredFile,
  storedRecord,
  withFolder,
  type Written,
  withoutSharing,
} from './stored-record.js';

export interface Transfer {
  readonly from: Place;
  readonly backup: RecordedBackup;
  readonly to: Place;
  /** Recipients for files that are not encrypted yet; encrypted files are copied unchanged. */
  readonly encryptTo?: EncryptTo;
  /** Whether encrypted files are decrypted. */
  readonly isOpening?: boolean;
  readonly keys: OpeningKeys;
  /** Tests the copied files before the metadata is written; an error prevents the copy. */
  readonly beforeCommit?: (stored: BackupRecord) => Promise<void>;
  /** Bytes read of the source, and the total. */
  readonly onBytes?: (done: number, total: number) => void;
}

export interface Transferred {
  readonly metadataKey: string;
  readonly record: BackupRecord;
  /** Whether the backup was already there, so that nothing was copied. */
  readonly isPresent: boolean;
}

/** Files of a folder dump that are sent concurrently; each may use 32 MiB for its parts. */
const filesAtOnce = 3;

/**
 * After any error, no metadata is in `to`, and the written files are removed; if that fails too,
 * the journal lists them for `recover`.
 * @throws CHECKSUM_MISMATCH, BACKUP_INCOMPLETE, KEY_NEEDED, DECRYPT_FAILED, DISK_FULL, the codes of the stores, INTERRUPTED
 */
export async function transferBackup(context: RunContext, transfer: Transfer): Promise<Transferred> {
  const {from, backup, to} = transfer;
  const record = withoutSharing(backup.record);
  const metadataKey = metadataKeyIn(to, record);
  const present = await findPresent(to, metadataKey, record);
  if (present) return {metadataKey, record: present, isPresent: true};
  const isOpening = transfer.isOpening === true && record.encryption !== undefined;
  await requireRoom(to, isOpening ? plainRecord(record) : record);
  const staging = to.stagingFolder(record.id);
  await requireReachable(to, staging);
  const journal = openJournal(context, 'copy');
  try {
    const done = await journal.begin(to.journalEntry(staging));
    try {
      const written = await transferFiles(context, transfer, staging, isOpening);
      const made = isOpening
        ? plainRecord(record)
        : storedRecord({record, encryptTo: recipientsFor(transfer)}, written);
      const stored = await name(journal, {to, staging, made, metadataKey}, transfer.beforeCommit);
      await done();
      return {metadataKey, record: stored, isPresent: false};
    } catch (error) {
      const isGone = from.isOnThisMachine && isAway(error);
      await clearStaged(context, {to, staging, metadataKey, isAway: isGone}, error);
      await done();
      // Another run may have copied the same backup meanwhile.
      const isTaken = error instanceof AppError && error.code === 'STORAGE_CONFLICT';
      const other = isTaken ? await findPresent(to, metadataKey, record) : undefined;
      if (other) return {metadataKey, record: other, isPresent: true};
      throw error;
    }
  } finally {
    await journal.close();
  }
}

/** Moves the staged files to their final names, the metadata last. In a folder, no file keeps its final name after an error. */
async function name(
  journal: Journal,
  {to, staging, made, metadataKey}: {to: Place; staging: string; made: BackupRecord; metadataKey: string},
  beforeCommit: Transfer['beforeCommit'],
): Promise<BackupRecord> {
  const write = async (folder: string): Promise<BackupRecord> => {
    const stored = withFolder(made, folder);
    await beforeCommit?.(stored);
    await to.writeText(metadataKey, formatBackupRecord(stored), null);
    return stored;
  };
  if (!to.finalize) return write(staging);
  const done = await journal.begin({
    kind: 'dump-without-metadata',
    path: `${to.url}/${made.backupPath}`,
    metadataPath: `${to.url}/${metadataKey}`,
  });
  try {
    await to.finalize(staging);
    const stored = await write('');
    await done();
    return stored;
  } catch (error) {
    // Files that cannot be removed stay in the journal.
    await removeUnrecorded(to, staging, made, metadataKey).catch(() => Promise.reject(error as Error));
    await done();
    throw error;
  }
}

/** Removes files that were moved out of the staging folder. If a file is still in it, the final name belongs to a foreign file. */
async function removeUnrecorded(
  to: Place,
  staging: string,
  made: BackupRecord,
  metadataKey: string,
): Promise<void> {
  if (await to.status(metadataKey)) return;
  for (const key of [made.backupPath, ...(made.roles ? [made.roles.path] : [])])
    if (!(await to.status(staging + key))) await to.remove(key);
}

/**
 * The record of the same backup if the location already has it.
 * @throws STORAGE_CONFLICT if another backup has its name there, for example from another machine
 */
async function findPresent(
  to: Place,
  metadataKey: string,
  record: BackupRecord,
): Promise<BackupRecord | undefined> {
  if (!(await to.status(metadataKey))) return undefined;
  const present = await readPresent(to, metadataKey);
  if (contentTag(present) === contentTag(record)) return present;
  throw new AppError(
    'STORAGE_CONFLICT',
    `${to.url} already contains another backup named ${record.id}, of ${present.source.host}:${present.source.port}; it was not changed.`,
    {hint: 'Copy the backups of each server into a separate folder.'},
  );
}

async function readPresent(to: Place, metadataKey: string): Promise<BackupRecord> {
  try {
    return (await readPlaced(to, metadataKey)).record;
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== 'METADATA_INVALID') throw error;
    throw new AppError(error.code, `${error.message} It has the name of the copy; nothing was copied.`, {
      hint: 'Inspect that file. If it is not needed, move it away and copy again.',
      cause: error,
    });
  }
}

/** Detects a wrong key or bucket before any work begins. @throws the codes of the stores */
export async function requireReachable(to: Place, staging: string): Promise<void> {
  await to.list(staging, true)[Symbol.asyncIterator]().next();
}

/**
 * Removes the files that a failed run sent. If that fails too, prints a warning: the first error is the one to report,
 * and the journal lists the rest for `recover`.
 * @param staged with `isAway`, do not wait for the store again
 * @param cause the first error
 * @throws `cause` if something could not be removed
 */
export async function clearStaged(
  context: RunContext,
  staged: {
    readonly to: Place;
    readonly staging: string;
    /** Undefined until it is known. */
    readonly metadataKey: string | undefined;
    readonly isAway: boolean;
  },
  cause: unknown,
): Promise<void> {
  const {to, staging, metadataKey} = staged;
  const stays = (why: string): void =>
    context.warn(
      `The files sent so far remain in ${to.url}/${staging}, where no list shows them${why}. Remove them later: destino-db recover`,
    );
  if (staged.isAway) {
    stays('');
    throw cause;
  }
  try {
    if (metadataKey !== undefined && (await isCommitted(to, metadataKey, staging))) {
      context.warn(`${to.url}/${metadataKey} was written in spite of the error: that backup is complete.`);
      return;
    }
    await removeStaged(to, staging);
  } catch (error) {
    stays(`: ${messageOf(error).replace(/\.$/, '')}`);
    throw cause;
  }
}

/** Whether the metadata exists although writing it failed: the answer may have been lost. */
async function isCommitted(to: Place, metadataKey: string, staging: string): Promise<boolean> {
  if (to.finalize || !(await to.status(metadataKey))) return false;
  return folderOf((await readPlaced(to, metadataKey)).record) === staging;
}

/**
 * Removes everything of an unfinished backup, including multipart uploads.
 * @param staging the folder of the backup, or the key of an order backup
 * @throws STORAGE_DENIED for locked files, with the date, after everything else was removed
 */
export async function removeStaged(place: Place, staging: string): Promise<void> {
  for await (const upload of place.unfinishedUploads()) {
    if (upload.key.startsWith(staging)) await place.abandonUpload(upload);
  }
  // An order backup is one file, which is complete if it exists; only its parts may remain.
  if (isOrderKey(staging)) return;
  let lockedUntil: Date | null = null;
  for await (const {key} of place.list(staging, true)) {
    try {
      await place.remove(key);
    } catch (error) {
      const until = (await place.status(key))?.lockedUntil ?? null;
      if (!until) throw error;
      if (!lockedUntil || until > lockedUntil) lockedUntil = until;
    }
  }
  if (lockedUntil) {
    throw new AppError(
      'STORAGE_DENIED',
      `${place.url}/${staging} is locked until ${lockedUntil.toISOString()} and can be removed after that.`,
    );
  }
  await place.remove(staging);
}

async function transferFiles(
  context: RunContext,
  transfer: Transfer,
  staging: string,
  isOpening: boolean,
): Promise<Written> {
  const {backup, onBytes} = transfer;
  const written = new Map<string, {sha256: string; sizeBytes: number}>();
  const pending = filesOf(backup.record);
  let done = 0;
  const next = async (): Promise<void> => {
    for (let file = pending.shift(); file !== undefined; file = pending.shift()) {
      context.signal.throwIfAborted();
      written.set(
        file.name,
        await transferFile(context, transfer, file, staging, isOpening, (bytes) => {
          done += bytes;
          onBytes?.(done, backup.sizeBytes);
        }),
      );
    }
  };
  const nextOrNone = (): Promise<void> =>
    next().catch((error: unknown) => {
      pending.length = 0; // wait for running uploads, which would otherwise write into a folder that is being removed
      throw error;
    });
  const workers = await Promise.allSettled(Array.from({length: filesAtOnce}, nextOrNone));
  const failed = workers.find((worker) => worker.status === 'rejected');
  if (failed) throw failed.reason;
  return written;
}

async function transferFile(
  context: RunContext,
  transfer: Transfer,
  file: StoredFile,
  staging: string,
  isOpening: boolean,
  onBytes: (bytes: number) => void,
): Promise<{sha256: string; sizeBytes: number}> {
  const {from, to, backup, keys} = transfer;
  const {record} = backup;
  const {signal} = context;
  const key = folderOf(record) + file.name;
  const read = digested((await from.read(key, signal)) as AsyncIterable<Buffer>, onBytes);
  const encryptTo = recipientsFor(transfer);
  const name = isOpening ? file.name.slice(0, -ageSuffix.length) : file.name;
  const {stored} = await writeChecked(context, {
    to,
    key: staging + name,
    source: isOpening ? decryptStream(read.stream, keys) : read.stream,
    encryptTo,
    expectedBytes: backup.sizeBytes,
  });
  if (read.sha256() !== file.sha256) throw mismatch(from, key);
  return stored;
}

/** Encrypted files are not encrypted again. */
function recipientsFor({backup, encryptTo}: Transfer): EncryptTo | undefined {
  return backup.record.encryption ? undefined : encryptTo;
}

/** @throws DISK_FULL if a folder has too little space for the backup */
async function requireRoom(to: Place, record: BackupRecord): Promise<void> {
  const needed = record.size;
  const free = (await to.freeBytes?.()) ?? Infinity;
  if (free >= needed) return;
  throw new AppError(
    'DISK_FULL',
    `Not enough disk space at ${to.url}: ${formatBytes(free)} free, ${formatBytes(needed)} needed. Nothing was written.`,
    {
      hint: 'Free space, or prune old backups (destino-db prune).',
    },
  );
}
