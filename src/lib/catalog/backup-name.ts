/** Names of backups: `<db>-<YYYY-MM-DDTHH-mm-ss>[-N]` and the extension of the format. */
import {join} from 'node:path';
import {numberedName, timestampForName} from '../base/file-names.js';

/**
 * A database name as part of a file name: letters, digits, "_", "." and "-" stay, and every other byte is percent-encoded.
 * The result cannot leave the folder, be hidden or look like a flag, and different names stay different.
 */
export function fileNamePart(database: string): string {
  return [...Buffer.from(database, 'utf8')]
    .map((byte, index) => {
      const character = String.fromCharCode(byte);
      const plain = index === 0 ? /[A-Za-z0-9_]/ : /[A-Za-z0-9_.-]/;
      return plain.test(character) ? character : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
    })
    .join('');
}

/** The id of the `attempt`-th backup (from 1) of `database` in that second. */
export function backupId(database: string, at: Date, attempt = 1): string {
  return numberedName(`${fileNamePart(database)}-${timestampForName(at)}`, attempt);
}

/**
 * Whether this program gives such a name to unfinished work: a backup or an order backup with its time, a file that is
 * being written or removed under a random suffix, or a fetched backup.
 */
export function isPartialName(name: string): boolean {
  return /(?:-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d[^.]*\..*|\.[0-9a-f]{8}|^fetched-[0-9a-f]{8})\.partial$/.test(
    name,
  );
}

export const metadataSuffix = '.metadata.json';

/** Folder of the backups, inside the backups folder of the settings. */
export function backupFolder({backupsDir}: {readonly backupsDir: string}): string {
  return join(backupsDir, 'database');
}

/** Name of the file next to the dump with the cluster's roles. */
export function rolesName(id: string): string {
  return `${id}.roles.sql`;
}

/** Name of the metadata file next to the dump. */
export function metadataName(id: string): string {
  return id + metadataSuffix;
}
