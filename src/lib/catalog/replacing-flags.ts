/** With which flags a backup takes the place of its database: where databases can change names, and where they cannot. */
import {formats} from '../base/formats.js';
import type {Backup} from './catalogue.js';
import {isOfPlatform} from './backup-record.js';

/** The databases that servers and hosting services count on under their names. */
const systemDatabases = new Set(['postgres', 'template0', 'template1']);

/** Whether servers and hosting services count on the database under its name, so that no other can take it. */
export function isSystemDatabase(database: string): boolean {
  return systemDatabases.has(database);
}

type Replacing = Pick<Backup, 'format' | 'record'> | undefined;

/** Whether another database can take the name: neither a service nor the server itself is tied to it. */
export function isSwappable(database: string, backup: Pick<Backup, 'record'> | undefined): boolean {
  return !isSystemDatabase(database) && !isOfPlatform(backup?.record);
}

/**
 * Flags of `restore`: a swap where one is possible, else over the database; a plain dump does not say what to drop, and goes beside it.
 * @param target flags that name the database, where they are to be there
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
