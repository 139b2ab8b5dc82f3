/** A place for backups, a folder or a bucket, behind one small interface; keys are relative paths with "/". */
import type {Readable} from 'node:stream';
import {AppError} from '../base/errors.js';
import type {Backup, Catalogue} from '../catalog/catalogue.js';
import type {Reach} from '../run/fault-points.js';
import type {Journal, JournalEntry} from '../run/journal.js';
import type {RunContext} from '../run/run-context.js';

export interface StoredObject {
  readonly key: string;
  readonly sizeBytes: number;
  readonly modifiedAt: Date;
  /** What changes when the content changes; undefined where the list does not tell. */
  readonly tag?: string | undefined;
}

export interface ObjectStatus {
  readonly sizeBytes: number;
  /** What changes when the content changes; condition of `writeText`. */
  readonly tag: string;
  /** Until when the store refuses to delete it; null when it does not. */
  readonly lockedUntil: Date | null;
}

export interface WriteOptions {
  /** Size of the whole object if it is known or can be estimated, bytes: large ones are sent in larger parts. */
  readonly expectedBytes?: number | undefined;
  readonly onBytes?: ((bytes: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** An upload in parts that nobody completed: invisible in lists, and charged for. */
export interface UnfinishedUpload {
  readonly key: string;
  readonly uploadId: string;
  readonly startedAt: Date;
}

/** Texts of short objects that were read before. */
export interface KnownTexts {
  /** The text of a listed object, if it was read when it was the same one as now. */
  get(object: StoredObject): string | undefined;
  /** Keeps it for the next time. */
  add(object: StoredObject, text: string): void;
  /** Writes down what was added since it was opened, and nothing else. */
  save(): Promise<void>;
}

export interface Place {
  /** As the user writes it: "s3://bucket/prefix" or an absolute path. */
  readonly url: string;
  /** Whether programs here can open its objects by their paths, "URL/KEY". */
  readonly isOnThisMachine: boolean;
  /** Whether several machines may write there, so that an id alone does not name a backup. */
  readonly isShared: boolean;
  /** The command that writes an object to its standard output, for people. */
  readCommand(key: string): string;
  /** What the journal says while an object, or all of a folder ("x/"), is being written. */
  journalEntry(key: string): JournalEntry;
  /** Free bytes; absent where there is no such limit. */
  readonly freeBytes?: () => Promise<number>;
  /** Where the files of a new backup are written; they stay there where there is no `settle`. */
  stagingFolder(id: string): string;
  /** @throws BACKUP_NOT_FOUND when nothing is there; absent where the first request says so */
  readonly requirePresent?: () => Promise<void>;
  /** The place of the database backups where this one has several kinds; absent where all are in one. */
  readonly ofDatabases?: () => Promise<Place>;
  /**
   * The backups there, newest first.
   * @param ownFolder where files of other users are problems; everywhere without it
   */
  catalogue(signal?: AbortSignal, ownFolder?: string): Promise<Catalogue>;
  /** @param name an id, a file's name, or in a folder a path, seen from `cwd` @throws BACKUP_NOT_FOUND, USAGE, METADATA_INVALID, BACKUP_INCOMPLETE */
  find(name: string, cwd: string, signal?: AbortSignal): Promise<Backup>;
  /** Does `work` while no other run changes the backups there; absent where nothing can be locked. */
  readonly withLock?: <T>(
    ctx: RunContext,
    work: () => Promise<T>,
    options: {command: string; waitMs?: number | undefined},
  ) => Promise<T>;
  /** Why a backup that retention would remove for `reason` stays: its files are not ours, or locked. */
  whyKept(backup: Backup, reason: string, now: Date): Promise<string | undefined>;
  /** Takes the metadata away first: no metadata, no backup. */
  removeBackup(backup: Backup, journal: Journal, reach: Reach): Promise<void>;
  /** Paths of unfinished files, which `recover` removes; absent where `prune` removes them. */
  readonly findPartials?: () => Promise<string[]>;
  /** Objects right below `folder` ("" or ending in "/"; in a bucket the beginning of a name as well), or all below it with `isDeep`. */
  list(folder: string, isDeep: boolean, signal?: AbortSignal): AsyncIterable<StoredObject>;
  /** The object's bytes; an error in between destroys the stream. @throws BACKUP_INCOMPLETE when it does not exist */
  read(key: string, signal?: AbortSignal, range?: {start: number; end: number}): Promise<Readable>;
  /** What was read of it before, for a list of many short objects; absent where reading them again costs nothing. */
  readonly knownTexts?: () => Promise<KnownTexts>;
  /** A short object. @throws BACKUP_INCOMPLETE when it does not exist */
  readText(key: string): Promise<string>;
  /** The object appears whole or not at all. */
  write(key: string, source: AsyncIterable<Buffer>, options?: WriteOptions): Promise<void>;
  /** Writes a small object if there is none (null), or none but the one with this tag. @throws STORAGE_CONFLICT */
  writeText(key: string, text: string, replaces: string | null): Promise<void>;
  /** Tries whether something could be written, and leaves nothing. @throws the codes of `write` */
  checkWritable(): Promise<void>;
  /** Moves the staged files of a backup beside its metadata; absent where nothing can be renamed. */
  readonly settle?: (staging: string) => Promise<void>;
  status(key: string): Promise<ObjectStatus | undefined>;
  /** With all its versions, where the store keeps them; a folder with all that is in it, where there are folders. A missing object is not an error. */
  remove(key: string): Promise<void>;
  unfinishedUploads(): AsyncIterable<UnfinishedUpload>;
  abandonUpload(upload: Pick<UnfinishedUpload, 'key' | 'uploadId'>): Promise<void>;
}

/** Whether the store gives no answers at all, so that nothing can be cleared up there now. */
export function isAway(error: unknown): boolean {
  return error instanceof AppError && ['STORAGE_UNREACHABLE', 'STORAGE_TIMEOUT'].includes(error.code);
}
