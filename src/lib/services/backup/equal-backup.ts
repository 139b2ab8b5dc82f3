/** Finds an earlier backup with the same content as a new dump, and stores that content once. */
import {link, readdir, rename, rm} from 'node:fs/promises';
import {basename, dirname, join} from 'node:path';
import {isDeepStrictEqual} from 'node:util';
import {partialSuffix} from '../../base/file-names.js';
import {AppError, systemErrorCode} from '../../base/errors.js';
import {explainFileError, syncTree} from '../../base/safe-file.js';
import type {BackupRecord} from '../../catalog/backup-record.js';
import {
  type Backup,
  isGood,
  isRecorded,
  type RecordedBackup,
  retentionCandidate,
} from '../../catalog/catalogue.js';
import {checkFiles} from '../../catalog/check-files.js';
import type {DumpPlace} from '../../catalog/dump-place.js';
import type {Encryption} from '../../encryption/settings.js';
import type {RunContext} from '../../run/run-context.js';
import {localPlace} from '../../storage/local-place.js';
import {ageSuffix} from '../../storage/stored-record.js';
import {requireOpening} from '../../storage/try-keys.js';

/**
 * The newest usable backup of the same kind, if it has the content of the new dump and its stored bytes are intact.
 * @param earlier the backups in the folder, newest first
 * @returns undefined if anything differs, also the keys that would open it
 */
export async function findEqualBackup(
  {signal}: RunContext,
  record: BackupRecord,
  earlier: readonly Backup[],
  encryption: Encryption,
): Promise<RecordedBackup | undefined> {
  const before = earlier.filter(isRecorded).find((backup) => isGood(backup) && isOfKind(backup, record));
  if (before === undefined || record.shrink.length + before.record.shrink.length > 0) return undefined;
  if (record.definitions === undefined || record.tables.some(({fingerprint}) => fingerprint === null))
    return undefined;
  if (!isDeepStrictEqual(comparable(before.record), comparable(record))) return undefined;
  if (!(await isEncryptedLike(before, encryption))) return undefined;
  try {
    // Otherwise one damaged file would become several damaged backups.
    await checkFiles(before, {signal});
  } catch (error) {
    if (error instanceof AppError && error.code !== 'INTERRUPTED') return undefined;
    throw error;
  }
  return before;
}

/** Whether retention counts them together, and both were made by the same request. */
function isOfKind(backup: RecordedBackup, record: BackupRecord): boolean {
  const kindOf = ({format, compressed, config}: BackupRecord) => ({
    format,
    compressed,
    ...without(config, ['parallelJobs']),
  });
  const {identity} = retentionCandidate({
    ...backup,
    record,
    database: record.databaseName,
    label: record.label,
  });
  return (
    retentionCandidate(backup).identity === identity &&
    isDeepStrictEqual(kindOf(backup.record), kindOf(record))
  );
}

/** Metadata that differs between two backups with the same content. */
const ofOneBackup: readonly string[] = [
  ...[
    'id',
    'timestamp',
    'size',
    'duration',
    'backupPath',
    'sha256',
    'toolVersion',
    'encryption',
    'storage',
    'equalTo',
  ],
  ...['verification', 'proofs', 'notPossible', 'label', 'keep', 'shrink', 'warnings'],
];

/** The content of the dump, and the database, server and programs that it is from. */
function comparable(record: BackupRecord): unknown {
  const facts = {
    ...without(record, ofOneBackup),
    source: without(record.source, ['sizeBytes']),
    config: without(record.config, ['parallelJobs']),
    tables: record.tables.map((table) => without(table, ['sizeBytes'])),
  };
  return JSON.parse(JSON.stringify(facts));
}

function without(object: object, keys: readonly string[]): object {
  return Object.fromEntries(Object.entries(object).filter(([key]) => !keys.includes(key)));
}

/** Whether the stored files are as the new ones would be: unencrypted, or for the same recipients and with the same passphrase. */
async function isEncryptedLike(
  {path, record}: RecordedBackup,
  {to, isLocal, keys}: Encryption,
): Promise<boolean> {
  if (!to || !isLocal) return record.encryption === undefined;
  if (record.encryption === undefined) return false;
  const wanted = 'passphrase' in to ? [] : [...to.recipients];
  if (!isDeepStrictEqual([...record.encryption.recipients].sort(), wanted.sort())) return false;
  if (!('passphrase' in to)) return true;
  return requireOpening(localPlace(dirname(path)), record, keys).then(
    () => true,
    () => false,
  );
}

/**
 * Replaces the new dump by hard links to the files of the earlier backup. Each backup has its own names, so that every command treats
 * it as any other, and the file system keeps the bytes until the last of them is removed.
 * @returns undefined, with the new dump unchanged, if the file system has no hard links
 * @throws DISK_FULL, WRITE_FAILED
 */
export async function shareFiles(
  place: DumpPlace,
  record: BackupRecord,
  equal: RecordedBackup,
): Promise<{place: DumpPlace; record: BackupRecord} | undefined> {
  const {encryption, size, sha256} = equal.record;
  const isEncryptedFile = encryption !== undefined && !place.isFolder;
  const finalName = place.finalName + (isEncryptedFile ? ageSuffix : '');
  const finalPath = join(dirname(place.finalPath), finalName);
  const taken: DumpPlace = {...place, finalName, finalPath, partialPath: finalPath + partialSuffix};
  try {
    if (!(await linkFiles(place, equal.path))) return undefined;
    if (taken.partialPath !== place.partialPath) await rename(place.partialPath, taken.partialPath);
    await syncTree(taken.partialPath, place.isFolder);
  } catch (error) {
    throw explainFileError(error, place.partialPath);
  }
  return {
    place: taken,
    record: {
      ...record,
      size,
      sha256,
      backupPath: finalName,
      ...(encryption === undefined
        ? {}
        : {encryption: {...encryption, plain: {...encryption.plain, backupPath: place.finalName}}}),
      equalTo: equal.record.equalTo ?? equal.id,
    },
  };
}

/** File systems and limits that do not allow (another) hard link (link(2)). */
const withoutLinks = new Set(['EPERM', 'EOPNOTSUPP', 'ENOTSUP', 'ENOSYS', 'EXDEV', 'EMLINK', 'EACCES']);

async function linkFiles({partialPath, isFolder}: DumpPlace, from: string): Promise<boolean> {
  // A name of unfinished work, so that recover removes it if this run is killed.
  const linked = `${partialPath.slice(0, -partialSuffix.length)}.linked${partialSuffix}`;
  const names = isFolder ? await readdir(from) : [];
  try {
    if (!isFolder) await link(from, linked);
    for (const name of names) await link(join(from, name), join(partialPath, `${basename(name)}.linked`));
  } catch (error) {
    for (const name of names) await rm(join(partialPath, `${name}.linked`), {force: true});
    if (withoutLinks.has(systemErrorCode(error) ?? '')) return false;
    throw error;
  }
  if (!isFolder) {
    await rename(linked, partialPath);
    return true;
  }
  for (const name of await readdir(partialPath))
    if (!name.endsWith('.linked')) await rm(join(partialPath, name));
  for (const name of names) await rename(join(partialPath, `${name}.linked`), join(partialPath, name));
  return true;
}
