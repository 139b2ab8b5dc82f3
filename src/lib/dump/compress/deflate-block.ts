/** Deflates one block of a longer stream; large ones on the thread pool, so that several can run at the same time. */
import {constants, createDeflate, deflateSync} from 'node:zlib';

export interface DeflatedBlock {
  /** Raw deflate data that ends on a byte boundary, so that more can be appended. */
  readonly data: Buffer;
  /** Adler-32 of the block's own bytes (RFC 1950, 8.2). */
  readonly adler: number;
  /** Uncompressed bytes of the block. */
  readonly length: number;
}

/** Deflate refers back this far (RFC 1951); the bytes before a block are its dictionary. */
export const windowBytes = 32_768;
/** An empty final block: ends a deflate stream. */
export const finalBlock = Buffer.from([0x03, 0x00]);

/** 128 KB more for each block than the default of 8, for a twentieth less time and no more bytes. */
const memLevel = 9;
const headerBytes = 2;
const dictionaryIdBytes = 4;
const adlerBytes = 4;
/** To pass a smaller block to the thread pool takes more time than to deflate it. */
const leastAsyncBytes = 1 << 16;

/**
 * @param block must not change until the promise resolves
 * @param before the bytes before the block, at most `windowBytes`; empty for the first block
 * @param level 1 to 9
 */
export async function deflateBlock(block: Buffer, before: Buffer, level: number): Promise<DeflatedBlock> {
  const options = {level, memLevel, ...(before.length > 0 ? {dictionary: before} : {})};
  const start = headerBytes + (before.length > 0 ? dictionaryIdBytes : 0);
  if (block.length < leastAsyncBytes) {
    const data = deflateSync(block, {...options, finishFlush: constants.Z_SYNC_FLUSH}).subarray(start);
    // zlib writes the checksum only at the end of a stream; this second stream is not compressed.
    const copied = deflateSync(block, {level: constants.Z_NO_COMPRESSION});
    return {data, adler: copied.readUInt32BE(copied.length - adlerBytes), length: block.length};
  }
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = [];
    const deflate = createDeflate({...options, chunkSize: 1 << 18});
    deflate.on('data', (part: Buffer) => parts.push(part));
    deflate.on('error', reject);
    deflate.on('end', () => {
      const whole = Buffer.concat(parts);
      const end = whole.length - adlerBytes - finalBlock.length;
      if (!whole.subarray(end, end + finalBlock.length).equals(finalBlock)) {
        reject(new Error('unexpected output of zlib at the end of a flushed stream'));
        return;
      }
      const adler = whole.readUInt32BE(whole.length - adlerBytes);
      resolve({data: whole.subarray(start, end), adler, length: block.length});
    });
    deflate.write(block);
    // Ending before the flush is done would merge both into one final block.
    deflate.flush(constants.Z_SYNC_FLUSH, () => deflate.end());
  });
}

const adlerBase = 65_521;

/** The Adler-32 of two consecutive byte ranges (adler32_combine of zlib). */
export function joinAdler(first: number, second: number, secondLength: number): number {
  const [a1, b1] = [first % 65_536, Math.floor(first / 65_536)];
  const [a2, b2] = [second % 65_536, Math.floor(second / 65_536)];
  const rest = secondLength % adlerBase;
  const a = (a1 + a2 + adlerBase - 1) % adlerBase;
  const b = (b1 + b2 + rest * (a1 + adlerBase - 1)) % adlerBase;
  return b * 65_536 + a;
}
