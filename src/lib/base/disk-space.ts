/** Whether a backup will fit on the disk. */
import {statfs} from 'node:fs/promises';
import {dirname} from 'node:path';
import {AppError, systemErrorCode} from './errors.js';
import {formatBytes} from './format.js';

/** Free bytes for this user where `path`, or its nearest existing parent, lies. */
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
  /** "measured" when it comes from the last backup of the same kind, "guessed" from the database's size alone. */
  readonly basis: 'measured' | 'guessed';
}

/** Share of a database's size on disk that dumps have had: text is smaller than heap and indexes, and it compresses. */
const guessedShare = {compressed: 0.2, plain: 0.9};

/**
 * @param last size of the last dump of the same format and compression, and of its database then, bytes
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
 * @throws DISK_FULL when a measured estimate does not fit, or when a guessed one misses by so much that it cannot fit
 */
export async function requireSpace(folder: string, estimate: SizeEstimate): Promise<void> {
  const free = await freeBytes(folder);
  const needed = estimate.basis === 'measured' ? estimate.bytes : estimate.bytes / 4;
  if (free >= needed) return;
  throw new AppError(
    'DISK_FULL',
    `There are ${formatBytes(free)} free at ${folder}, and the backup needs about ${formatBytes(estimate.bytes)}; nothing was written.`,
    {hint: 'Free space, prune old backups (destino-db prune), or choose another place with --output-dir.'},
  );
}
