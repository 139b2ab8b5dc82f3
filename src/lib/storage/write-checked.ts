/** Writes files to a location and reads them back, or compares stored files with their metadata. */
import {createHash} from 'node:crypto';
import {defined} from '../base/defined.js';
import {AppError} from '../base/errors.js';
import type {RunContext} from '../run/run-context.js';
import type {EncryptTo} from '../encryption/age-keys.js';
import {encryptStream} from '../encryption/age-stream.js';
import type {RecordedBackup} from '../catalog/catalogue.js';
import type {Place} from './place.js';
import {folderOf} from './place-catalogue.js';
import {ageSuffix, filesOf} from './stored-record.js';

interface Digest {
  readonly sha256: string;
  readonly sizeBytes: number;
}

/**
 * Writes a file, encrypted if `encryptTo` is given (its key then ends in ".age"), and reads it back.
 * @returns digests of the source and of the stored file
 * @throws CHECKSUM_MISMATCH if it reads back differently, and the codes of the store
 */
export async function writeChecked(
  context: RunContext,
  file: {
    readonly to: Place;
    readonly key: string;
    readonly source: AsyncIterable<Buffer>;
    readonly encryptTo: EncryptTo | undefined;
    /** Bytes, known or estimated. */
    readonly expectedBytes: number;
    readonly onBytes?: (bytes: number) => void;
  },
): Promise<{plain: Digest; stored: Digest}> {
  const {to, encryptTo, expectedBytes, onBytes} = file;
  const {signal} = context;
  const key = encryptTo ? file.key + ageSuffix : file.key;
  const plain = digested(file.source);
  const sent = digested(encryptTo ? encryptStream(plain.stream, encryptTo) : plain.stream);
  await to.write(key, sent.stream, defined({expectedBytes, signal, onBytes}));
  const back = digested((await to.read(key, signal)) as AsyncIterable<Buffer>);
  // oxlint-disable-next-line typescript/no-unused-vars -- read for its digest alone
  for await (const _ of back.stream) signal.throwIfAborted();
  if (back.sha256() !== sent.sha256()) {
    throw new AppError(
      'CHECKSUM_MISMATCH',
      `${to.url}/${key} reads back differently from the data that was sent; it was removed.`,
      {
        hint: 'Run again. If it happens again, the store is unreliable.',
      },
    );
  }
  return {
    plain: {sha256: plain.sha256(), sizeBytes: plain.sizeBytes()},
    stored: {sha256: sent.sha256(), sizeBytes: sent.sizeBytes()},
  };
}

/**
 * Reads every file of a backup in its location and compares it with the metadata; needs no key.
 * @throws CHECKSUM_MISMATCH, BACKUP_INCOMPLETE and the codes of the store
 */
export async function checkPlacedFiles(
  place: Place,
  {record}: RecordedBackup,
  signal: AbortSignal,
  onBytes: (done: number) => void,
): Promise<void> {
  let done = 0;
  for (const {name, sha256} of filesOf(record)) {
    const key = folderOf(record) + name;
    const read = digested((await place.read(key, signal)) as AsyncIterable<Buffer>, (bytes) => {
      done += bytes;
      onBytes(done);
    });
    // oxlint-disable-next-line typescript/no-unused-vars -- read for its digest alone
    for await (const _ of read.stream) signal.throwIfAborted();
    if (read.sha256() !== sha256) throw mismatch(place, key);
  }
}

export function mismatch(place: Place, key: string): AppError {
  return new AppError(
    'CHECKSUM_MISMATCH',
    `${place.url}/${key} is damaged: its SHA-256 differs from the metadata.`,
    {hint: 'Use another backup, or another copy of this one.'},
  );
}

/** Passes the stream on and computes its digest and size. */
export function digested(source: AsyncIterable<Buffer>, onBytes?: (bytes: number) => void) {
  const hash = createHash('sha256');
  let sizeBytes = 0;
  let sha256: string | undefined;
  async function* pass(): AsyncGenerator<Buffer> {
    for await (const chunk of source) {
      hash.update(chunk);
      sizeBytes += chunk.length;
      onBytes?.(chunk.length);
      yield chunk;
    }
  }
  return {stream: pass(), sha256: () => (sha256 ??= hash.digest('hex')), sizeBytes: () => sizeBytes};
}
