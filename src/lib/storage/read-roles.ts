/** Reads the file of roles of a backup into memory, because it may have passwords. */
import type {RecordedBackup} from '../catalog/catalogue.js';
import type {RunContext} from '../run/run-context.js';
import type {OpeningKeys} from '../encryption/age-keys.js';
import {decryptStream} from '../encryption/age-stream.js';
import type {Place} from './place.js';
import {folderOf} from './place-catalogue.js';
import {digested, mismatch} from './write-checked.js';

/**
 * @returns undefined for a backup without such a file
 * @throws CHECKSUM_MISMATCH, KEY_NEEDED, DECRYPT_FAILED and the codes of the location
 */
export async function readRoles(
  context: RunContext,
  place: Place,
  {record}: RecordedBackup,
  keys: OpeningKeys,
): Promise<string | undefined> {
  if (!record.roles) return undefined;
  const key = folderOf(record) + record.roles.path;
  const stored = digested((await place.read(key, context.signal)) as AsyncIterable<Buffer>);
  const chunks: Buffer[] = [];
  for await (const chunk of record.encryption ? decryptStream(stored.stream, keys) : stored.stream)
    chunks.push(chunk);
  if (stored.sha256() !== record.roles.sha256) throw mismatch(place, key);
  return Buffer.concat(chunks).toString('utf8');
}
