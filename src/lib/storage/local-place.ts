/** A folder as a location for backups. */
import {randomBytes} from 'node:crypto';
import {constants, createWriteStream, type Stats} from 'node:fs';
import {access, lstat, readdir, rename, rm, stat} from 'node:fs/promises';
import {basename, dirname, join, relative, sep} from 'node:path';
import {Readable} from 'node:stream';
import {text as contentOf} from 'node:stream/consumers';
import {pipeline} from 'node:stream/promises';
import {freeBytes} from '../base/disk-space.js';
import {partialSuffix} from '../base/file-names.js';
import {openRegularFile} from '../base/own-file.js';
import {
  createPrivateFile,
  exists,
  explainFileError,
  makePrivateFolder,
  renameSafely,
  syncFolder,
  writeFileSafely,
} from '../base/safe-file.js';
import {AppError, messageOf, systemErrorCode} from '../base/errors.js';
import {quoted} from '../base/shell-quote.js';
import {metadataSuffix} from '../catalog/backup-name.js';
import {findByName, readCatalogue} from '../catalog/catalogue.js';
import {removeBackup, whyNotOurs} from '../catalog/remove-backup.js';
import {withFolderLock} from '../run/lock.js';
import type {ObjectStatus, Place, StoredObject, WriteOptions} from './place.js';

type LocalPlace = Place & Required<Pick<Place, 'finalize' | 'withLock'>>;

/** @param folder absolute path; created by the first write */
export function localPlace(folder: string): LocalPlace {
  const pathOf = (key: string): string => join(folder, ...key.split('/'));

  async function* list(below: string, isDeep: boolean): AsyncGenerator<StoredObject> {
    let entries;
    try {
      entries = await readdir(pathOf(below), {withFileTypes: true, recursive: isDeep});
    } catch (error) {
      if (systemErrorCode(error) === 'ENOENT') return;
      throw explainFileError(error, pathOf(below));
    }
    for (const entry of entries) {
      if (!entry.isFile()) continue;
      const key = relative(folder, join(entry.parentPath, entry.name)).split(sep).join('/');
      const found = await statusOf(key);
      if (found) yield {key, sizeBytes: found.size, modifiedAt: found.mtime}; // else another run has removed it meanwhile
    }
  }

  async function statusOf(key: string): Promise<Stats | undefined> {
    try {
      return await lstat(pathOf(key));
    } catch (error) {
      if (systemErrorCode(error) === 'ENOENT') return undefined;
      throw explainFileError(error, pathOf(key));
    }
  }

  async function status(key: string): Promise<ObjectStatus | undefined> {
    const found = await statusOf(key);
    return found && {sizeBytes: found.size, tag: `${found.ino}-${found.mtimeMs}`, lockedUntil: null};
  }

  const place: LocalPlace = {
    url: folder,
    isOnThisMachine: true,
    isShared: false,
    readCommand: (key) => `cat ${quoted(`${folder}/${key}`)}`,
    journalEntry: (key) => ({
      kind: 'partial',
      path: key.endsWith('/') ? join(folder, key).slice(0, -1) : `${pathOf(key)}${partialSuffix}`,
    }),
    freeBytes: () => freeBytes(folder),
    requirePresent: () => requireFolder(folder),
    ofDatabases: async () => localPlace(await databaseFolder(folder)),
    catalogue: (_signal, ownFolder) =>
      readCatalogue(folder, ownFolder === undefined || folder.startsWith(ownFolder + sep)),
    find: (name, cwd) => findByName(folder, name, cwd),
    withLock: (ctx, work, options) => withFolderLock(ctx, folder, work, options),
    async whyKept(backup) {
      const obstacle = await whyNotOurs(backup);
      return obstacle === undefined ? undefined : `not removed: ${obstacle}`;
    },
    async removeBackup(backup, journal, checkpoint) {
      const {path, metadataPath} = backup;
      const done = await journal.begin({kind: 'dump-without-metadata', path, metadataPath});
      try {
        await removeBackup(backup, checkpoint);
        await checkpoint('prune.removed');
      } catch (error) {
        // If it is half removed, its journal entry stays, so that `recover` removes the rest.
        if (await exists(metadataPath)) await done();
        throw error;
      }
      await done();
    },
    findPartials: () => findPartials(folder),
    // A name of its own: another run may copy the same backup now.
    stagingFolder: (id) => `${id}.copy.${randomBytes(4).toString('hex')}${partialSuffix}/`,
    list,
    status,
    async read(key, signal, range) {
      const path = pathOf(key);
      if (!(await status(key))) throw new AppError('BACKUP_INCOMPLETE', `${path} is missing.`);
      return Readable.from(readFrom(path, signal, range), {objectMode: false});
    },
    readText: async (key) => contentOf(await place.read(key)),
    async write(key, source, options: WriteOptions = {}) {
      const path = pathOf(key);
      const partial = `${path}${partialSuffix}`;
      await makePrivateFolder(dirname(path));
      const file = await createPrivateFile(partial).catch((error: unknown) => {
        if (!(error instanceof AppError) || systemErrorCode(error.cause) !== 'EEXIST') throw error;
        throw new AppError(
          'STORAGE_CONFLICT',
          `${partial} exists: another run is writing this file, or was killed while it did. It was not changed.`,
          {hint: 'Run again when the other run has ended; after a kill: destino-db recover', cause: error},
        );
      });
      try {
        await pipeline(
          Readable.from(counted(source, options.onBytes)),
          createWriteStream('', {fd: file, flush: true}),
          options.signal === undefined ? {} : {signal: options.signal},
        );
        await renameSafely(partial, path);
      } catch (error) {
        await rm(partial, {force: true});
        options.signal?.throwIfAborted();
        throw explainFileError(error, path);
      }
    },
    async writeText(key, text, replaces) {
      const present = await status(key);
      if ((present?.tag ?? null) !== replaces) {
        throw new AppError('STORAGE_CONFLICT', `Another run changed ${pathOf(key)} meanwhile.`);
      }
      await makePrivateFolder(dirname(pathOf(key)));
      await writeFileSafely(pathOf(key), text);
    },
    async checkWritable() {
      await access(await nearestExisting(folder), constants.W_OK | constants.X_OK).catch((error: unknown) => {
        throw explainFileError(error, folder);
      });
    },
    async finalize(staging) {
      const from = pathOf(staging);
      try {
        const names = await readdir(from);
        for (const name of names) {
          if (await exists(join(folder, name))) {
            throw new AppError(
              'STORAGE_CONFLICT',
              `${join(folder, name)} already exists; it was not overwritten.`,
            );
          }
        }
        for (const name of names) await rename(join(from, name), join(folder, name));
        await syncFolder(folder);
        await rm(from, {recursive: true});
      } catch (error) {
        throw explainFileError(error, from);
      }
    },
    async remove(key) {
      await rm(pathOf(key), {force: true, recursive: true});
    },
    // oxlint-disable-next-line typescript/require-await -- a folder has no multipart uploads
    async *unfinishedUploads() {
      yield* [];
    },
    abandonUpload: () => Promise.resolve(),
  };
  return place;
}

/** @throws BACKUP_NOT_FOUND if the folder does not exist, READ_FAILED */
async function requireFolder(folder: string): Promise<void> {
  try {
    if ((await stat(folder)).isDirectory()) return;
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOENT')
      throw new AppError('READ_FAILED', `Cannot read ${folder}: ${messageOf(error)}.`, {cause: error});
  }
  throw new AppError('BACKUP_NOT_FOUND', `The folder ${folder} does not exist.`, {
    hint: 'Check the path; a bucket is written as s3://bucket/prefix.',
  });
}

/** Absolute paths of unfinished files directly in `folder`. */
async function findPartials(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder))
      .filter((name) => name.endsWith(partialSuffix))
      .sort()
      .map((name) => join(folder, name));
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return [];
    throw new AppError('READ_FAILED', `Cannot read ${basename(folder)}: ${messageOf(error)}.`, {
      cause: error,
    });
  }
}

/** The folder itself, or its folder of databases if it is a complete backups folder. */
async function databaseFolder(path: string): Promise<string> {
  const names: string[] = await readdir(path).catch(() => []); // the caller reports a missing folder
  const isItself = names.some((name) => name.endsWith(metadataSuffix));
  return !isItself && names.includes('database') ? join(path, 'database') : path;
}

/** Names the unreadable source file, because the writer knows only the destination. */
async function* readFrom(
  path: string,
  signal: AbortSignal | undefined,
  range: {start: number; end: number} | undefined,
): AsyncGenerator<Buffer> {
  const abort = signal === undefined ? {} : {signal};
  try {
    const file = await openRegularFile(path, false);
    yield* file.createReadStream({...range, ...abort, highWaterMark: 1 << 20}) as AsyncIterable<Buffer>;
  } catch (error) {
    signal?.throwIfAborted();
    if (error instanceof AppError) throw error;
    throw new AppError('READ_FAILED', `Cannot read ${path}: ${messageOf(error)}.`, {cause: error});
  }
}

async function nearestExisting(path: string): Promise<string> {
  return (await exists(path)) || dirname(path) === path ? path : nearestExisting(dirname(path));
}

async function* counted(
  source: AsyncIterable<Buffer>,
  onBytes: WriteOptions['onBytes'],
): AsyncGenerator<Buffer> {
  let bytes = 0;
  for await (const chunk of source) {
    yield chunk;
    bytes += chunk.length;
    onBytes?.(bytes);
  }
}
