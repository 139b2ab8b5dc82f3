/** Lists the backups of any location from their metadata. */
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
import {chooseByBeginning, unknownBackup} from '../catalog/choose-by-id.js';
import {AppError, type ErrorCode} from '../base/errors.js';
import type {KnownTexts, Place, StoredObject} from './place.js';
import {filesOf} from './stored-record.js';

interface PlaceCatalogue extends Catalogue {
  readonly backups: readonly RecordedBackup[];
}

/** Enough to hide the latency of a remote store. */
const readsAtOnce = 32;

/** Errors that concern one file only. */
const ofOneFile: readonly ErrorCode[] = ['METADATA_INVALID', 'BACKUP_INCOMPLETE', 'READ_FAILED'];

/** Newest first. All metadata directly in the location counts, from any user. */
export async function readPlace(place: Place, signal?: AbortSignal): Promise<PlaceCatalogue> {
  const objects = await metadataObjects(place, '', signal);
  const known = objects.length > readsAtOnce ? await place.knownTexts?.() : undefined;
  const catalogue = await readAll(place, objects, signal, known);
  await known?.save();
  return catalogue;
}

/** The newest backups (at most `count`) of all databases of that name, on any server, newest first. */
export async function readNewest(
  place: Place,
  database: string,
  count: number,
  signal?: AbortSignal,
): Promise<readonly RecordedBackup[]> {
  const begin = `${fileNamePart(database)}-`;
  // "shop-2" and "shop-2026-new" begin like "shop" too; the rest of the id must be a time.
  const objects = (await metadataObjects(place, begin, signal)).filter(({key}) =>
    /^\d{4}-\d\d-\d\dT/.test(key.slice(begin.length)),
  );
  objects.sort((a, b) => (a.key < b.key ? -1 : 1));
  return (await readAll(place, objects.slice(-count), signal)).backups;
}

/** @param begin prefix of the keys */
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
    // An error of the location stops the reading; unusable metadata does not.
    (error) => signal?.aborted === true || (error instanceof AppError && !ofOneFile.includes(error.code)),
  );
}

/** @throws METADATA_INVALID, BACKUP_INCOMPLETE if it is missing */
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

/** The key of a backup's metadata, which is directly in its location. */
export function metadataKeyOf({metadataPath}: Pick<Backup, 'metadataPath'>): string {
  return basename(metadataPath);
}

/**
 * The key of the metadata in a location. If several machines write there, the key contains a hash of the database's identity
 * and the content, so that equal names do not collide and a backup that was already copied is recognised.
 */
export function metadataKeyIn(place: Place, record: BackupRecord): string {
  return metadataName(place.isShared ? `${record.id}.${contentTag(record)}` : record.id);
}

/** Equal for all copies of a backup, encrypted or not, and different for other backups. */
export function contentTag(record: BackupRecord): string {
  const identity = databaseIdentity({record, database: record.databaseName});
  const content = record.encryption?.plain.sha256 ?? record.sha256;
  const hash = createHash('sha256').update(JSON.stringify([identity, record.timestamp, content]));
  return hash.digest('hex').slice(0, 12);
}

/**
 * The backup with this id or the beginning of one, or with a file of this name.
 * @throws BACKUP_NOT_FOUND, USAGE when several backups have the id, or ids that begin like this
 */
export function findPlaced(place: Place, backups: readonly RecordedBackup[], file: string): RecordedBackup {
  const name = file.slice(file.lastIndexOf('/') + 1);
  const found = backups.filter((backup) => {
    const key = metadataKeyOf(backup);
    return [backup.id, backup.record.backupPath, key, key.slice(0, -metadataSuffix.length)].includes(name);
  });
  if (found.length > 1) {
    throw new AppError('USAGE', `${place.url} has ${found.length} backups "${name}", of different servers.`, {
      hint: 'Give the name of one of the metadata files.',
      details: found.map(
        ({metadataPath, record}) => `${metadataPath} of ${record.source.host}:${record.source.port}`,
      ),
    });
  }
  const chosen = found[0] ?? chooseByBeginning(backups, name, place.url, ({metadataPath}) => metadataPath);
  if (chosen) return chosen;
  throw unknownBackup(
    `There is no backup "${name}" in ${place.url}.`,
    name,
    backups.map(({id}) => id),
    `List the backups: destino-db list --from ${place.url}`,
  );
}

/**
 * The backup that the user chose: by its name, or the newest usable one.
 * @param cwd base of relative paths
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

/** Removes the metadata first: without metadata there is no backup. */
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

/** The objects of the metadata, then of its files. */
function keysOf(backup: Backup): string[] {
  const {record} = backup;
  const files = record ? filesOf(record).map(({name}) => folderOf(record) + name) : [];
  return [metadataKeyOf(backup), ...files];
}
