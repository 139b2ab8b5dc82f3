/** Parts of the names that files get: a time, and the ending of what is not finished. */

/** 2026-11-22T03:10:05.123Z -> "2026-11-22T03-10-05", UTC. */
export function timestampForName(at: Date): string {
  return at.toISOString().slice(0, 19).replaceAll(':', '-');
}

/** Ends the name of every work in progress; never taken for a backup. */
export const partialSuffix = '.partial';
