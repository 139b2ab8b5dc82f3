/**
 * Turns the uncompressed custom archive that pg_dump writes to a pipe into the compressed one that it would write itself,
 * on several cores: each entry's rows are deflated in concurrent blocks and joined into one zlib stream.
 */
import {blockKind, type CustomHead, offsetState, readCustomHead, UnknownLayout} from './custom-format.js';
import {compressionPosition} from './archive-header.js';
import type {DumpedTable} from '../../fingerprint/table-contents.js';
import {type DeflatedBlock, deflateBlock, finalBlock, joinAdler, windowBytes} from './deflate-block.js';
import type {CopyStatement} from '../sql/sql-names.js';
import {StreamedRows} from './streamed-rows.js';

export interface RecompressOptions {
  /** 1 to 9 */
  readonly level: number;
  /** Number of blocks that are being deflated or wait for their turn in the stream. */
  readonly blocksAhead: number;
  /** Whether to hash rows, or only count them. */
  readonly fingerprints: boolean;
  /** Size of a block, bytes; set by tests only. */
  readonly blockBytes?: number;
}

/** Smaller blocks cost time and size: 128 KB costs a fifth more time and 2.5 % more bytes (docs/performance.md). */
const defaultBlockBytes = 1 << 20;
/** The two bytes before every zlib stream at the usual window (RFC 1950, 2.2). */
const zlibHeader = Buffer.from([0x78, 0x9c]);
const gzipAlgorithm = 1;
/** A sign and four bytes, as in all known archives. */
const numberBytes = 5;
/** zlib's "default level"; readers only check whether it is 0. */
const defaultLevel = -1;

export interface Recompression {
  /**
   * The compressed archive, as pg_dump writes it to a pipe: its table of contents has no positions of the rows.
   * Throws UnknownLayout, and the errors of `archive`.
   */
  readonly stream: AsyncGenerator<Buffer>;
  /** The content, once the stream was read to its end. */
  readonly result: () => Recompressed;
}

export interface Recompressed {
  /** False if the archive is incomplete; the caller knows why pg_dump stopped. */
  readonly isWhole: boolean;
  /** The rows that pg_dump wrote, counted before compression. */
  readonly tables: readonly DumpedTable[];
  /** The first bytes of the stream, and the same bytes with the positions of the rows, for files in which they can be overwritten. */
  readonly head: {readonly streamed: Buffer; readonly placed: Buffer};
}

type Output =
  | {readonly kind: 'bytes'; readonly data: Buffer; readonly entry?: number}
  | {readonly kind: 'block'; readonly deflated: Promise<DeflatedBlock>}
  | {readonly kind: 'end'};

/** The next field to read. */
type Place = 'kind' | 'dumpId' | 'objectId' | 'length';

/** Memory: the table of contents and `blocksAhead` blocks, twice. */
export function recompress(archive: AsyncIterable<Buffer>, options: RecompressOptions): Recompression {
  const recompressor = new Recompressor(options);
  return {stream: recompressor.read(archive), result: () => recompressor.result()};
}

class Recompressor {
  private readonly rows: StreamedRows;
  private readonly blockBytes: number;
  private start: Buffer = Buffer.alloc(0);
  /** Data since the last failed search for the end of the head. */
  private unread: Buffer[] = [];
  private unreadBytes = 0;
  private head: CustomHead | undefined;
  private readonly copies = new Map<number, CopyStatement>();
  private readonly offsets = new Map<number, number>();

  private place: Place = 'kind';
  private kind = 0;
  /** The number being read, sign byte first; chunks may divide it. */
  private readonly number = Buffer.alloc(numberBytes);
  private numberUsed = 0;
  /** Remaining bytes of the current piece of rows. */
  private pieceBytes = 0;

  private block: Buffer | undefined;
  private blockUsed = 0;
  private before: Buffer = Buffer.alloc(0);
  /** Blocks that may be reused. */
  private readonly spare: Buffer[] = [];

  private readonly outputs: Output[] = [];
  private blocksAtWork = 0;
  private position = 0;
  private adler = 1;
  private isStreamBegun = false;

  constructor(private readonly options: RecompressOptions) {
    this.blockBytes = options.blockBytes ?? defaultBlockBytes;
    this.rows = new StreamedRows(options.fingerprints);
  }

  async *read(archive: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    try {
      for await (const chunk of archive) yield* this.takeAll(this.head ? chunk : this.takeHead(chunk));
      if (!this.head) yield* this.takeAll(this.findHead());
      yield* this.ready(0);
    } finally {
      // After an error, blocks may still be running; their errors no longer matter.
      const blocks = this.outputs.filter((output) => output.kind === 'block');
      await Promise.allSettled(blocks.map((output) => output.deflated));
    }
  }

  private async *takeAll(chunk: Buffer): AsyncGenerator<Buffer> {
    for (let position = 0; position < chunk.length;) {
      position = this.take(chunk, position);
      yield* this.ready(this.options.blocksAhead);
    }
  }

  result(): Recompressed {
    const placed = Buffer.from(this.start);
    for (const {dumpId, offsetPosition} of this.head?.entries ?? []) {
      const offset = this.offsets.get(dumpId);
      if (offset === undefined) continue;
      placed[offsetPosition] = offsetState.set;
      placed.writeBigUInt64LE(BigInt(offset), offsetPosition + 1);
    }
    const isWhole = this.head !== undefined && this.place === 'kind' && this.numberUsed === 0;
    return {isWhole, tables: this.rows.contents(), head: {streamed: this.start, placed}};
  }

  /** Collects data of the head and returns the data after it. A long head is searched for only after much more data has arrived. */
  private takeHead(chunk: Buffer): Buffer {
    this.unread.push(chunk);
    this.unreadBytes += chunk.length;
    return this.unreadBytes * 2 < this.start.length ? Buffer.alloc(0) : this.findHead();
  }

  private findHead(): Buffer {
    this.start = Buffer.concat([this.start, ...this.unread]);
    this.unread = [];
    this.unreadBytes = 0;
    this.head = readCustomHead(this.start);
    if (!this.head) return Buffer.alloc(0);
    const {entries, minorVersion, length} = this.head;
    for (const {dumpId, copy} of entries) if (copy) this.copies.set(dumpId, copy);
    const rest = this.start.subarray(length);
    this.start = Buffer.from(this.start.subarray(0, length));
    if (minorVersion >= 15) this.start[compressionPosition] = gzipAlgorithm;
    else writeInt(this.start, compressionPosition, defaultLevel);
    this.outputs.push({kind: 'bytes', data: this.start});
    return rest;
  }

  /** Returns early if enough blocks are running: one chunk can contain many small entries. */
  private take(chunk: Buffer, start: number): number {
    let position = start;
    while (position < chunk.length && this.blocksAtWork <= this.options.blocksAhead) {
      if (this.pieceBytes > 0) {
        position += this.fill(chunk, position);
      } else if (this.place === 'kind') {
        this.kind = chunk[position++] ?? 0;
        if (this.kind !== blockKind.rows && this.kind !== blockKind.largeObjects)
          throw new UnknownLayout(`pg_dump wrote a block of the unknown kind ${this.kind}`);
        this.place = 'dumpId';
      } else if (this.place === 'length' && this.numberUsed === 0 && chunk.length - position > numberBytes) {
        // Most numbers are lengths of rows.
        this.takeNumber(chunk.readUInt32LE(position + 1));
        position += numberBytes;
      } else {
        this.number[this.numberUsed++] = chunk[position++] ?? 0;
        if (this.numberUsed === this.number.length) {
          this.numberUsed = 0;
          this.takeNumber(this.number.readUInt32LE(1));
        }
      }
    }
    return position;
  }

  private takeNumber(value: number): void {
    if (this.place === 'dumpId') {
      this.outputs.push({
        kind: 'bytes',
        data: Buffer.concat([Buffer.of(this.kind), this.number]),
        entry: value,
      });
      this.place = this.kind === blockKind.rows ? 'length' : 'objectId';
      if (this.kind === blockKind.rows) this.rows.beginTable(this.copyOf(value));
    } else if (this.place === 'objectId') {
      // Each large object is a separate stream; the number 0 ends them.
      this.outputs.push({kind: 'bytes', data: Buffer.from(this.number)});
      this.place = value === 0 ? 'kind' : 'length';
      if (value !== 0) this.rows.beginLargeObject(this.number[0] === 0 ? value : 2 ** 32 - value); // an oid, written as a signed number
    } else if (value === 0) {
      this.endStream();
      this.place = this.kind === blockKind.rows ? 'kind' : 'objectId';
    } else {
      this.pieceBytes = value;
    }
  }

  /** Copies rows into the block; returns the number of bytes. */
  private fill(chunk: Buffer, position: number): number {
    this.block ??= this.spare.pop() ?? Buffer.allocUnsafeSlow(this.blockBytes);
    const count = Math.min(this.pieceBytes, chunk.length - position, this.blockBytes - this.blockUsed);
    chunk.copy(this.block, this.blockUsed, position, position + count);
    this.blockUsed += count;
    this.pieceBytes -= count;
    if (this.blockUsed === this.blockBytes) this.deflate();
    return count;
  }

  private deflate(): void {
    const {block, before} = this;
    if (!block || this.blockUsed === 0) return;
    const used = block.subarray(0, this.blockUsed);
    this.rows.take(used);
    this.blocksAtWork++;
    const deflated = deflateBlock(used, before, this.options.level).finally(() => this.spare.push(block));
    deflated.catch(() => undefined); // reported when it is awaited
    this.outputs.push({kind: 'block', deflated});
    this.before = Buffer.from(used.subarray(Math.max(0, used.length - windowBytes)));
    this.block = undefined;
    this.blockUsed = 0;
  }

  private endStream(): void {
    this.deflate();
    this.rows.end();
    this.before = Buffer.alloc(0);
    this.outputs.push({kind: 'end'});
  }

  private copyOf(dumpId: number): CopyStatement {
    const copy = this.copies.get(dumpId);
    if (!copy) throw new UnknownLayout(`pg_dump wrote rows without a COPY statement (entry ${dumpId})`);
    return copy;
  }

  /** Outputs that are ready, in order, until no more than `atWork` blocks are being deflated. */
  private async *ready(atWork: number): AsyncGenerator<Buffer> {
    while (this.outputs.length > 0 && (this.blocksAtWork > atWork || this.outputs[0]?.kind !== 'block')) {
      const output = this.outputs[0];
      let data: Buffer;
      if (output?.kind === 'bytes') {
        if (output.entry !== undefined) this.offsets.set(output.entry, this.position);
        data = output.data;
      } else if (output?.kind === 'block') {
        const deflated = await output.deflated;
        this.adler = joinAdler(this.adler, deflated.adler, deflated.length);
        data = this.asPiece(deflated.data);
        this.blocksAtWork--;
      } else {
        const check = Buffer.alloc(4);
        check.writeUInt32BE(this.adler);
        const end = Buffer.alloc(numberBytes); // a piece without bytes
        data = Buffer.concat([this.asPiece(Buffer.concat([finalBlock, check])), end]);
        this.adler = 1;
        this.isStreamBegun = false;
      }
      this.outputs.shift();
      this.position += data.length;
      yield data;
    }
  }

  /** The data after its length; the first piece of a stream also after zlib's header. */
  private asPiece(data: Buffer): Buffer {
    const parts = this.isStreamBegun ? [data] : [zlibHeader, data];
    this.isStreamBegun = true;
    const size = Buffer.alloc(numberBytes);
    writeInt(size, 0, parts.reduce((sum, part) => sum + part.length, 0)); // prettier-ignore
    return Buffer.concat([size, ...parts]);
  }
}

/** Same as WriteInt: a byte for the sign, then the amount. */
function writeInt(target: Buffer, position: number, value: number): void {
  target[position] = value < 0 ? 1 : 0;
  target.writeUInt32LE(Math.abs(value), position + 1);
}
