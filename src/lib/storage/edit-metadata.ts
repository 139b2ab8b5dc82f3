/** Changes the metadata of a backup where it is stored, whole or not at all. */
import {AppError} from '../base/errors.js';
import {formatBackupRecord, parseMetadata} from '../catalog/backup-record.js';
import type {RunContext} from '../run/run-context.js';
import type {Place} from './place.js';

/** Writing takes a moment; another run with the folder's lock usually takes much longer, or just as long. */
const usualWaitMs = 30_000;

interface EditOptions {
  /** Of the run, for messages of other runs that wait for the folder. */
  readonly command: string;
  /** For another run that changes the same folder, ms. */
  readonly waitMs?: number;
  /** As in `LockOptions`: the database of the backup, where it is known. */
  readonly database?: string;
}

/**
 * Reads the metadata again, as it may have changed since, and replaces it by what `edit` makes of it. Keys that this version does not
 * know stay as they are and where they are.
 * @param edit undefined leaves the file as it is
 * @returns whether the file is still there
 * @throws LOCKED, STORAGE_CONFLICT when another run is in the way; METADATA_INVALID, FOLDER_NOT_WRITABLE, DISK_FULL, the codes of the store
 */
export async function editMetadata(
  context: RunContext,
  place: Place,
  key: string,
  edit: (data: unknown, path: string) => Readonly<Record<string, unknown>> | undefined,
  {waitMs = usualWaitMs, ...options}: EditOptions,
): Promise<boolean> {
  const work = async (): Promise<boolean> => {
    const status = await place.status(key);
    if (!status) return false;
    const path = `${place.url}/${key}`;
    const edited = edit(parseMetadata(path, await place.readText(key)), path);
    if (edited) await place.writeText(key, formatBackupRecord(edited), status.tag);
    return true;
  };
  return place.withLock ? place.withLock(context, work, {...options, waitMs}) : work();
}

/** @throws METADATA_INVALID if the data is not an object */
export function asRecord(data: unknown, path: string): Readonly<Record<string, unknown>> {
  if (typeof data === 'object' && data !== null && !Array.isArray(data)) return {...data};
  throw new AppError('METADATA_INVALID', `The metadata file ${path} does not contain a backup.`);
}
