/** Adds results of checks to the metadata of a backup. */
import {dirname} from 'node:path';
import {z} from 'zod';
import {AppError} from '../base/errors.js';
import type {RunContext} from '../run/run-context.js';
import {formatBackupRecord, type NotPossible, readMetadata, type Verification} from './backup-record.js';
import {withFolderLock} from '../run/lock.js';
import {writeFileSafely} from '../base/safe-file.js';

/** What a check adds to metadata. */
export interface CheckNotes {
  readonly proofs: readonly Verification[];
  readonly notPossible?: NotPossible | undefined;
}

/** Everything in the file, known to this version or not, stays as it is and where it is. */
const metadata = z.record(z.string(), z.unknown()).and(
  z.object({
    proofs: z.array(z.unknown()),
    notPossible: z.array(z.looseObject({level: z.unknown()})).optional(),
  }),
);

/** The file is written in a moment; whoever has the folder now usually works for much longer, or is as quick. */
const usualWaitMs = 30_000;

/**
 * Adds to the metadata file, which is read again first: it may have changed since.
 * @throws LOCKED when another run has the folder for longer than `waitMs`, METADATA_INVALID, FOLDER_NOT_WRITABLE, DISK_FULL
 */
export async function addProof(
  context: RunContext,
  metadataPath: string,
  notes: CheckNotes,
  waitMs = usualWaitMs,
): Promise<void> {
  await withFolderLock(
    context,
    dirname(metadataPath),
    async () => {
      const record = metadata.safeParse(await readMetadata(metadataPath)).data;
      if (!record)
        throw new AppError('METADATA_INVALID', `The metadata file ${metadataPath} has no list of proofs.`);
      await writeFileSafely(metadataPath, formatBackupRecord(withNotes(record, notes)));
    },
    {command: 'verify', waitMs},
  );
}

/** The same metadata with the results: outcomes are appended; of checks that were not possible the newest of each level is kept. */
export function withNotes<
  R extends {
    readonly proofs: readonly unknown[];
    readonly notPossible?: readonly {readonly level: unknown}[] | undefined;
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
