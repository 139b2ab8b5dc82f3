/** The order-independent hash of a table's rows: the sum of the rows' MurmurHash3 values. */
import type {RowTaker} from '../postgres/take-rows.js';

/**
 * A running sum over rows.
 * Each row's bytes are hashed with MurmurHash3 x86 128-bit, seed 0. Its four 32-bit words h1, h2, h3, h4 form the number
 * h1 + h2 * 2^32 + h3 * 2^64 + h4 * 2^96 (the 16 result bytes read as one little-endian number; `mmh3.hash128(row, 0, False)`
 * in Python). The sum is taken modulo 2^128, so the order of the rows and their division into chunks do not matter,
 * but a missing, duplicated or changed row does. It detects damage and difference; it does not protect against forgery.
 */
export interface RowHashSum extends RowTaker {
  /** Completes the row of the preceding `append` calls. */
  endRow(): void;
  /** Rows added so far. */
  readonly rows: number;
  /** The sum of the completed rows: 32 lower-case hexadecimal digits, most significant first. */
  digest(): string;
  /** The four words of the row that was completed last, least significant first; valid until the next row. */
  readonly row: Uint32Array;
  /** Adds a row by the words of its hash. */
  addHash(row: Uint32Array): void;
}

const c1 = 0x239b961b;
const c2 = 0xab0e9789 | 0;
const c3 = 0x38b34ae5;
const c4 = 0xa1e38b93 | 0;

/** Number of additions after which the sums are reduced below 2^32: 2^20 additions of 2^32 stay exact in a double. */
const additionsUntilCarry = 2 ** 20;

export function createRowHashSum(): RowHashSum {
  return new MurmurSum();
}

/** The digest of a sum of one row with these words. */
export function rowDigest(row: Uint32Array): string {
  let digest = '';
  for (const word of row) digest = word.toString(16).padStart(8, '0') + digest;
  return digest;
}

/** Prefix of a fingerprint's text. */
export const fingerprintPrefix = 'mmh3-sum:';

/** The text of a fingerprint: the name of the method and the sum. */
export function fingerprintText(sum: RowHashSum): string {
  return fingerprintPrefix + sum.digest();
}

/** The fingerprint of the rows of both sums. */
export function joinFingerprints(first: string, second: string): string {
  const [a, b] = [first, second].map((text) => BigInt(`0x${text.slice(fingerprintPrefix.length)}`));
  const sum = BigInt.asUintN(128, (a ?? 0n) + (b ?? 0n));
  return fingerprintPrefix + sum.toString(16).padStart(32, '0');
}

/** Shared by all sums: each table of a dump has a sum, and a buffer per sum would stay in memory until the end of the dump. */
let viewed: Buffer = Buffer.alloc(0);
let view = viewOf(viewed);

/** Austin Appleby's MurmurHash3_x86_128 (smhasher, public domain), made incremental; allocates nothing per row. */
class MurmurSum implements RowHashSum {
  rows = 0;
  readonly row = new Uint32Array(4);
  private h1 = 0;
  private h2 = 0;
  private h3 = 0;
  private h4 = 0;
  private length = 0;
  /** The row's bytes since the last complete block of 16; zero beyond `pendingLength`. */
  private readonly pending = Buffer.alloc(16);
  private readonly pendingView = viewOf(this.pending);
  private pendingLength = 0;
  /** The sums of the rows' words, without carries between them. */
  private readonly sums = new Float64Array(4);

  add(buffer: Buffer, start: number, end: number): void {
    this.append(buffer, start, end);
    this.endRow();
  }

  append(buffer: Buffer, start: number, end: number): void {
    if (buffer !== viewed) [viewed, view] = [buffer, viewOf(buffer)];
    this.length += end - start;
    let position = start;
    if (this.pendingLength > 0) {
      while (this.pendingLength < 16 && position < end) {
        this.pending[this.pendingLength++] = buffer[position++] ?? 0;
      }
      if (this.pendingLength < 16) return;
      this.mixBlocks(this.pendingView, 0, 16);
      this.pending.fill(0);
      this.pendingLength = 0;
    }
    const blocksEnd = end - ((end - position) & 15);
    if (blocksEnd > position) this.mixBlocks(view, position, blocksEnd);
    for (position = blocksEnd; position < end; position++) {
      this.pending[this.pendingLength++] = buffer[position] ?? 0;
    }
  }

  endRow(): void {
    let {h1, h2, h3, h4} = this;
    if (this.pendingLength > 0) {
      // Zero words mix to zero, so the tail needs no case for each length.
      const tail = this.pendingView;
      h1 ^= mixWord(tail.getInt32(0, true), c1, 15, c2);
      h2 ^= mixWord(tail.getInt32(4, true), c2, 16, c3);
      h3 ^= mixWord(tail.getInt32(8, true), c3, 17, c4);
      h4 ^= mixWord(tail.getInt32(12, true), c4, 18, c1);
      tail.setFloat64(0, 0);
      tail.setFloat64(8, 0);
      this.pendingLength = 0;
    }
    // The reference implementation takes the length as a 32-bit number.
    const length = this.length | 0;
    h1 ^= length;
    h2 ^= length;
    h3 ^= length;
    h4 ^= length;
    h1 = (h1 + h2 + h3 + h4) | 0;
    h2 = (h2 + h1) | 0;
    h3 = (h3 + h1) | 0;
    h4 = (h4 + h1) | 0;
    h1 = finalMix(h1);
    h2 = finalMix(h2);
    h3 = finalMix(h3);
    h4 = finalMix(h4);
    h1 = (h1 + h2 + h3 + h4) | 0;
    const {row} = this;
    row[0] = h1;
    row[1] = h2 + h1;
    row[2] = h3 + h1;
    row[3] = h4 + h1;
    this.h1 = this.h2 = this.h3 = this.h4 = this.length = 0;
    this.addHash(row);
  }

  addHash(row: Uint32Array): void {
    const {sums} = this;
    sums[0] = (sums[0] ?? 0) + (row[0] ?? 0);
    sums[1] = (sums[1] ?? 0) + (row[1] ?? 0);
    sums[2] = (sums[2] ?? 0) + (row[2] ?? 0);
    sums[3] = (sums[3] ?? 0) + (row[3] ?? 0);
    this.rows++;
    if (this.rows % additionsUntilCarry === 0) this.carry();
  }

  digest(): string {
    this.carry();
    return rowDigest(Uint32Array.from(this.sums));
  }

  /** Reduces each word below 2^32 and carries the rest into the next one; the last overflows (modulo 2^128). */
  private carry(): void {
    let carried = 0;
    for (let index = 0; index < 4; index++) {
      const sum = (this.sums[index] ?? 0) + carried;
      this.sums[index] = sum % 2 ** 32;
      carried = Math.floor(sum / 2 ** 32);
    }
  }

  private mixBlocks(view: DataView, start: number, end: number): void {
    let {h1, h2, h3, h4} = this;
    for (let position = start; position < end; position += 16) {
      h1 ^= mixWord(view.getInt32(position, true), c1, 15, c2);
      h1 = (((h1 << 19) | (h1 >>> 13)) + h2) | 0;
      h1 = (Math.imul(h1, 5) + 0x561ccd1b) | 0;
      h2 ^= mixWord(view.getInt32(position + 4, true), c2, 16, c3);
      h2 = (((h2 << 17) | (h2 >>> 15)) + h3) | 0;
      h2 = (Math.imul(h2, 5) + 0x0bcaa747) | 0;
      h3 ^= mixWord(view.getInt32(position + 8, true), c3, 17, c4);
      h3 = (((h3 << 15) | (h3 >>> 17)) + h4) | 0;
      h3 = (Math.imul(h3, 5) + 0x96cd1c35) | 0;
      h4 ^= mixWord(view.getInt32(position + 12, true), c4, 18, c1);
      h4 = (((h4 << 13) | (h4 >>> 19)) + h1) | 0;
      h4 = (Math.imul(h4, 5) + 0x32ac3b17) | 0;
    }
    this.h1 = h1;
    this.h2 = h2;
    this.h3 = h3;
    this.h4 = h4;
  }
}

function mixWord(word: number, before: number, bits: number, after: number): number {
  const product = Math.imul(word, before);
  return Math.imul((product << bits) | (product >>> (32 - bits)), after);
}

function finalMix(word: number): number {
  let h = word;
  h ^= h >>> 16;
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  return h ^ (h >>> 16);
}

function viewOf(buffer: Buffer): DataView {
  return new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);
}
