/** Adds the results of checks to the metadata of a backup. */
import {z} from 'zod';
import {AppError} from '../base/errors.js';
import type {LockOptions} from '../run/lock.js';
import type {RunContext} from '../run/run-context.js';
import type {NotPossible, Verification} from '../catalog/backup-record.js';
import {editMetadata} from './edit-metadata.js';
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

/**
 * Adds the results to the metadata. Does nothing if the metadata is missing.
 * @param lock how long to wait for another run, and the database of the backup
 * @throws what `editMetadata` throws
 */
export async function addProof(
  context: RunContext,
  place: Place,
  key: string,
  notes: CheckNotes,
  lock: Pick<LockOptions, 'waitMs' | 'database'> = {},
): Promise<void> {
  const add = (data: unknown, path: string): Record<string, unknown> => {
    const record = metadata.safeParse(data).data;
    if (!record) throw new AppError('METADATA_INVALID', `Backup metadata ${path} has no list of checks.`);
    return withNotes(record, notes);
  };
  await editMetadata(context, place, key, add, {...lock, command: 'verify'});
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
