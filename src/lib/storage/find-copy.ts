/** Looks for the copy of one backup in another location, with one request where a store answers by name. */
import {join} from 'node:path';
import {AppError} from '../base/errors.js';
import {metadataName} from '../catalog/backup-name.js';
import {type Backup, isGood} from '../catalog/catalogue.js';
import type {RunContext} from '../run/run-context.js';
import {openPlace} from './open-place.js';
import type {Place} from './place.js';
import {contentTag, metadataKeyIn, readPlaced} from './place-catalogue.js';

export interface FoundCopy {
  readonly place: string;
  /** "missing": it is not there. "unreachable": the location could not be read. */
  readonly state: 'good' | 'damaged' | 'missing' | 'unreachable';
  /** Of the copy. */
  readonly metadataPath: string | null;
  /** The reason that the location or the copy could not be read. */
  readonly error: {readonly code: string; readonly message: string} | null;
}

/** Codes of a copy that is there in part. */
const ofDamaged = ['METADATA_INVALID', 'BACKUP_INCOMPLETE'];

/** @param name of the location, as the config file writes it */
export async function findCopy(
  {settings, signal}: Pick<RunContext, 'settings' | 'signal'>,
  name: string,
  backup: Backup,
): Promise<FoundCopy> {
  let url = name;
  try {
    const opened = await openPlace(settings, name);
    const place = (await opened.ofDatabases?.()) ?? opened;
    url = place.url;
    const copy = await readCopy(place, backup);
    const isSame =
      copy.record && backup.record
        ? contentTag(copy.record) === contentTag(backup.record)
        : copy.id === backup.id;
    if (!isSame) return {place: url, state: 'missing', metadataPath: null, error: null};
    return {
      place: url,
      state: isGood(copy) ? 'good' : 'damaged',
      metadataPath: copy.metadataPath,
      error: null,
    };
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof AppError)) throw error;
    const {code, message} = error;
    if (code === 'BACKUP_NOT_FOUND') return {place: url, state: 'missing', metadataPath: null, error: null};
    const isDamaged = ofDamaged.includes(code);
    return {
      place: url,
      state: isDamaged ? 'damaged' : 'unreachable',
      metadataPath: null,
      error: {code, message},
    };
  }
}

/** @throws BACKUP_NOT_FOUND where it is not there, BACKUP_INCOMPLETE without its dump, METADATA_INVALID, the codes of the store */
async function readCopy(place: Place, {id, record}: Backup): Promise<Backup> {
  // By its path alone, so that no other id that begins like this is taken.
  if (place.isOnThisMachine || !record) return place.find(join(place.url, metadataName(id)), '/');
  try {
    return await readPlaced(place, metadataKeyIn(place, record));
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== 'BACKUP_INCOMPLETE') throw error;
    throw new AppError('BACKUP_NOT_FOUND', error.message, {cause: error});
  }
}
