/** The backups of any place, as their metadata tell them. */
import {createHash} from 'node:crypto';
import {basename} from 'node:path';
import {fileNamePart, metadataName, metadataSuffix} from '../catalog/backup-name.js';
import {type BackupRecord, longestMetadata, parseBackupRecord} from '../catalog/backup-record.js';
import {
  type Backup,
  type BackupChoice,
  type Catalogue,
  databaseIdentity,
  newestUsable,
  readMetadataFiles,
  type RecordedBackup,
  recordedBackup,
} from '../catalog/catalogue.js';
import {AppError, type ErrorCode} from '../base/errors.js';
import type {KnownTexts, Place, StoredObject} from './place.js';
import {filesOf} from './stored-record.js';

interface PlaceCatalogue extends Catalogue {
  readonly backups: readonly RecordedBackup[];
}

/** Enough to hide the latency of a store far away. */
const readsAtOnce = 32;

/** What is wrong with one file alone. */
const ofOneFile: readonly ErrorCode[] = ['METADATA_INVALID', 'BACKUP_INCOMPLETE', 'READ_FAILED'];

/** Newest first. Metadata right in the place counts, whoever put it there. */
export async function readPlace(place: Place, signal?: AbortSignal): Promise<PlaceCatalogue> {
  const objects = await metadataObjects(place, '', signal);
  const known = objects.length > readsAtOnce ? await place.knownTexts?.() : undefined;
  const catalogue = await readAll(place, objects, signal, known);
  await known?.save();
  return catalogue;
}

/** At most the `count` newest backups of a database by its name, of all servers, newest first. */
export async function readNewest(
  place: Place,
  database: string,
  count: number,
  signal?: AbortSignal,
): Promise<readonly RecordedBackup[]> {
  const begin = `${fileNamePart(database)}-`;
  // "shop-2" and "shop-2026-new" have the beginning of "shop" too; what follows here is the time.
  const objects = (await metadataObjects(place, begin, signal)).filter(({key}) =>
    /^\d{4}-\d\d-\d\dT/.test(key.slice(begin.length)),
  );
  objects.sort((a, b) => (a.key < b.key ? -1 : 1));
  return (await readAll(place, objects.slice(-count), signal)).backups;
}

/** @param begin what the keys begin with */
async function metadataObjects(place: Place, begin: string, signal?: AbortSignal): Promise<StoredObject[]> {
  const objects: StoredObject[] = [];
  for await (const object of place.list(begin, false, signal)) {
    if (object.key.endsWith(metadataSuffix)) objects.push(object);
  }
  return objects;
}

function readAll(
  place: Place,
  objects: readonly StoredObject[],
  signal?: AbortSignal,
  known?: KnownTexts,
): Promise<PlaceCatalogue> {
  return readMetadataFiles(
    objects,
    readsAtOnce,
    ({key}) => `${place.url}/${key}`,
    async (object) => {
      const {key, sizeBytes} = object;
      signal?.throwIfAborted();
      if (sizeBytes > longestMetadata) throw new AppError('METADATA_INVALID', `it has ${sizeBytes} bytes`);
      const text = known?.get(object) ?? (await place.readText(key));
      const backup = parsePlaced(place, key, text);
      known?.add(object, text);
      return backup;
    },
    // Trouble with the place ends the reading; a file that tells no backup does not.
    (error) => signal?.aborted === true || (error instanceof AppError && !ofOneFile.includes(error.code)),
  );
}

/** @throws METADATA_INVALID, BACKUP_INCOMPLETE when it is gone */
export async function readPlaced(place: Place, metadataKey: string): Promise<RecordedBackup> {
  return parsePlaced(place, metadataKey, await place.readText(metadataKey));
}

function parsePlaced(place: Place, metadataKey: string, text: string): RecordedBackup {
  const metadataPath = `${place.url}/${metadataKey}`;
  const record = parseBackupRecord(metadataPath, text);
  const path = `${place.url}/${folderOf(record)}${record.backupPath}`;
  return recordedBackup(record, {path, metadataPath});
}

export function folderOf(record: BackupRecord): string {
  return record.storage?.folder ?? '';
}

/** The key of a backup's metadata, which is right in its place. */
export function metadataKeyOf({metadataPath}: Pick<Backup, 'metadataPath'>): string {
  return basename(metadataPath);
}

/**
 * The key of the metadata in a place. Where several machines write, it also holds a mark made of the database's identity
 * and the content, so that equal names do not meet, and a backup copied twice is known.
 */
export function metadataKeyIn(place: Place, record: BackupRecord): string {
  return metadataName(place.isShared ? `${record.id}.${markOf(record)}` : record.id);
}

/** Equal for the copies of one backup in all places, encrypted or not, and for no others. */
export function markOf(record: BackupRecord): string {
  const identity = databaseIdentity({record, database: record.databaseName});
  const content = record.encryption?.plain.sha256 ?? record.sha256;
  const hash = createHash('sha256').update(JSON.stringify([identity, record.timestamp, content]));
  return hash.digest('hex').slice(0, 12);
}

/**
 * The backup with this id, or with a file of this name.
 * @throws BACKUP_NOT_FOUND, USAGE when two machines' backups have the id that was given
 */
export function findPlaced(place: Place, backups: readonly RecordedBackup[], file: string): RecordedBackup {
  const name = file.slice(file.lastIndexOf('/') + 1);
  const found = backups.filter((backup) => {
    const key = metadataKeyOf(backup);
    return [backup.id, backup.record.backupPath, key, key.slice(0, -metadataSuffix.length)].includes(name);
  });
  if (found.length > 1) {
    throw new AppError('USAGE', `${place.url} has ${found.length} backups "${name}", of different servers.`, {
      hint: 'Name one of them by its metadata file.',
      details: found.map(
        ({metadataPath, record}) => `${metadataPath} of ${record.source.host}:${record.source.port}`,
      ),
    });
  }
  if (found[0]) return found[0];
  throw new AppError('BACKUP_NOT_FOUND', `There is no backup "${name}" in ${place.url}.`, {
    hint: `See what there is: destino-db list --from ${place.url}`,
  });
}

/**
 * The backup that the user means: by its name, or the newest usable one.
 * @param cwd where a path begins that names a backup
 * @throws BACKUP_NOT_FOUND, USAGE, METADATA_INVALID, BACKUP_INCOMPLETE and the codes of the store
 */
export async function chooseBackup(
  place: Place,
  choice: BackupChoice,
  cwd: string,
  signal?: AbortSignal,
): Promise<Backup> {
  if (choice.file !== undefined && choice.file !== 'latest') return place.find(choice.file, cwd, signal);
  const {backups, problems} = await place.catalogue(signal);
  return newestUsable(backups, choice, place.url, problems.length > 0);
}

/** Its metadata goes first: no metadata, no backup. */
export async function removePlaced(place: Place, backup: Backup): Promise<void> {
  for (const key of keysOf(backup)) await place.remove(key);
}

/** The latest date until which any object of a backup is locked. */
export async function lockOf(place: Place, backup: Backup, now: Date): Promise<Date | null> {
  let latest: Date | null = null;
  for (const key of keysOf(backup)) {
    const until = (await place.status(key))?.lockedUntil ?? null;
    if (until && until > now && (!latest || until > latest)) latest = until;
  }
  return latest;
}

/** Of its metadata, and then of its files. */
function keysOf(backup: Backup): string[] {
  const {record} = backup;
  const files = record ? filesOf(record).map(({name}) => folderOf(record) + name) : [];
  return [metadataKeyOf(backup), ...files];
}
