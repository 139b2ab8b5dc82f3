/** SHA-256 of files, read in one pass with one buffer. */
import {createHash} from 'node:crypto';
import {readdir, stat} from 'node:fs/promises';
import {join} from 'node:path';
import {AppError, messageOf} from './errors.js';
import {openRegularFile} from './own-file.js';

const bufferBytes = 1 << 20;

export interface FileDigest {
  /** SHA-256, lower-case hexadecimal. */
  readonly sha256: string;
  readonly sizeBytes: number;
}

/**
 * @param options.onBytes called with the bytes read so far
 * @throws READ_FAILED
 */
export async function digestFile(
  path: string,
  options: {signal?: AbortSignal; onBytes?: (bytes: number) => void} = {},
): Promise<FileDigest> {
  const hash = createHash('sha256');
  const sizeBytes = await readThrough(path, options, (bytes) => hash.update(bytes));
  return {sha256: hash.digest('hex'), sizeBytes};
}

/**
 * @param beginning replaces the first bytes of the file in `asStreamed`
 * @returns the digest of the file, and the digest that it would have with the other beginning
 * @throws READ_FAILED
 */
export async function digestWithBeginning(
  path: string,
  beginning: Buffer,
  options: {signal?: AbortSignal} = {},
): Promise<FileDigest & {readonly asStreamed: string}> {
  const hash = createHash('sha256');
  const streamed = createHash('sha256').update(beginning);
  let toReplace = beginning.length;
  const sizeBytes = await readThrough(path, options, (bytes) => {
    hash.update(bytes);
    streamed.update(bytes.subarray(toReplace));
    toReplace = Math.max(0, toReplace - bytes.length);
  });
  return {sha256: hash.digest('hex'), asStreamed: streamed.digest('hex'), sizeBytes};
}

/** @returns the bytes read. @throws READ_FAILED */
async function readThrough(
  path: string,
  {signal, onBytes}: {signal?: AbortSignal; onBytes?: (bytes: number) => void},
  take: (bytes: Buffer) => void,
): Promise<number> {
  const buffer = Buffer.allocUnsafe(bufferBytes);
  let sizeBytes = 0;
  let file;
  try {
    file = await openRegularFile(path);
    for (;;) {
      signal?.throwIfAborted();
      const {bytesRead} = await file.read(buffer, 0, bufferBytes);
      if (bytesRead === 0) return sizeBytes;
      take(buffer.subarray(0, bytesRead));
      sizeBytes += bytesRead;
      onBytes?.(sizeBytes);
    }
  } catch (error) {
    signal?.throwIfAborted();
    return cannotBeRead(path)(error);
  } finally {
    await file?.close();
  }
}

/**
 * Names of the files of a dump folder, sorted. A dump in directory format contains regular files only.
 * @throws BACKUP_INCOMPLETE for anything else: a link would lead elsewhere, a pipe would never end; READ_FAILED
 */
export async function filesOfFolder(folder: string): Promise<string[]> {
  const entries = await readdir(folder, {withFileTypes: true}).catch(cannotBeRead(folder));
  const foreign = entries.find((entry) => !entry.isFile());
  if (foreign) {
    throw new AppError('BACKUP_INCOMPLETE', `${join(folder, foreign.name)} is not a regular file.`, {
      hint: 'The folder was changed after the backup: use another backup (destino-db list), or a copy of this one.',
    });
  }
  return entries.map((entry) => entry.name).sort();
}

/** Bytes of a file, or of all files of a dump folder together. @throws READ_FAILED and the errors of `filesOfFolder` */
export async function sizeOf(path: string): Promise<number> {
  const status = await stat(path).catch(cannotBeRead(path));
  if (!status.isDirectory()) return status.size;
  const sizes = await Promise.all((await filesOfFolder(path)).map((name) => sizeOf(join(path, name))));
  return sizes.reduce((sum, size) => sum + size, 0);
}

function cannotBeRead(path: string): (error: unknown) => never {
  return (cause) => {
    throw new AppError('READ_FAILED', `Cannot read ${path}: ${messageOf(cause)}.`, {cause});
  };
}
