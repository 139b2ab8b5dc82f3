/** Lists the backups of a folder from their metadata files. */
import {readdir, stat} from 'node:fs/promises';
import {dirname, join, resolve} from 'node:path';
import {AppError, messageOf, systemErrorCode} from '../base/errors.js';
import {type BackupFormat, backupFormats, formats, withoutExtension} from '../base/formats.js';
import {metadataName, metadataSuffix} from './backup-name.js';
import {chooseByBeginning, unknownBackup} from './choose-by-id.js';
import {
  type BackupRecord,
  contentOf,
  isMasked,
  readMetadata,
  recordIn,
  standingOfRecord,
} from './backup-record.js';
import {isOldScriptMetadata, readOldScriptBackup} from './old-script-metadata.js';
import {requireOwnDump, requireTrustedFolder} from '../base/own-file.js';
import type {BackupContent} from '../run/check-outcome.js';
import {newestFirst, type RetentionCandidate} from './retention.js';
import {exists, explainFileError} from '../base/safe-file.js';
import {supabaseProject} from '../postgres/connect/supabase-project.js';

export interface Backup {
  readonly id: string;
  /** Absolute path of the dump (a file or a folder). */
  readonly path: string;
  readonly metadataPath: string;
  readonly createdAt: Date;
  readonly database: string;
  readonly format: BackupFormat;
  readonly compressed: boolean;
  readonly sizeBytes: number;
  readonly label: string | null;
  readonly content: BackupContent;
  /** The metadata; null for a backup of the old scripts, which is never proven. */
  readonly record: BackupRecord | null;
  /** Locations of its intact copies, when several locations were read together. */
  readonly places?: readonly string[];
}

/** A backup with metadata of this program. */
export interface RecordedBackup extends Backup {
  readonly record: BackupRecord;
}

export interface Catalogue {
  /** Newest first. */
  readonly backups: readonly Backup[];
  /** Unusable metadata files, with the reason. */
  readonly problems: readonly {path: string; reason: string}[];
}

/** Enough to hide the latency of a disk or a network folder; more would only cost memory. */
const readsAtOnce = 8;

/**
 * Reads all metadata files directly in `folder`; a folder that does not exist has no backups.
 * Files of other users are problems: otherwise everybody who can write to the folder could choose what is restored.
 * @param isOwn false for a folder that the user named as a source, such as a disk of another machine
 * @throws FOREIGN_FILE when the folder is an untrusted link; READ_FAILED
 */
export async function readCatalogue(folder: string, isOwn = true): Promise<Catalogue> {
  let names: string[];
  try {
    await requireTrustedFolder(folder);
    names = await readdir(folder);
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return {backups: [], problems: []};
    throw explainFileError(error, folder);
  }
  const paths = names.filter((name) => name.endsWith(metadataSuffix)).sort();
  return readMetadataFiles(
    paths.map((name) => join(folder, name)),
    readsAtOnce,
    (path) => path,
    (path) => readBackup(path, isOwn),
  );
}

/**
 * Reads metadata files concurrently. An unreadable file is listed as a problem and does not stop the others.
 * @param read may fail for one file, or for all files if `isFatal` says so
 */
export async function readMetadataFiles<T, B extends Backup>(
  files: readonly T[],
  atOnce: number,
  pathOf: (file: T) => string,
  read: (file: T) => Promise<B>,
  isFatal: (error: unknown) => boolean = () => false,
): Promise<Catalogue & {readonly backups: readonly B[]}> {
  const backups: B[] = [];
  const problems: {path: string; reason: string}[] = [];
  const pending = [...files];
  const readNext = async (): Promise<void> => {
    for (let file = pending.pop(); file !== undefined; file = pending.pop()) {
      try {
        backups.push(await read(file));
      } catch (error) {
        if (isFatal(error)) {
          pending.length = 0; // stops the other readers
          throw error;
        }
        problems.push({path: pathOf(file), reason: messageOf(error)});
      }
    }
  };
  await Promise.all(Array.from({length: atOnce}, readNext));
  problems.sort((a, b) => (a.path < b.path ? -1 : 1));
  backups.sort((a, b) => newestFirst(a, b) || (a.metadataPath < b.metadataPath ? 1 : -1));
  return {backups, problems};
}

/**
 * The backup described by a metadata file.
 * @param isOwn whether its files must belong to the running user
 * @throws METADATA_INVALID, BACKUP_INCOMPLETE if the dump next to it is missing or is a link that leads elsewhere, FOREIGN_FILE
 */
export async function readBackup(metadataPath: string, isOwn = false): Promise<Backup> {
  const data = await readMetadata(metadataPath, isOwn);
  if (isOldScriptMetadata(data)) return readOldScriptBackup(metadataPath, data, isOwn);
  const record = recordIn(metadataPath, data);
  const path = join(dirname(metadataPath), record.backupPath);
  await requireOwnDump(path, isOwn);
  return recordedBackup(record, {path, metadataPath});
}

/** The backup of a record, with the paths where it was found. */
export function recordedBackup(
  record: BackupRecord,
  paths: Pick<Backup, 'path' | 'metadataPath'>,
): RecordedBackup {
  return {
    ...paths,
    id: record.id,
    createdAt: new Date(record.timestamp),
    database: record.databaseName,
    format: record.format,
    compressed: record.compressed,
    sizeBytes: record.size,
    label: record.label,
    content: contentOf(record),
    record,
  };
}

/** Whether this program wrote the backup's metadata. */
export function isRecorded(backup: Backup): backup is RecordedBackup {
  return backup.record !== null;
}

/** Whether the backup is intact: no failed check is in force. */
export function isGood({record}: Backup): boolean {
  return record === null || standingOfRecord(record).failure === null;
}

/** Bytes on the disk: backups of an unchanged database share theirs. */
export function storedBytes(
  backups: readonly {readonly id: string; readonly sizeBytes: number; readonly record: Backup['record']}[],
): number {
  const sizes = new Map(backups.map(({id, sizeBytes, record}) => [record?.equalTo ?? id, sizeBytes]));
  return [...sizes.values()].reduce((sum, size) => sum + size, 0);
}

/** Label of the safety backup that a restore makes of the database it is about to replace. */
export const safetyLabel = 'safety';

/** Whether it is a regular backup of the complete database: neither partial nor a safety backup, which may contain the damage itself. */
export function isWhole({content, label}: Pick<Backup, 'content' | 'label'>): boolean {
  return content === 'whole' && label !== safetyLabel;
}

/** Whether it may be suggested or counted when the user did not name a backup. */
export function isUsable(backup: Backup): boolean {
  return isWhole(backup) && isGood(backup);
}

/** The input of retention. */
export function retentionCandidate(backup: Backup): RetentionCandidate & {readonly backup: Backup} {
  const {record} = backup;
  const standing = record && standingOfRecord(record);
  return {
    backup,
    id: backup.id,
    identity: databaseIdentity(backup) + partOf(backup),
    createdAt: backup.createdAt,
    label: backup.label,
    isGood: !standing?.failure,
    isProvenByRestore: standing?.proof?.level === 'restore',
    isShrunk: record !== null && record.shrink.length > 0,
    isKeptByLabel: record?.keep === true,
  };
}

/** Distinguishes partial and safety backups, which must not push out complete ones. */
function partOf(backup: Backup): string {
  if (isWhole(backup)) return '';
  if (backup.content === 'whole') return ` ${safetyLabel}`;
  const {includeTables = [], includeSchemas = []} = backup.record?.config ?? {};
  return ` ${JSON.stringify({content: backup.content, includeTables, includeSchemas})}`;
}

/**
 * Identity of the database of a backup: the cluster's own number and the name; the Supabase project, or host and port, if the role
 * could not read that number; only the name for backups of the old scripts.
 */
export function databaseIdentity({
  record,
  database,
}: {
  readonly record: {
    readonly source: Pick<BackupRecord['source'], 'systemIdentifier' | 'host' | 'port' | 'project'>;
  } | null;
  readonly database: string;
}): string {
  if (record === null) return JSON.stringify(['old scripts', database]);
  return JSON.stringify([record.source.systemIdentifier ?? serverOf(record.source), database]);
}

/** The identity for `LockOptions`; undefined for a backup of the old scripts, for which the whole folder is locked. */
export function lockOfBackup(backup: Backup): string | undefined {
  return backup.record === null ? undefined : databaseIdentity(backup);
}

/** The Supabase project, else host and port: the identity of the server as far as an address shows it. */
export function serverOf(source: Pick<OwnDatabase, 'host' | 'port' | 'project'>): string {
  return projectOf(source) ?? `${source.host.toLowerCase().replace(/\.$/, '')}:${source.port}`;
}

/** Metadata of 0.1.0 has no project; the host of a pooler does not name it. */
function projectOf({project, host}: Pick<OwnDatabase, 'host' | 'project'>): string | undefined {
  return project ?? supabaseProject({host});
}

export interface BackupChoice {
  /** Path of a dump or of its metadata file, or an id. */
  readonly file?: string;
  /** Select the newest intact backup taken at or before this time. */
  readonly at?: Date;
  /** The database, if no file is given; without it all backups must be of one database. */
  readonly own?: OwnDatabase;
}

/** The database of the settings, as far as it is known. */
export interface OwnDatabase {
  readonly database: string;
  readonly host: string;
  readonly port: number;
  /** Supabase project. */
  readonly project?: string;
  /** The cluster's number; null or undefined if the server did not report it. */
  readonly systemIdentifier?: string | null;
  /** Whether it is itself a masked copy, and not production. */
  readonly isMasked?: boolean;
}

/**
 * The backups of one database. The cluster's number decides if both sides have it, else the project, else the address. A backup
 * made through another address of the same server counts, if one made through this address has the same number. Backups of the old
 * scripts have only a name.
 * @param backups newest first
 */
function ofDatabase<B extends Backup>(backups: readonly B[], own: OwnDatabase): B[] {
  const named = backups.filter(({database}) => database === own.database);
  const isHere = ({record}: B): boolean => record !== null && serverOf(record.source) === serverOf(own);
  // If several clusters used one address over time, the last one counts.
  const number = own.systemIdentifier ?? named.find(isHere)?.record?.source.systemIdentifier ?? null;
  return named.filter((backup) => {
    if (backup.record === null) return true;
    const {systemIdentifier} = backup.record.source;
    return number !== null && systemIdentifier !== null ? systemIdentifier === number : isHere(backup);
  });
}

/**
 * Implements --latest and --at: the newest intact, complete backup of the own database, safety backups excluded; one of a masked copy only
 * for a masked copy.
 * @param backups newest first
 * @param hasProblems whether there are unreadable metadata files
 * @throws BACKUP_NOT_FOUND, listing the other backups
 */
export function newestUsable<B extends Backup>(
  backups: readonly B[],
  {own, at}: BackupChoice,
  place: string,
  hasProblems = false,
): B {
  const ofOwn = own ? ofDatabase(backups, own) : ofOnlyDatabase(backups, place);
  const usable = ofOwn.filter((backup) => isUsable(backup) && !isMaskedElsewhere(backup, own));
  const found = usable.find(({createdAt}) => at === undefined || createdAt <= at);
  if (found) return found;
  throw noneUsable(backups, {ofOwn, own, at, hasProblems}, place);
}

/** @throws BACKUP_NOT_FOUND if there are backups of several databases and none was chosen */
function ofOnlyDatabase<B extends Backup>(backups: readonly B[], place: string): readonly B[] {
  const usable = backups.filter((backup) => isUsable(backup) && !isMasked(backup.record));
  if (new Set(usable.map(databaseIdentity)).size < 2) return backups;
  throw new AppError(
    'BACKUP_NOT_FOUND',
    `${place} has backups of several databases, and none of them was chosen.`,
    {
      hint: 'Choose a database with DIRECT_URL or --database-url, or name a backup by its ID (destino-db list).',
      details: newestOfEach(usable),
    },
  );
}

function noneUsable(
  backups: readonly Backup[],
  {
    ofOwn,
    own,
    at,
    hasProblems,
  }: {
    ofOwn: readonly Backup[];
    own: OwnDatabase | undefined;
    at: Date | undefined;
    hasProblems: boolean;
  },
  place: string,
): AppError {
  const moment = at === undefined ? '' : ` taken at or before ${at.toISOString()}`;
  const whose = own && backups.length > 0 ? ` of ${nameWithHost(own)}` : '';
  const none = `There is no usable backup${whose}${moment} in ${place}.`;
  const seeAll = 'List the backups: destino-db list';
  if (backups.length === 0)
    return new AppError('BACKUP_NOT_FOUND', none, {
      hint: hasProblems ? seeAll : 'Make one: destino-db backup',
    });
  if (ofOwn.length > 0) {
    const unusable = ofOwn
      .filter((backup) => !isUsable(backup) || isMaskedElsewhere(backup, own))
      .map(whyNot);
    return new AppError('BACKUP_NOT_FOUND', none, {hint: seeAll, details: unusable});
  }
  const others = newestOfEach(backups.filter(isUsable));
  const what = others.length > 0 ? 'Its backups are of other databases.' : '';
  return new AppError('BACKUP_NOT_FOUND', `${none} ${what}`.trim(), {
    hint: others.length > 0 ? `To use one of those, name it by its ID. ${seeAll}` : seeAll,
    details: others,
  });
}

/** Whether it lacks the personal data of the database that it would be restored into. */
function isMaskedElsewhere({record}: Backup, own: OwnDatabase | undefined): boolean {
  return isMasked(record) && own?.isMasked !== true;
}

function whyNot(backup: Backup): string {
  if (!isGood(backup)) return `${backup.id}: a check failed`;
  if (isMasked(backup.record)) return `${backup.id}: a backup of a masked copy`;
  return `${backup.id}: ${isWhole(backup) ? 'taken later' : backup.content === 'whole' ? 'a safety backup made by a restore' : contentWords[backup.content]}`;
}

/** The content of a backup in words. */
export const contentWords: Readonly<Record<BackupContent, string>> = {
  whole: 'the whole database',
  schema: 'definitions only, without rows',
  data: 'rows only, without definitions',
  tables: 'chosen tables or schemas',
};

/** "shop at db.example:5432: newest shop-2026-11-22T03-00-00", one for each database. */
function newestOfEach(backups: readonly Backup[]): string[] {
  const newest = new Map<string, Backup>();
  for (const backup of backups) {
    const identity = databaseIdentity(backup);
    if (!newest.has(identity)) newest.set(identity, backup);
  }
  return [...newest.values()].map(
    (backup) =>
      `${backup.record ? nameWithHost({database: backup.database, ...backup.record.source}) : backup.database}: newest ${backup.id}`,
  );
}

function nameWithHost(own: OwnDatabase): string {
  return `${own.database} at ${serverOf(own)}`;
}

/**
 * The backup with this id or the beginning of one, or at this path.
 * @param folder where ids are looked for
 * @throws BACKUP_NOT_FOUND, USAGE for the beginning of several ids, METADATA_INVALID, BACKUP_INCOMPLETE
 */
export async function findByName(folder: string, name: string, cwd: string): Promise<Backup> {
  const candidates = [resolve(cwd, name), join(folder, name)].flatMap((path) => {
    const bare = path.replace(/[\\/]$/, '');
    const base = bare.endsWith(metadataSuffix) ? bare.slice(0, -metadataSuffix.length) : bare;
    const id = withoutExtension(base.replace(/\.age$/, '')) ?? base;
    // Metadata names of the old scripts contain the dump's extension without ".gz".
    const old =
      base === id
        ? backupFormats.map((format) => id + formats[format].extension)
        : [base.replace(/\.gz$/, '')];
    return [base, id, ...old].map(metadataName);
  });
  for (const candidate of new Set(candidates)) {
    try {
      await stat(candidate);
    } catch {
      continue; // not this name
    }
    // A path names the file itself, which any user may own; an id names only backups of this program.
    return readBackup(candidate, !/[\\/]/.test(name));
  }
  const {backups} = await readCatalogue(folder);
  const isPath = /[\\/]/.test(name) || (await isDump(resolve(cwd, name)));
  const found = isPath ? undefined : chooseByBeginning(backups, name, folder);
  if (found) return found;
  throw unknownBackup(
    `There is no backup "${name}" in ${folder}, and no file of that name with metadata.`,
    name,
    backups.map(({id}) => id),
    'List the backups: destino-db list',
  );
}

/** Whether a dump without metadata may be there: a file, or a folder with a table of contents. */
async function isDump(path: string): Promise<boolean> {
  const status = await stat(path).catch(() => undefined); // usually nothing
  if (status?.isDirectory() !== true) return status !== undefined;
  return exists(join(path, 'toc.dat'));
}
