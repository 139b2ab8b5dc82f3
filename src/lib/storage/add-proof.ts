/** Adds the results of checks to the metadata of a backup. */
import {z} from 'zod';
import {AppError} from '../base/errors.js';
import type {RunContext} from '../run/run-context.js';
import {
  formatBackupRecord,
  type NotPossible,
  parseMetadata,
  type Verification,
} from '../catalog/backup-record.js';
import type {Place} from './place.js';

/** The results that a check adds to the metadata. */
export interface CheckNotes {
  readonly proofs: readonly Verification[];
  readonly notPossible?: NotPossible;
}

/** Everything else in the file, known to this version or not, is preserved. */
const metadata = z.record(z.string(), z.unknown()).and(
  z.object({
    proofs: z.array(z.unknown()),
    notPossible: z.array(z.looseObject({level: z.unknown()})).exactOptional(),
  }),
);

/** Writing takes a moment; another run with the folder's lock usually takes much longer, or just as long. */
const usualWaitMs = 30_000;

/**
 * Adds the results to the metadata, which is read again first, because it may have changed. Does nothing if the metadata is missing.
 * @param waitMs for another run that changes the same folder
 * @throws LOCKED, STORAGE_CONFLICT if another run changes it; METADATA_INVALID, FOLDER_NOT_WRITABLE, DISK_FULL, the codes of the store
 */
export async function addProof(
  context: RunContext,
  place: Place,
  key: string,
  notes: CheckNotes,
  waitMs = usualWaitMs,
): Promise<void> {
  const add = async (): Promise<void> => {
    const status = await place.status(key);
    if (!status) return;
    const path = `${place.url}/${key}`;
    const record = metadata.safeParse(parseMetadata(path, await place.readText(key))).data;
    if (!record) throw new AppError('METADATA_INVALID', `Backup metadata ${path} has no list of checks.`);
    await place.writeText(key, formatBackupRecord(withNotes(record, notes)), status.tag);
  };
  await (place.withLock ? place.withLock(context, add, {command: 'verify', waitMs}) : add());
}

/** The metadata with the results: outcomes are appended; of checks that were not possible, the newest of each level is kept. */
function withNotes<
  R extends {
    readonly proofs: readonly unknown[];
    readonly notPossible?: readonly {readonly level: unknown}[];
  },
>(record: R, {proofs, notPossible}: CheckNotes): R {
  return {
    ...record,
    proofs: [...record.proofs, ...proofs],
    ...(notPossible
      ? {
          notPossible: [
            ...(record.notPossible ?? []).filter(({level}) => level !== notPossible.level),
            notPossible,
          ],
        }
      : {}),
  };
}
