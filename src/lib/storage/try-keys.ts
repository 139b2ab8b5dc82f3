/** Tries the given keys on new encrypted files, so that a wrong key is detected immediately. */
import type {BackupRecord} from '../catalog/backup-record.js';
import type {OpeningKeys} from '../encryption/age-keys.js';
import {decryptStream} from '../encryption/age-stream.js';
import type {Place} from './place.js';
import {folderOf} from './place-catalogue.js';
import {filesOf} from './stored-record.js';

/**
 * Verifies that a given key opens the new file: the first chunk is decrypted. Without a key of the right kind, nothing is tried.
 * @throws KEY_NEEDED, DECRYPT_FAILED
 */
export async function requireOpening(place: Place, record: BackupRecord, keys: OpeningKeys): Promise<void> {
  const [first] = filesOf(record);
  const isToKeys = (record.encryption?.recipients.length ?? 0) > 0;
  const hasKey = (isToKeys ? keys.identities : keys.passphrases).length > 0;
  if (first && record.encryption && hasKey) await openFirstChunk(place, folderOf(record) + first.name, keys);
}

/** @throws KEY_NEEDED, DECRYPT_FAILED */
export async function openFirstChunk(place: Place, key: string, keys: OpeningKeys): Promise<void> {
  const stream = await place.read(key);
  try {
    await decryptStream(stream as AsyncIterable<Buffer>, keys).next();
  } finally {
    stream.destroy();
  }
}
