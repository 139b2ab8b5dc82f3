/** Replaces a finished row file by its encrypted form. */
import {createReadStream} from 'node:fs';
import {rename, rm, stat} from 'node:fs/promises';
import {basename, dirname, join} from 'node:path';
import {partialSuffix} from '../../base/file-names.js';
import {explainFileError, syncFolder} from '../../base/safe-file.js';
import type {RunContext} from '../../run/run-context.js';
import {writeChecked} from '../../storage/write-checked.js';
import {localPlace} from '../../storage/local-place.js';
import {ageSuffix} from '../../storage/stored-record.js';
import {openJournal} from '../../run/journal.js';
import type {Encryption} from '../../encryption/settings.js';
import {openFirstChunk} from '../../storage/try-keys.js';

/**
 * The encrypted file is synced, read back and named before the plain one is removed, so that one of them is always complete.
 * @param path of the finished file
 * @param command that the crash journal names
 * @returns the path of the encrypted one; `path` itself if local backups are plain
 * @throws DISK_FULL, CHECKSUM_MISMATCH, KEY_NEEDED; the plain one exists then
 */
export async function encryptOrders(
  context: RunContext,
  path: string,
  {to, isLocal, keys}: Encryption,
  command = 'orders:clean',
): Promise<string> {
  if (!to || !isLocal) return path;
  const sealed = path + ageSuffix;
  const staging = `${path}.seal${partialSuffix}`;
  return context.progress.step(
    `Encrypt ${command === 'orders:clean' ? 'the order backup' : 'the undo file'}`,
    async (step) => {
      const journal = openJournal(context, command);
      const removed = await journal.begin({kind: 'partial', path: staging});
      try {
        const place = localPlace(staging);
        const expectedBytes = (await stat(path)).size;
        await writeChecked(context, {
          to: place,
          key: basename(path),
          source: createReadStream(path, {highWaterMark: 1 << 20}),
          encryptTo: to,
          expectedBytes,
          onBytes: (bytes) => step.advance(bytes, expectedBytes, 'bytes'),
        });
        if (('recipients' in to ? keys.identities : keys.passphrases).length > 0)
          await openFirstChunk(place, basename(sealed), keys);
        await rename(join(staging, basename(sealed)), sealed);
        await syncFolder(dirname(path));
        await rm(path);
        return sealed;
      } catch (error) {
        throw explainFileError(error, sealed);
      } finally {
        await rm(staging, {recursive: true, force: true});
        await removed();
        await journal.close();
      }
    },
  );
}
