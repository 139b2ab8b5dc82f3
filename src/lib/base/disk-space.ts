/** Estimates the size of a dump and checks the free disk space. */
import {statfs} from 'node:fs/promises';
import {dirname} from 'node:path';
import {AppError, systemErrorCode} from './errors.js';
import {formatBytes} from './format.js';

/** Free bytes for this user at `path`, or at its nearest existing parent. */
export async function freeBytes(path: string): Promise<number> {
  try {
    const {bavail, bsize} = await statfs(path);
    return bavail * bsize;
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT' && dirname(path) !== path) return freeBytes(dirname(path));
    throw error;
  }
}

export interface SizeEstimate {
  /** Expected size of the dump, bytes. */
  readonly bytes: number;
  /** "measured" is computed from the last backup of the same kind, "guessed" from the size of the database. */
  readonly basis: 'measured' | 'guessed';
}

/** Typical size of a dump as a share of the database on disk: text is smaller than heap and indexes, and it compresses. */
const guessedShare = {compressed: 0.2, plain: 0.9};

/**
 * @param last size in bytes of the last dump of the same format and compression, and of its database at that time
 */
export function estimateDumpSize(
  databaseBytes: number,
  isCompressed: boolean,
  last?: {sizeBytes: number; databaseBytes: number},
): SizeEstimate {
  if (last && last.databaseBytes > 0) {
    return {bytes: Math.round(databaseBytes * (last.sizeBytes / last.databaseBytes)), basis: 'measured'};
  }
  const share = isCompressed ? guessedShare.compressed : guessedShare.plain;
  return {bytes: Math.round(databaseBytes * share), basis: 'guessed'};
}

/**
 * @throws DISK_FULL when the backup needs more than is free; a guess counts for a quarter only
 */
export async function requireSpace(folder: string, estimate: SizeEstimate): Promise<void> {
  const free = await freeBytes(folder);
  const needed = estimate.basis === 'measured' ? estimate.bytes : estimate.bytes / 4;
  if (free >= needed) return;
  throw new AppError(
    'DISK_FULL',
    `Not enough disk space at ${folder}: ${formatBytes(free)} free, about ${formatBytes(estimate.bytes)} needed. Nothing was written.`,
    {hint: 'Free space, prune old backups (destino-db prune), or choose another folder with --output-dir.'},
  );
}
