/** Encrypts an unfinished dump, before it gets its final name. */
import {createReadStream} from 'node:fs';
import {rename, rm} from 'node:fs/promises';
import {basename, dirname, join} from 'node:path';
import {partialSuffix} from '../../base/file-names.js';
import type {BackupRecord} from '../../catalog/backup-record.js';
import type {DumpPlace} from '../../catalog/dump-place.js';
import {explainFileError, syncFolder} from '../../base/safe-file.js';
import {AppError} from '../../base/errors.js';
import type {Step} from '../../progress/progress.js';
import type {RunContext} from '../../run/run-context.js';
import type {EncryptTo} from '../../encryption/age-keys.js';
import {localPlace} from '../../storage/local-place.js';
import {writeChecked} from '../../storage/write-checked.js';
import {filesOf, storedRecord} from '../../storage/stored-record.js';
import type {Encryption} from '../../encryption/settings.js';
import {requireOpening} from '../../storage/try-keys.js';

/**
 * Encrypts the files of the dump into a folder next to it, reads them back, and replaces the unencrypted files.
 * @param record of the unencrypted dump
 * @returns names and record of the encrypted dump
 * @throws CHECKSUM_MISMATCH if the dump changed after it was verified, KEY_NEEDED, DISK_FULL, INTERRUPTED; the unencrypted dump may then be gone
 */
export async function encryptDump(
  context: RunContext,
  dump: {
    readonly place: DumpPlace;
    readonly record: BackupRecord;
    /** The content of the file of roles, if it was not written. */
    readonly secretRoles: Buffer | undefined;
  },
  encryption: Encryption & {readonly to: EncryptTo},
  step: Step,
): Promise<{place: DumpPlace; record: BackupRecord}> {
  const {place, record, secretRoles} = dump;
  const folder = localPlace(dirname(place.finalPath));
  const staging = folder.stagingFolder(place.id);
  const written = new Map<string, {sha256: string; sizeBytes: number}>();
  try {
    let encryptedBytes = 0;
    for (const {name, sha256} of filesOf(record)) {
      const before = encryptedBytes;
      const {plain, stored} = await writeChecked(context, {
        to: folder,
        key: staging + name,
        source:
          secretRoles && name === record.roles?.path
            ? chunksOf(secretRoles)
            : createReadStream(partialPathOf(place, name), {highWaterMark: 1 << 20}),
        encryptTo: encryption.to,
        expectedBytes: record.size,
        onBytes: (bytes) => step.advance(before + bytes, record.size, 'bytes'),
      });
      if (plain.sha256 !== sha256)
        throw new AppError('CHECKSUM_MISMATCH', `${name} changed after it was verified.`);
      written.set(name, stored);
      encryptedBytes += stored.sizeBytes;
    }
    const encrypted = storedRecord({record, encryptTo: encryption.to}, written);
    await requireOpening(localPlace(join(folder.url, staging)), encrypted, encryption.keys);
    return {place: await takePlace(place, encrypted, join(folder.url, staging)), record: encrypted};
  } finally {
    await rm(join(folder.url, staging), {recursive: true, force: true});
  }
}

// oxlint-disable-next-line typescript/require-await -- the form that the stream takes
async function* chunksOf(content: Buffer): AsyncGenerator<Buffer> {
  yield content;
}

/** @param name as `filesOf` gives it: "x.dump", "x.dir/toc.dat", "x.roles.sql" */
function partialPathOf(place: DumpPlace, name: string): string {
  if (place.isFolder && dirname(name) !== '.') return join(place.partialPath, basename(name));
  return name === place.finalName ? place.partialPath : place.rolesPartialPath;
}

/** Replaces the unencrypted files by the encrypted ones, still under names that end in ".partial". */
async function takePlace(place: DumpPlace, encrypted: BackupRecord, staging: string): Promise<DumpPlace> {
  const folder = dirname(place.finalPath);
  const finalPath = join(folder, encrypted.backupPath);
  const rolesPath = encrypted.roles ? join(folder, encrypted.roles.path) : place.rolesPath;
  const taken: DumpPlace = {
    ...place,
    finalName: encrypted.backupPath,
    finalPath,
    partialPath: finalPath + partialSuffix,
    rolesPath,
    rolesPartialPath: rolesPath + partialSuffix,
  };
  try {
    await rm(place.partialPath, {recursive: true});
    await rm(place.rolesPartialPath, {force: true});
    await rename(join(staging, encrypted.backupPath), taken.partialPath);
    if (encrypted.roles) await rename(join(staging, encrypted.roles.path), taken.rolesPartialPath);
    await syncFolder(folder);
  } catch (error) {
    throw explainFileError(error, taken.finalPath);
  }
  return taken;
}
