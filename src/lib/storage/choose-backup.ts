/** The backup that a command line means: one that is named, or the newest usable one of the own database. */
import type {Backup, BackupChoice} from '../catalog/catalogue.js';
import {findOwnDatabase} from '../catalog/own-database.js';
import {defined} from '../base/defined.js';
import {AppError} from '../base/errors.js';
import type {RunContext} from '../run/run-context.js';
import type {Place} from './place.js';
import {chooseBackup} from './place-catalogue.js';

type ChooseContext = Pick<RunContext, 'settings' | 'signal'>;

export interface ChosenBackup {
  /** An id, the beginning of one, "latest", or a path; the newest usable backup of the own database without it. */
  readonly backupFile?: string;
  /** The newest usable one taken at or before this moment. */
  readonly at?: Date;
}

/** @throws BACKUP_NOT_FOUND, USAGE for the beginning of several ids, METADATA_INVALID, BACKUP_INCOMPLETE and the codes of the store */
export async function chooseOwn(
  context: ChooseContext,
  place: Place,
  request: ChosenBackup,
): Promise<Backup> {
  return chooseBackup(place, await choiceOf(context, request), context.settings.cwd, context.signal);
}

/** The same, or undefined where, without --from, the name may be that of a file without metadata. */
export async function chooseOwnIfKnown(
  context: ChooseContext,
  place: Place,
  request: ChosenBackup,
  from: string | undefined,
): Promise<Backup | undefined> {
  try {
    return await chooseOwn(context, place, request);
  } catch (error) {
    if (from === undefined && error instanceof AppError && error.code === 'BACKUP_NOT_FOUND')
      return undefined;
    throw error;
  }
}

async function choiceOf(context: ChooseContext, {backupFile: file, at}: ChosenBackup): Promise<BackupChoice> {
  const isNamed = file !== undefined && file !== 'latest';
  return isNamed ? {file} : defined({file, at, own: await findOwnDatabase(context)});
}
