/** Compresses a stream into one gzip member on several cores: blocks are deflated concurrently and joined. */
import {crc32} from 'node:zlib';
import {type DeflatedBlock, deflateBlock, finalBlock, windowBytes} from './deflate-block.js';

/** RFC 1952, 2.3: deflate, no flags, no time, no hint about the level, Unix. */
const header = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3]);

export interface GzipOptions {
  /** 1 to 9 */
  readonly level: number;
  /** Number of blocks that are being deflated or wait for their turn in the stream. */
  readonly blocksAhead: number;
  /** Bytes of a block. */
  readonly blockBytes?: number;
}

/**
 * The compressed source, in pieces; any gunzip reads it.
 * Memory: `blocksAhead` blocks, twice.
 */
export async function* gzipBlocks(
  source: AsyncIterable<Buffer>,
  options: GzipOptions,
): AsyncGenerator<Buffer> {
  const {level, blocksAhead, blockBytes = 1 << 20} = options;
  const atWork: Promise<DeflatedBlock>[] = [];
  const spare: Buffer[] = [];
  let before: Buffer = Buffer.alloc(0);
  let check = 0;
  let length = 0;
  const begin = (block: Buffer, used: number): void => {
    const data = block.subarray(0, used);
    check = crc32(data, check);
    length += used;
    const deflated = deflateBlock(data, before, level).finally(() => spare.push(block));
    deflated.catch(() => undefined); // reported when it is awaited
    atWork.push(deflated);
    before = Buffer.from(data.subarray(Math.max(0, used - windowBytes)));
  };
  const next = async (): Promise<Buffer> => (await atWork.shift())?.data ?? Buffer.alloc(0);
  yield header;
  try {
    let block: Buffer = Buffer.allocUnsafeSlow(blockBytes);
    let used = 0;
    for await (const chunk of source) {
      for (let position = 0; position < chunk.length;) {
        const count = chunk.copy(block, used, position);
        position += count;
        used += count;
        if (used < blockBytes) continue;
        begin(block, used);
        if (atWork.length > blocksAhead) yield await next();
        block = spare.pop() ?? Buffer.allocUnsafeSlow(blockBytes);
        used = 0;
      }
    }
    if (used > 0) begin(block, used);
    while (atWork.length > 0) yield await next();
  } finally {
    await Promise.allSettled(atWork);
  }
  const trailer = Buffer.alloc(8);
  trailer.writeUInt32LE(check);
  trailer.writeUInt32LE(length % 2 ** 32, 4);
  yield Buffer.concat([finalBlock, trailer]);
}
