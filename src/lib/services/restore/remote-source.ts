/** A backup that is streamed from a bucket or decrypted during the restore: read once to verify it and once to load it, without a local copy. */
import {basename} from 'node:path';
import {stat} from 'node:fs/promises';
import {formats} from '../../base/formats.js';
import {detectStart, type DetectedDump, startBytes} from '../../dump/detect-format.js';
import type {RemoteDump} from '../../postgres/tools/archive-input.js';
import {AppError} from '../../base/errors.js';
import {quoted} from '../../base/shell-quote.js';
import type {RunContext} from '../../run/run-context.js';
import type {OpeningKeys} from '../../encryption/age-keys.js';
import {decryptStream} from '../../encryption/age-stream.js';
import type {Place} from '../../storage/place.js';
import type {RecordedBackup} from '../../catalog/catalogue.js';
import {folderOf} from '../../storage/place-catalogue.js';
import {digested, mismatch} from '../../storage/write-checked.js';
import {ageSuffix, filesOf} from '../../storage/stored-record.js';
import type {RestoreRequest} from './options.js';
import type {RestoreSource} from './source.js';
import {isBesideTarget} from './strategy.js';

/**
 * Whether the restore needs no local copy. Only a restore into a separate database is compared before use and dropped if it
 * differs. A pipe allows one connection, and a dump in directory format has many files.
 */
export function canStream(format: DetectedDump['format'], request: RestoreRequest): boolean {
  return formats[format].canStream && isBesideTarget(request) && (request.parallelJobs ?? 1) === 1;
}

/** @throws CHECKSUM_MISMATCH, DECRYPT_FAILED, KEY_NEEDED, NOT_A_BACKUP, VERIFY_FAILED, the codes of the locations */
export async function placedSource(
  context: RunContext,
  place: Place,
  backup: RecordedBackup,
  keys: OpeningKeys,
): Promise<RestoreSource> {
  const {record, createdAt, sizeBytes} = backup;
  const [file] = filesOf({...record, roles: null});
  if (!file) throw new AppError('METADATA_INVALID', `${backup.metadataPath} names no file.`);
  const key = folderOf(record) + file.name;
  async function* open(): AsyncGenerator<Buffer> {
    const stored = digested((await place.read(key, context.signal)) as AsyncIterable<Buffer>);
    const plain = record.encryption ? decryptStream(stored.stream, keys) : stored.stream;
    // The last chunk is passed on only after the checksum was compared.
    let pending: Buffer | undefined;
    for await (const chunk of plain) {
      if (pending) yield pending;
      pending = chunk;
    }
    if (stored.sha256() !== file?.sha256) throw mismatch(place, key);
    if (pending) yield pending;
  }
  const fetch = place.readCommand(key);
  const remote = {
    sizeBytes: record.encryption?.plain.size ?? record.size,
    command: record.encryption ? `${fetch} | age -d -i KEY` : fetch,
    open,
  };
  const dump = await detectRemote(backup.path, remote);
  if (dump.format !== record.format)
    throw new AppError('VERIFY_FAILED', `${backup.path} is in another format than recorded in its metadata.`);
  return {id: backup.id, path: backup.path, backup, dump, createdAt, sizeBytes};
}

/** A file that was encrypted with age outside this program; age authenticates each chunk. @throws READ_FAILED, and the errors of `placedSource` */
export async function ageFileSource(
  context: RunContext,
  place: Place,
  path: string,
  keys: OpeningKeys,
): Promise<RestoreSource> {
  const name = basename(path);
  async function* open(): AsyncGenerator<Buffer> {
    yield* decryptStream((await place.read(name, context.signal)) as AsyncIterable<Buffer>, keys);
  }
  // The header and the authentication tags are less than a thousandth of the file.
  const {size, mtime} = await stat(path);
  const remote = {sizeBytes: size, command: `age -d -i KEY ${quoted(path)}`, open};
  const dump = await detectRemote(path, remote);
  return {id: basename(name, ageSuffix), path, backup: null, dump, createdAt: mtime, sizeBytes: size};
}

async function detectRemote(path: string, remote: RemoteDump): Promise<DetectedDump> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of remote.open()) {
    chunks.push(chunk);
    length += chunk.length;
    if (length >= startBytes) break;
  }
  try {
    return {...(await detectStart(path, Buffer.concat(chunks).subarray(0, startBytes))), remote};
  } catch (error) {
    // A damaged dump may not be recognised as one; reading it to its end reports the damage.
    const rest = remote.open()[Symbol.asyncIterator]();
    while ((await rest.next()).done !== true);
    throw error;
  }
}
