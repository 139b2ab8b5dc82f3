/** Brings one backup from a place to another, checked on the way and read back there; its metadata is written last. */
import {createHash} from 'node:crypto';
import type {BackupRecord} from '../backups/backup-record.js';
import {formatBackupRecord} from '../backups/backup-record.js';
import {freeBytes} from '../backups/disk-space.js';
import {AppError} from '../errors.js';
import {formatBytes} from '../format.js';
import type {RunContext} from '../run-context.js';
import {openJournal} from '../watch/journal.js';
import type {EncryptTo, OpeningKeys} from './age-keys.js';
import {decryptStream, encryptStream} from './age-stream.js';
import {isRemote} from './open-place.js';
import type {Place} from './place.js';
import {folderOf, metadataKeyIn, type PlacedBackup} from './place-catalogue.js';

export interface Transfer {
  readonly from: Place;
  readonly backup: PlacedBackup;
  readonly to: Place;
  /** Whom files that are not encrypted yet are encrypted to. */
  readonly encryptTo?: EncryptTo | undefined;
  /** Opens encrypted files on their way into a folder, where backups are plain; in buckets they stay as they are. */
  readonly keys: OpeningKeys;
  /** bytes read of the source, and all of them */
  readonly onBytes?: ((done: number, total: number) => void) | undefined;
}

export interface Transferred {
  readonly metadataKey: string;
  readonly record: BackupRecord;
  /** Whether it was there already, so that nothing was copied. */
  readonly isPresent: boolean;
}

interface StoredFile {
  /** The file's name below the folder of the backup: "x.dump", "x.dir/toc.dat". */
  readonly name: string;
  readonly sha256: string;
}

/** Files of a folder dump sent side by side; each may hold 32 MiB of parts. */
const filesAtOnce = 3;
const ageSuffix = '.age';

/**
 * Whatever goes wrong, no metadata is written in `to`, and what was written there is removed; where even that fails,
 * the journal knows it for `recover`.
 * @throws CHECKSUM_MISMATCH, BACKUP_INCOMPLETE, KEY_NEEDED, DECRYPT_FAILED, DISK_FULL, the codes of the stores, INTERRUPTED
 */
export async function transferBackup(context: RunContext, transfer: Transfer): Promise<Transferred> {
  const {backup, to} = transfer;
  const {record} = backup;
  const metadataKey = metadataKeyIn(to, record);
  if (await to.status(metadataKey)) return {metadataKey, record, isPresent: true};
  const isOpening = record.encryption !== undefined && !isRemote(to.url);
  await requireRoom(to, record);
  const journal = openJournal(context, 'copy');
  const staging = to.stagingFolder(record.id);
  try {
    const done = await journal.begin(
      isRemote(to.url)
        ? {kind: 'upload', place: to.url, key: staging, uploadId: ''}
        : {kind: 'partial', path: `${to.url}/${staging}`.replace(/\/$/, '')},
    );
    try {
      const written = await transferFiles(context, transfer, staging, isOpening);
      const folder = await to.settle(staging);
      const stored = withFolder(
        isOpening ? plainRecord(record) : storedRecord({record, seal: sealingOf(transfer)}, written),
        folder,
      );
      await to.writeText(metadataKey, formatBackupRecord(stored), null);
      await done();
      return {metadataKey, record: stored, isPresent: false};
    } catch (error) {
      await removeStaged(to, staging);
      await done();
      throw error;
    }
  } finally {
    await journal.close();
  }
}

/** Removes everything in the folder of a backup that was never finished, uploads in parts included. */
export async function removeStaged(place: Place, staging: string): Promise<void> {
  for await (const upload of place.unfinishedUploads()) {
    if (upload.key.startsWith(staging)) await place.abandonUpload(upload);
  }
  for await (const {key} of place.list(staging, true)) await place.remove(key);
  if (!isRemote(place.url)) await place.remove(staging);
}

/** The files that a record names, with what is stored of them. */
export function filesOf(record: BackupRecord): StoredFile[] {
  const files =
    typeof record.sha256 === 'string'
      ? [{name: record.backupPath, sha256: record.sha256}]
      : Object.entries(record.sha256).map(([name, sha256]) => ({
          name: `${record.backupPath}/${name}`,
          sha256,
        }));
  return record.roles ? [...files, {name: record.roles.path, sha256: record.roles.sha256}] : files;
}

type Written = ReadonlyMap<string, Digest>;

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
  const workers = await Promise.allSettled(Array.from({length: filesAtOnce}, next));
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
  const seal = sealingOf(transfer);
  const name = isOpening ? file.name.slice(0, -ageSuffix.length) : file.name;
  const {stored} = await writeChecked(context, {
    to,
    key: staging + name,
    source: isOpening ? decryptStream(read.stream, keys) : read.stream,
    seal,
    expectedBytes: backup.sizeBytes,
  });
  if (read.sha256() !== file.sha256) {
    throw new AppError(
      'CHECKSUM_MISMATCH',
      `${from.url}/${key} differs from what was written: its SHA-256 is another than in the metadata.`,
      {
        hint: 'That copy is damaged: take another backup, or its copy elsewhere.',
      },
    );
  }
  return stored;
}

interface Digest {
  readonly sha256: string;
  readonly sizeBytes: number;
}

/**
 * Writes a file, sealed where `seal` says so (".age" ends its key then), and reads it back.
 * @returns digests of what came and of what is stored
 * @throws CHECKSUM_MISMATCH when it reads back differently, and the codes of the store
 */
export async function writeChecked(
  context: RunContext,
  file: {
    readonly to: Place;
    readonly key: string;
    readonly source: AsyncIterable<Buffer>;
    readonly seal: EncryptTo | undefined;
    /** Bytes, known or guessed. */
    readonly expectedBytes: number;
    readonly onBytes?: (bytes: number) => void;
  },
): Promise<{plain: Digest; stored: Digest}> {
  const {to, seal, expectedBytes, onBytes} = file;
  const {signal} = context;
  const key = seal ? file.key + ageSuffix : file.key;
  const plain = digested(file.source);
  const sent = digested(seal ? encryptStream(plain.stream, seal) : plain.stream);
  await to.write(key, sent.stream, {expectedBytes, signal, onBytes});
  const back = digested((await to.read(key, signal)) as AsyncIterable<Buffer>);
  // eslint-disable-next-line @typescript-eslint/no-unused-vars -- read for its digest alone
  for await (const _ of back.stream) signal.throwIfAborted();
  if (back.sha256() !== sent.sha256()) {
    throw new AppError(
      'CHECKSUM_MISMATCH',
      `${to.url}/${key} reads back differently from what was sent; it was removed.`,
      {
        hint: 'Run again; if it stays so, the store cannot be trusted.',
      },
    );
  }
  return {
    plain: {sha256: plain.sha256(), sizeBytes: plain.sizeBytes()},
    stored: {sha256: sent.sha256(), sizeBytes: sent.sizeBytes()},
  };
}

/** Files that are encrypted already are not encrypted again; those in folders stay plain, as all commands read them. */
function sealingOf({backup, to, encryptTo}: Transfer): EncryptTo | undefined {
  return backup.record.encryption || !isRemote(to.url) ? undefined : encryptTo;
}

/** The stream, with what passed through it. */
function digested(source: AsyncIterable<Buffer>, onBytes?: (bytes: number) => void) {
  const hash = createHash('sha256');
  let sizeBytes = 0;
  let sha256: string | undefined;
  async function* pass(): AsyncGenerator<Buffer> {
    for await (const chunk of source) {
      hash.update(chunk);
      sizeBytes += chunk.length;
      onBytes?.(chunk.length);
      yield chunk;
    }
  }
  return {stream: pass(), sha256: () => (sha256 ??= hash.digest('hex')), sizeBytes: () => sizeBytes};
}

/** The record of what was written: as before, or with the encrypted files in place of the plain ones. */
export function storedRecord(
  {record, seal}: {readonly record: BackupRecord; readonly seal: EncryptTo | undefined},
  written: Written,
): BackupRecord {
  if (!seal) return record;
  const {backupPath, size, sha256, roles} = record;
  const digestOf = (name: string): string => written.get(name)?.sha256 ?? '';
  const rolesFile = roles && written.get(roles.path);
  const sizes = filesOf({...record, roles: null}).map(({name}) => written.get(name)?.sizeBytes ?? 0);
  return {
    ...record,
    backupPath: typeof sha256 === 'string' ? backupPath + ageSuffix : backupPath,
    size: sizes.reduce((sum, bytes) => sum + bytes, 0),
    sha256:
      typeof sha256 === 'string'
        ? digestOf(backupPath)
        : Object.fromEntries(
            Object.keys(sha256).map((name) => [name + ageSuffix, digestOf(`${backupPath}/${name}`)]),
          ),
    roles:
      roles && rolesFile
        ? {path: roles.path + ageSuffix, sha256: rolesFile.sha256, size: rolesFile.sizeBytes}
        : null,
    encryption: {
      format: 'age',
      recipients: 'recipients' in seal ? [...seal.recipients] : [],
      plain: {backupPath, size, sha256, roles},
    },
  };
}

function plainRecord(record: BackupRecord): BackupRecord {
  const {encryption, ...rest} = record;
  return encryption ? {...rest, ...encryption.plain} : record;
}

/** The record with the folder that its files are in. */
export function withFolder(record: BackupRecord, folder: string): BackupRecord {
  return {...record, storage: folder === '' ? undefined : {folder}};
}

/** @throws DISK_FULL when a folder has not the room for the backup */
async function requireRoom(to: Place, record: BackupRecord): Promise<void> {
  if (isRemote(to.url)) return;
  const needed = record.encryption?.plain.size ?? record.size;
  const free = await freeBytes(to.url);
  if (free >= needed) return;
  throw new AppError(
    'DISK_FULL',
    `There are ${formatBytes(free)} free at ${to.url}, and the backup needs ${formatBytes(needed)}; nothing was written.`,
    {
      hint: 'Free space, or prune old backups (destino-db prune).',
    },
  );
}
