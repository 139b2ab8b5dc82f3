/** A location for backups, a folder or a bucket, behind one small interface. Keys are relative paths with "/". */
import type {Readable} from 'node:stream';
import {AppError} from '../base/errors.js';
import type {Backup, Catalogue} from '../catalog/catalogue.js';
import type {Checkpoint} from '../run/fault-points.js';
import type {Journal, JournalEntry} from '../run/journal.js';
import type {LockOptions} from '../run/lock.js';
import type {RunContext} from '../run/run-context.js';

export interface StoredObject {
  readonly key: string;
  readonly sizeBytes: number;
  readonly modifiedAt: Date;
  /** Changes with the content; undefined if the list does not include it. */
  readonly tag?: string;
}

export interface ObjectStatus {
  readonly sizeBytes: number;
  /** Changes with the content; condition of `writeText`. */
  readonly tag: string;
  /** Date until which the store refuses to delete it; null if it does not. */
  readonly lockedUntil: Date | null;
}

export interface WriteOptions {
  /** Known or estimated size of the object, bytes; large objects are sent in larger parts. */
  readonly expectedBytes?: number;
  readonly onBytes?: (bytes: number) => void;
  readonly signal?: AbortSignal;
}

/** An unfinished multipart upload: invisible in lists, and charged for. */
export interface UnfinishedUpload {
  readonly key: string;
  readonly uploadId: string;
  readonly startedAt: Date;
}

/** Cached texts of short objects. */
export interface KnownTexts {
  /** The cached text of a listed object, if the object has not changed. */
  get(object: StoredObject): string | undefined;
  /** Caches a text. */
  add(object: StoredObject, text: string): void;
  /** Writes the added texts to disk. */
  save(): Promise<void>;
}

export interface Place {
  /** As the user writes it: "s3://bucket/prefix" or an absolute path. */
  readonly url: string;
  /** Whether local programs can open its objects by path, "URL/KEY". */
  readonly isOnThisMachine: boolean;
  /** Whether several machines may write there, so that an id is not unique. */
  readonly isShared: boolean;
  /** A command that prints an object, shown to the user. */
  readCommand(key: string): string;
  /** The journal entry while an object, or a folder ("x/"), is being written. */
  journalEntry(key: string): JournalEntry;
  /** Free bytes; absent if there is no such limit. */
  readonly freeBytes?: () => Promise<number>;
  /** Key of the folder where the files of a new backup are written; they stay there if `finalize` is absent. */
  stagingFolder(id: string): string;
  /** @throws BACKUP_NOT_FOUND if it does not exist; absent if the first request reports that */
  readonly requirePresent?: () => Promise<void>;
  /** The location of the database backups, if this one has several kinds; absent if all kinds share one. */
  readonly ofDatabases?: () => Promise<Place>;
  /**
   * The backups there, newest first.
   * @param ownFolder a folder where files of other users are problems
   */
  catalogue(signal?: AbortSignal, ownFolder?: string): Promise<Catalogue>;
  /** @param name an id, a file's name, or in a folder a path, relative to `cwd` @throws BACKUP_NOT_FOUND, USAGE, METADATA_INVALID, BACKUP_INCOMPLETE */
  find(name: string, cwd: string, signal?: AbortSignal): Promise<Backup>;
  /** Runs `work` while no other run changes the backups there, or those of `database` in it; absent if the store has no locks. */
  readonly withLock?: <T>(ctx: RunContext, work: () => Promise<T>, options: LockOptions) => Promise<T>;
  /** Why a backup that retention would remove for `reason` is kept: its files are foreign or locked. */
  whyKept(backup: Backup, reason: string, now: Date): Promise<string | undefined>;
  /** Removes the metadata first: without metadata there is no backup. */
  removeBackup(backup: Backup, journal: Journal, checkpoint: Checkpoint): Promise<void>;
  /** Paths of unfinished files, which `recover` removes; absent if `prune` removes them. */
  readonly findPartials?: () => Promise<string[]>;
  /** Objects directly below `folder` ("" or ending in "/"; in a bucket also a prefix of a name), or all below it with `isDeep`. */
  list(folder: string, isDeep: boolean, signal?: AbortSignal): AsyncIterable<StoredObject>;
  /** The object's bytes; an error destroys the stream. @throws BACKUP_INCOMPLETE if it does not exist */
  read(key: string, signal?: AbortSignal, range?: {start: number; end: number}): Promise<Readable>;
  /** A cache for lists of many short objects; absent if reading is cheap. */
  readonly knownTexts?: () => Promise<KnownTexts>;
  /** Reads a short object. @throws BACKUP_INCOMPLETE if it does not exist */
  readText(key: string): Promise<string>;
  /** Writes an object, which appears complete or not at all. */
  write(key: string, source: AsyncIterable<Buffer>, options?: WriteOptions): Promise<void>;
  /** Writes a small object if none exists (null), or if the existing one has this tag. @throws STORAGE_CONFLICT */
  writeText(key: string, text: string, replaces: string | null): Promise<void>;
  /** Tests whether writing is possible, without leaving anything. @throws the codes of `write` */
  checkWritable(): Promise<void>;
  /** Moves the staged files of a backup next to its metadata; absent if the store cannot rename. */
  readonly finalize?: (staging: string) => Promise<void>;
  status(key: string): Promise<ObjectStatus | undefined>;
  /** Removes an object with all its versions, or a folder with its content. A missing object is not an error. */
  remove(key: string): Promise<void>;
  unfinishedUploads(): AsyncIterable<UnfinishedUpload>;
  abandonUpload(upload: Pick<UnfinishedUpload, 'key' | 'uploadId'>): Promise<void>;
}

/** Whether the store does not answer at all, so that nothing can be cleaned up now. */
export function isAway(error: unknown): boolean {
  return error instanceof AppError && ['STORAGE_UNREACHABLE', 'STORAGE_TIMEOUT'].includes(error.code);
}
