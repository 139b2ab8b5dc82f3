/** Parts of file names: a time, and the suffix of unfinished files. */

/** 2026-11-22T03:10:05.123Z -> "2026-11-22T03-10-05", UTC. */
export function timestampForName(at: Date): string {
  return at.toISOString().slice(0, 19).replaceAll(':', '-');
}

/** Suffix of unfinished files, which never count as backups. */
export const partialSuffix = '.partial';
