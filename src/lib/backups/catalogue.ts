/** The backups of a folder, as their metadata files tell them. */
import {readdir, realpath, stat} from 'node:fs/promises';
import {dirname, join, resolve} from 'node:path';
import {AppError, messageOf, systemErrorCode} from '../errors.js';
import type {BackupFormat} from '../settings/config-schema.js';
import {metadataName, metadataSuffix} from './backup-name.js';
import {type BackupRecord, isKnownBad, proofOf, readMetadata, recordIn} from './backup-record.js';
import {isOldScriptMetadata, readOldScriptBackup} from './old-script-metadata.js';
import {foreignFile, requireOwnDump, requireTrustedFolder, whyForeign} from '../own-file.js';
import {newestFirst, type RetentionCandidate} from './retention.js';
import {explainFileError} from './safe-file.js';

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
  /** The whole metadata; null for a backup that the old scripts made, of which nothing is proven. */
  readonly record: BackupRecord | null;
  /** Where good copies of it are, when several places were read together. */
  readonly places?: readonly string[];
}

export interface Catalogue {
  /** Newest first. */
  readonly backups: readonly Backup[];
  /** Metadata files that tell no backup, with the reason. */
  readonly problems: readonly {path: string; reason: string}[];
}

/** Enough to hide the latency of a disk or a network folder; more only costs memory. */
const readsAtOnce = 8;

/**
 * Reads every metadata file right in `folder`; a folder that does not exist holds no backups.
 * Files of other users are problems: whoever can write the folder could otherwise choose what is restored.
 * @param isOwn false for a folder that the user named as a source, as a disk of another machine
 * @throws FOREIGN_FILE when the folder is a link that is not to be trusted; READ_FAILED
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
  const backups: Backup[] = [];
  const problems: {path: string; reason: string}[] = [];
  const pending = names.filter((entry) => entry.endsWith(metadataSuffix)).sort();
  const readNext = async (): Promise<void> => {
    for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
      const path = join(folder, name);
      try {
        backups.push(isOwn ? await readOwnBackup(path) : await readBackup(path));
      } catch (error) {
        problems.push({path, reason: messageOf(error)});
      }
    }
  };
  await Promise.all(Array.from({length: readsAtOnce}, readNext));
  problems.sort((a, b) => (a.path < b.path ? -1 : 1));
  backups.sort(newestFirst);
  return {backups, problems};
}

/**
 * The backup that a metadata file tells.
 * @throws METADATA_INVALID, BACKUP_INCOMPLETE when the dump beside it is gone or is a link that leads elsewhere
 */
export async function readBackup(metadataPath: string): Promise<Backup> {
  const data = await readMetadata(metadataPath);
  if (isOldScriptMetadata(data)) return readOldScriptBackup(metadataPath, data);
  const record = recordIn(metadataPath, data);
  const path = join(dirname(metadataPath), record.backupPath);
  await requireOwnDump(path);
  return recordedBackup(record, {path, metadataPath});
}

/** The same, for files of the running user alone. @throws also FOREIGN_FILE */
async function readOwnBackup(metadataPath: string): Promise<Backup> {
  const foreign = await whyForeign(metadataPath, 'file');
  if (foreign !== undefined) throw foreignFile(metadataPath, foreign);
  const backup = await readBackup(metadataPath);
  const path = await realpath(backup.path); // a link within the folder is allowed
  const reason = await whyForeign(path, (await stat(path)).isDirectory() ? 'folder' : 'file');
  if (reason !== undefined) throw foreignFile(path, reason);
  return backup;
}

/** The backup that a record tells, with the paths under which it is found. */
export function recordedBackup(
  record: BackupRecord,
  paths: Pick<Backup, 'path' | 'metadataPath'>,
): Backup & {readonly record: BackupRecord} {
  return {
    ...paths,
    id: record.id,
    createdAt: new Date(record.timestamp),
    database: record.databaseName,
    format: record.format,
    compressed: record.compressed,
    sizeBytes: record.size,
    label: record.label,
    record,
  };
}

/** A backup that may be used: it is not known to be damaged. */
export function isGood(backup: Backup): boolean {
  return backup.record === null || !isKnownBad(backup.record);
}

/** Whether it is of the whole database: a dump of some tables, of rows or of definitions alone saves nobody. */
export function isWhole({record}: Backup): boolean {
  if (!record) return true;
  const {schemaOnly, dataOnly, includeTables, includeSchemas} = record.config;
  return !schemaOnly && !dataOnly && includeTables.length + includeSchemas.length === 0;
}

/** What retention decides by. */
export function retentionCandidate(backup: Backup): RetentionCandidate & {readonly backup: Backup} {
  const {record} = backup;
  return {
    backup,
    id: backup.id,
    identity: databaseIdentity(backup) + partOf(backup),
    createdAt: backup.createdAt,
    label: backup.label,
    isGood: isGood(backup),
    isProvenByRestore: record !== null && proofOf(record)?.level === 'restore',
    isShrunk: record !== null && record.shrink.length > 0,
  };
}

/** What was dumped of the database, where that is not all: many backups of a part must not push out those of the whole. */
function partOf(backup: Backup): string {
  if (isWhole(backup) || !backup.record) return '';
  const {schemaOnly, dataOnly, includeTables, includeSchemas} = backup.record.config;
  return ` ${JSON.stringify({schemaOnly, dataOnly, includeTables, includeSchemas})}`;
}

/**
 * Which database a backup is of: the cluster's own number and the name; host and port where the role could not read
 * that number; the name alone for the old scripts' backups, which say no more.
 */
export function databaseIdentity({
  record,
  database,
}: {
  readonly record: Pick<BackupRecord, 'source'> | null;
  readonly database: string;
}): string {
  if (record === null) return JSON.stringify(['old scripts', database]);
  const {systemIdentifier, host, port} = record.source;
  return JSON.stringify([systemIdentifier ?? `${host}:${port}`, database]);
}

export interface BackupChoice {
  /** Path of a dump or of its metadata file, or an id. */
  readonly file?: string | undefined;
  readonly isLatest?: boolean | undefined;
  /** The newest good backup taken at or before this moment. */
  readonly at?: Date | undefined;
  /** The database that `isLatest` and `at` mean where backups of several are found. */
  readonly own?: OwnDatabase | undefined;
}

export interface OwnDatabase {
  readonly database: string;
  readonly host: string;
  readonly port: number;
}

/**
 * Backups of several databases in one place must not be mixed up: those of the name are taken then, and of several servers'
 * those of the own one where it has any. Of one database only, the name of the URL does not matter.
 */
export function narrowToOwn<B extends Backup>(
  backups: readonly B[],
  own: OwnDatabase | undefined,
): readonly B[] {
  if (!own || new Set(backups.map(databaseIdentity)).size < 2) return backups;
  const isNamed = new Set(backups.map(({database}) => database)).size > 1;
  const named = isNamed ? backups.filter(({database}) => database === own.database) : backups;
  const identities = new Set(
    named
      .filter(({record}) => record?.source.host === own.host && record.source.port === own.port)
      .map(databaseIdentity),
  );
  // The old scripts' backups do not tell their server.
  return identities.size === 0
    ? named
    : named.filter((backup) => backup.record === null || identities.has(databaseIdentity(backup)));
}

/**
 * The backup that the user named.
 * @param folder where ids, `isLatest` and `at` look
 * @throws BACKUP_NOT_FOUND, METADATA_INVALID, BACKUP_INCOMPLETE
 */
export async function chooseBackup(folder: string, choice: BackupChoice, cwd: string): Promise<Backup> {
  if (choice.file !== undefined && choice.file !== 'latest') return findByName(folder, choice.file, cwd);
  const {backups, problems} = await readCatalogue(folder);
  const newest = newestGood(backups, choice);
  if (newest) return newest;
  const moment = choice.at === undefined ? '' : ` taken at or before ${choice.at.toISOString()}`;
  throw new AppError('BACKUP_NOT_FOUND', `There is no good backup${moment} in ${folder}.`, {
    hint:
      backups.length + problems.length === 0
        ? 'Make one: destino-db backup'
        : 'See what there is: destino-db list',
  });
}

/**
 * The newest good backup of the whole database; where there is none, the newest good one.
 * @param backups newest first
 */
export function newestGood<B extends Backup>(backups: readonly B[], {own, at}: BackupChoice): B | undefined {
  const good = narrowToOwn(backups, own).filter(
    (backup) => isGood(backup) && (at === undefined || backup.createdAt <= at),
  );
  return good.find(isWhole) ?? good[0];
}

async function findByName(folder: string, name: string, cwd: string): Promise<Backup> {
  const candidates = [resolve(cwd, name), join(folder, name)].flatMap((path) => {
    const bare = path.replace(/[\\/]$/, '');
    const base = bare.endsWith(metadataSuffix) ? bare.slice(0, -metadataSuffix.length) : bare;
    const id = base.replace(/\.(?:dump|sql\.gz|sql|dir)(?:\.age)?$/, '');
    // Names of the old scripts' metadata have the dump's extension in them, but its ".gz".
    const old = base === id ? ['.dump', '.sql', '.dir'].map((end) => id + end) : [base.replace(/\.gz$/, '')];
    return [base, id, ...old].map(metadataName);
  });
  for (const candidate of new Set(candidates)) {
    try {
      await stat(candidate);
    } catch {
      continue; // not named like this
    }
    // A path says which file is meant, whoever owns it; an id only that it is one of this program's backups.
    return /[\\/]/.test(name) ? readBackup(candidate) : readOwnBackup(candidate);
  }
  throw new AppError(
    'BACKUP_NOT_FOUND',
    `There is no backup "${name}" in ${folder}, nor a file of that name with metadata beside it.`,
    {
      hint: 'See what there is: destino-db list',
    },
  );
}
