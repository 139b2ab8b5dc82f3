/** Compares the files of a backup with the sizes and digests in its metadata. */
import {stat} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import {AppError} from '../base/errors.js';
import type {Backup} from './catalogue.js';
import {digestFile, filesOfFolder, sizeOf} from '../base/checksum.js';

const hint = 'The backup is damaged: use another one (destino-db list), or a copy of this one.';

/**
 * Reads every byte. Backups of the old scripts have at most a size to compare.
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
  // The old scripts computed the size of a folder differently.
  if (size !== backup.sizeBytes && (backup.record || !isFolder)) {
    throw new AppError(
      'CHECKSUM_MISMATCH',
      `${backup.path} has ${size} bytes, but ${backup.sizeBytes} in its metadata.`,
      {hint},
    );
  }
  await checkRoles(backup, options.signal);
  if (expected === undefined) return;
  const digests: [string, string][] =
    typeof expected === 'string' ? [['', expected]] : Object.entries(expected);
  if (isFolder !== (typeof expected !== 'string')) {
    throw new AppError(
      'BACKUP_INCOMPLETE',
      `${backup.path} should be a ${isFolder ? 'folder' : 'file'} according to its metadata.`,
    );
  }
  let done = 0;
  for (const [name, sha256] of digests) {
    const path = name === '' ? backup.path : join(backup.path, name);
    const before = done;
    done += await compareDigest(path, sha256, hint, {
      ...(options.signal ? {signal: options.signal} : {}),
      onBytes: (bytes) => options.onBytes?.(before + bytes, size),
    });
  }
}

/** @returns the size of the file in bytes */
async function compareDigest(
  path: string,
  expected: string,
  advice: string,
  options: Parameters<typeof digestFile>[1],
): Promise<number> {
  const {sha256, sizeBytes} = await digestFile(path, options);
  if (sha256 === expected) return sizeBytes;
  throw new AppError('CHECKSUM_MISMATCH', `${path} is damaged: its SHA-256 differs from the metadata.`, {
    hint: advice,
  });
}

async function compareNames(folder: string, expected: readonly string[]): Promise<void> {
  const [present, wanted] = [new Set(await filesOfFolder(folder)), new Set(expected)];
  const missing = expected.filter((name) => !present.has(name));
  const foreign = [...present].filter((name) => !wanted.has(name));
  if (missing.length === 0 && foreign.length === 0) return;
  const parts = [
    ...(missing.length > 0 ? [`lacks ${missing.join(', ')}`] : []),
    ...(foreign.length > 0 ? [`has files that the backup did not write: ${foreign.join(', ')}`] : []),
  ];
  throw new AppError('BACKUP_INCOMPLETE', `The folder ${folder} ${parts.join(' and ')}.`, {hint});
}

/** The file of roles belongs to the backup too. */
async function checkRoles(
  backup: Pick<Backup, 'path' | 'record'>,
  signal: AbortSignal | undefined,
): Promise<void> {
  const roles = backup.record?.roles;
  if (!roles) return;
  const path = join(dirname(backup.path), roles.path);
  const advice = 'The file of roles is damaged: use the one of a copy.';
  await compareDigest(path, roles.sha256, advice, signal ? {signal} : {});
}
