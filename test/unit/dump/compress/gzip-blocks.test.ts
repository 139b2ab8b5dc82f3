import {execFileSync} from 'node:child_process';
import {gunzipSync} from 'node:zlib';
import fc from 'fast-check';
import {describe, expect, it} from 'vitest';
import {gzipBlocks} from '../../../../src/lib/dump/compress/gzip-blocks.js';

async function compress(data: Buffer, chunk: number, blockBytes: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  const source = async function* () {
    for (let position = 0; position < data.length; position += chunk)
      yield await Promise.resolve(data.subarray(position, position + chunk));
  };
  for await (const part of gzipBlocks(source(), {level: 5, blocksAhead: 3, blockBytes})) parts.push(part);
  return Buffer.concat(parts);
}

describe('compressing in blocks', () => {
  it('returns every byte, for all chunks and blocks', async () => {
    const words = fc.nat(200_000).map((length) => Buffer.from('some words that repeat '.repeat(9000).slice(0, length)));
    const noise = fc.uint8Array({maxLength: 5000}).map((array) => Buffer.from(array));
    const data = fc.array(fc.oneof(words, noise), {maxLength: 4}).map((list) => Buffer.concat(list));
    const [chunk, block] = [fc.integer({min: 100, max: 70_000}), fc.integer({min: 500, max: 100_000})];
    await fc.assert(
      fc.asyncProperty(data, chunk, block, async (text, chunkBytes, blockBytes) => {
        // Node's reader compares the checksum and the length.
        expect(gunzipSync(await compress(text, chunkBytes, blockBytes)).equals(text)).toBe(true);
      }),
      {numRuns: 60},
    );
  }); // prettier-ignore

  it('is one member that gunzip reads', async () => {
    const text = Buffer.from(Array.from({length: 50_000}, (_, n) => `line ${n}\n`).join(''));
    const packed = await compress(text, 65_536, 100_000);
    const options = {input: packed, maxBuffer: 1 << 24};
    expect(execFileSync('gunzip', ['-c'], options).equals(text)).toBe(true);
    expect(packed.indexOf(Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0]), 1)).toBe(-1);
  });

  it('passes on the error of its source', async () => {
    const source = async function* () {
      yield await Promise.resolve(Buffer.alloc(500_000, 'x'));
      throw new Error('broke off');
    };
    const drain = async () => {
      const packed = gzipBlocks(source(), {level: 5, blocksAhead: 1, blockBytes: 10_000});
      while ((await packed.next()).done !== true);
    };
    await expect(drain()).rejects.toThrow('broke off');
  });
});
