/** Compares the files of a backup with the sizes and digests in its metadata. */
import {stat} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import {AppError} from '../errors.js';
import type {Backup} from './catalogue.js';
import {digestFile, filesOfFolder, sizeOf} from './checksum.js';

/**
 * Every byte is read. A backup of the old scripts has a size at most, which is all that can be compared then.
 * @throws CHECKSUM_MISMATCH naming the file, BACKUP_INCOMPLETE, READ_FAILED
 */
export async function checkFiles(
  backup: Pick<Backup, 'path' | 'sizeBytes' | 'record'>,
  options: {signal?: AbortSignal; onBytes?: (done: number, total: number) => void} = {},
): Promise<void> {
  const expected = backup.record?.sha256;
  const size = await sizeOf(backup.path);
  const isFolder = (await stat(backup.path)).isDirectory();
  if (isFolder && expected !== undefined && typeof expected !== 'string') {
    await compareNames(backup.path, Object.keys(expected));
  }
  // The old scripts noted the size of a folder in their own way.
  if (size !== backup.sizeBytes && (backup.record || !isFolder)) {
    throw new AppError(
      'CHECKSUM_MISMATCH',
      `${backup.path} has ${size} bytes; its metadata says ${backup.sizeBytes}.`,
      {
        hint: 'The backup is damaged: take another (destino-db list), or its copy elsewhere.',
      },
    );
  }
  await checkRoles(backup, options.signal);
  if (expected === undefined) return;
  const digests: [string, string][] =
    typeof expected === 'string' ? [['', expected]] : Object.entries(expected);
  if (isFolder !== (typeof expected !== 'string')) {
    throw new AppError(
      'BACKUP_INCOMPLETE',
      `${backup.path} is not what its metadata says: a ${isFolder ? 'folder' : 'file'}.`,
    );
  }
  let done = 0;
  for (const [name, sha256] of digests) {
    const path = name === '' ? backup.path : join(backup.path, name);
    const before = done;
    const digest = await digestFile(path, {
      ...(options.signal ? {signal: options.signal} : {}),
      onBytes: (bytes) => options.onBytes?.(before + bytes, size),
    });
    done += digest.sizeBytes;
    if (digest.sha256 === sha256) continue;
    throw new AppError(
      'CHECKSUM_MISMATCH',
      `${path} differs from what was written: its SHA-256 is another than in the metadata.`,
      {
        hint: 'The backup is damaged: take another (destino-db list), or its copy elsewhere.',
      },
    );
  }
}

async function compareNames(folder: string, expected: readonly string[]): Promise<void> {
  const present = await filesOfFolder(folder);
  const missing = expected.filter((name) => !present.includes(name));
  const foreign = present.filter((name) => !expected.includes(name));
  if (missing.length === 0 && foreign.length === 0) return;
  const parts = [
    ...(missing.length > 0 ? [`lacks ${missing.join(', ')}`] : []),
    ...(foreign.length > 0 ? [`has files that the backup did not write: ${foreign.join(', ')}`] : []),
  ];
  throw new AppError('BACKUP_INCOMPLETE', `The folder ${folder} ${parts.join(' and ')}.`, {
    hint: 'The backup is damaged: take another (destino-db list), or its copy elsewhere.',
  });
}

/** The roles beside a dump are bytes of the backup too. */
async function checkRoles(
  backup: Pick<Backup, 'path' | 'record'>,
  signal: AbortSignal | undefined,
): Promise<void> {
  const roles = backup.record?.roles;
  if (!roles) return;
  const path = join(dirname(backup.path), roles.path);
  const digest = await digestFile(path, signal ? {signal} : {});
  if (digest.sha256 === roles.sha256) return;
  throw new AppError(
    'CHECKSUM_MISMATCH',
    `${path} differs from what was written: its SHA-256 is another than in the metadata.`,
    {
      hint: 'The roles beside the dump are damaged: take the copy elsewhere.',
    },
  );
}
