/** Parts of file names: a time, its order, and the suffix of unfinished files. */

/** 2026-11-22T03:10:05.123Z -> "2026-11-22T03-10-05", UTC. */
export function timestampForName(at: Date): string {
  return at.toISOString().slice(0, 19).replaceAll(':', '-');
}

/**
 * Sorts names with a time and no extension, the newest first. Of several names of one second, the one with the higher number is the newer
 * one, and the one without a number the oldest.
 */
export function newestNameFirst(a: string, b: string): number {
  return b.localeCompare(a, 'en', {numeric: true});
}

/** The `number`-th name (from 1) of one second. */
export function numberedName(first: string, number: number): string {
  return number === 1 ? first : `${first}-${number}`;
}

/** Suffix of unfinished files, which never count as backups. */
export const partialSuffix = '.partial';

/** Suffix of an empty file that exists for milliseconds, while a run takes a name. */
export const claimSuffix = `.id${partialSuffix}`;
