/** Encrypts and decrypts streams in the age format (age-encryption.org/v1), compatible with the age tool. */
import {createCipheriv, createDecipheriv, hkdfSync} from 'node:crypto';
import {AppError} from '../base/errors.js';
import {type EncryptTo, makeHeader, nonceBytes, openHeader, type OpeningKeys} from './age-keys.js';

// Format of the payload: the age specification (C2SP age.md, "Payload"): STREAM with ChaCha20-Poly1305 and chunks of 64 KiB.
const chunkBytes = 65_536;
const tagBytes = 16;
/** A header has a line or two for each recipient; anything longer is not a header. */
const longestHeader = 1 << 20;

/** The bytes of an encrypted file: a header that `to` can open, then the source in encrypted chunks. Memory: one chunk. */
export async function* encryptStream(source: AsyncIterable<Buffer>, to: EncryptTo): AsyncGenerator<Buffer> {
  const header = await makeHeader(to);
  const key = payloadKey(header.fileKey, header.nonce);
  yield header.bytes;
  let counter = 0;
  for await (const {chunk, isLast} of inChunks(source, chunkBytes)) {
    const cipher = createCipheriv('chacha20-poly1305', key, chunkNonce(counter, isLast), {
      authTagLength: tagBytes,
    });
    yield Buffer.concat([cipher.update(chunk), cipher.final(), cipher.getAuthTag()]);
    counter += 1;
  }
}

/**
 * The content of an encrypted file. Each chunk is authenticated before it is returned, but damage or truncation further on
 * is detected only there: do not use the earlier chunks if this throws.
 * @throws KEY_NEEDED, DECRYPT_FAILED
 */
export async function* decryptStream(
  source: AsyncIterable<Buffer>,
  keys: OpeningKeys,
): AsyncGenerator<Buffer> {
  const iterator = source[Symbol.asyncIterator]();
  try {
    yield* decrypt(iterator, keys);
  } finally {
    await iterator.return?.();
  }
}

async function* decrypt(iterator: AsyncIterator<Buffer>, keys: OpeningKeys): AsyncGenerator<Buffer> {
  const {header, rest} = await readHeader(iterator);
  const fileKey = await openHeader(header, keys);
  const payload = readOn(rest.subarray(nonceBytes), iterator);
  const key = payloadKey(fileKey, rest.subarray(0, nonceBytes));
  let counter = 0;
  for await (const {chunk, isLast} of inChunks(payload, chunkBytes + tagBytes)) {
    if (chunk.length < tagBytes || (chunk.length === tagBytes && counter > 0))
      throw damaged('it is truncated');
    const body = chunk.subarray(0, chunk.length - tagBytes);
    const decipher = createDecipheriv('chacha20-poly1305', key, chunkNonce(counter, isLast), {
      authTagLength: tagBytes,
    });
    decipher.setAuthTag(chunk.subarray(chunk.length - tagBytes));
    let plain: Buffer;
    try {
      plain = Buffer.concat([decipher.update(body), decipher.final()]);
    } catch {
      throw damaged(`chunk ${counter + 1} was changed, or the file is truncated there`);
    }
    yield plain;
    counter += 1;
  }
}

function damaged(why: string): AppError {
  return new AppError('DECRYPT_FAILED', `The encrypted file is damaged: ${why}. None of it was used.`, {
    hint: 'Use another copy of this backup, or another backup (destino-db list).',
  });
}

function payloadKey(fileKey: Uint8Array, nonce: Uint8Array): Buffer {
  return Buffer.from(hkdfSync('sha256', fileKey, nonce, 'payload', 32));
}

/** Eleven bytes of counter and one that is 1 for the last chunk. */
function chunkNonce(counter: number, isLast: boolean): Buffer {
  const nonce = Buffer.alloc(12);
  nonce.writeUIntBE(counter, 5, 6);
  nonce.writeUInt8(isLast ? 1 : 0, 11);
  return nonce;
}

/** The source in chunks of `size` bytes; the last may be shorter, and is empty only if the source is empty. */
async function* inChunks(
  source: AsyncIterable<Buffer>,
  size: number,
): AsyncGenerator<{chunk: Buffer; isLast: boolean}> {
  let full = Buffer.allocUnsafe(size);
  let filled = 0;
  for await (const piece of source) {
    let taken = 0;
    while (taken < piece.length) {
      // A full chunk is returned only when more data follows, so that the last one is known.
      if (filled === size) {
        yield {chunk: full, isLast: false};
        full = Buffer.allocUnsafe(size);
        filled = 0;
      }
      const copied = piece.copy(full, filled, taken);
      taken += copied;
      filled += copied;
    }
  }
  yield {chunk: full.subarray(0, filled), isLast: true};
}

/** Reads up to the end of the line that begins with "---", and the nonce after it. */
async function readHeader(iterator: AsyncIterator<Buffer>): Promise<{header: Buffer; rest: Buffer}> {
  let read: Buffer = Buffer.alloc(0);
  for (;;) {
    const lastLine = read.indexOf('\n--- ');
    const end = lastLine === -1 ? -1 : read.indexOf('\n', lastLine + 1) + 1;
    if (end > 0 && read.length >= end + nonceBytes)
      return {header: read.subarray(0, end), rest: read.subarray(end)};
    const next: IteratorResult<Buffer, unknown> = await iterator.next();
    if (next.done === true || (end <= 0 && read.length > longestHeader))
      throw damaged('its header is truncated, or it is not an age file');
    read = Buffer.concat([read, next.value]);
  }
}

async function* readOn(first: Buffer, iterator: AsyncIterator<Buffer>): AsyncGenerator<Buffer> {
  yield first;
  for (;;) {
    const next: IteratorResult<Buffer, unknown> = await iterator.next();
    if (next.done === true) return;
    yield next.value;
  }
}
