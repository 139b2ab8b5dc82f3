/** Flags that make a restore replace its database: with a swap if the database can be renamed, else without. */
import {formats} from '../base/formats.js';
import type {Backup} from './catalogue.js';
import {isOfPlatform} from './backup-record.js';

/** Databases that servers and hosting services need under their names. */
const systemDatabases = new Set(['postgres', 'template0', 'template1']);

/** Whether servers or hosting services need the database under its name, so that no other can replace it. */
export function isSystemDatabase(database: string): boolean {
  return systemDatabases.has(database);
}

type Replacing = Pick<Backup, 'format' | 'record'> | undefined;

/** Whether another database can take the name: neither a service nor the server itself depends on it. */
export function isSwappable(database: string, backup: Pick<Backup, 'record'> | undefined): boolean {
  return !isSystemDatabase(database) && !isOfPlatform(backup?.record);
}

/**
 * Flags of `restore`: a swap if possible, else over the database; a plain dump does not say what to drop, so it goes into a new database.
 * @param target flags that name the database, if they should be included
 */
export function replacingFlags(
  database: string,
  backup: Replacing,
  target: readonly string[] = [],
): readonly string[] {
  if (isSwappable(database, backup)) return [...target, '--drop-existing'];
  if (!backup || formats[backup.format].isArchive) return [...target, '--clean'];
  return ['--target-db', `${database}_restored`, '--create-db'];
}
