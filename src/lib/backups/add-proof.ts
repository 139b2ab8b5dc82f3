/** Adds a proof to the metadata of a backup. */
import {dirname} from 'node:path';
import {z} from 'zod';
import {AppError} from '../errors.js';
import type {RunContext} from '../run-context.js';
import {formatBackupRecord, readMetadata, type Verification} from './backup-record.js';
import {withFolderLock} from './lock.js';
import {writeFileSafely} from './safe-file.js';

/** Everything in the file, known to this version or not, stays as it is and where it is. */
const metadata = z.record(z.string(), z.unknown()).and(z.object({proofs: z.array(z.unknown())}));

/** The file is written in a moment; whoever has the folder now usually works for much longer, or is as quick. */
const waitMs = 30_000;

/**
 * Appends to `proofs` in the metadata file, which is read again first: it may have changed since.
 * @throws LOCKED when another run has the folder for long, METADATA_INVALID, FOLDER_NOT_WRITABLE, DISK_FULL
 */
export async function addProof(
  context: RunContext,
  metadataPath: string,
  proof: Verification,
): Promise<void> {
  await withFolderLock(
    context,
    dirname(metadataPath),
    async () => {
      const record = metadata.safeParse(await readMetadata(metadataPath)).data;
      if (!record)
        throw new AppError('METADATA_INVALID', `The metadata file ${metadataPath} has no list of proofs.`);
      const proofs = [...record.proofs, proof];
      await writeFileSafely(metadataPath, formatBackupRecord({...record, proofs}));
    },
    {command: 'verify', waitMs},
  );
}
