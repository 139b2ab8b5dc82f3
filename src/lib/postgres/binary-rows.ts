/** Parses the output of COPY (SELECT text, int8, ...) TO STDOUT (FORMAT binary) (manual, COPY, "Binary Format"). */

export interface RowTexts {
  /** A part of a row's text: `chunk[start..end)`. */
  readonly part: (chunk: Buffer, start: number, end: number) => void;
  /** Ends the row of the preceding parts. */
  readonly endRow: () => void;
}

/** Signature (11 bytes), flags and length of the header extension (4 bytes each, both zero). */
const headerBytes = 19;
/** Number of fields (2 bytes, -1 at the end) and length of the text (4 bytes). */
const rowHeaderBytes = 6;
/** Length (4 bytes) and value of an int8. */
const numberBytes = 12;

/**
 * Does not store texts, so a row may be as large as the server allows; no row is null or empty. The numbers are
 * summed.
 */
export class BinaryRows {
  private toSkip = headerBytes;
  private readonly head = Buffer.alloc(rowHeaderBytes);
  private headLength = 0;
  private remaining = 0;
  private readonly tail: Buffer;
  private tailLength: number;
  /** Whether the server's end marker was read. */
  isComplete = false;
  /** The sums of the int8 columns. */
  readonly sums: bigint[];

  /** @param numbers how many int8 columns, none of them null, follow the text */
  constructor(
    private readonly texts: RowTexts,
    numbers = 0,
  ) {
    this.tail = Buffer.alloc(numbers * numberBytes);
    this.tailLength = this.tail.length;
    this.sums = new Array<bigint>(numbers).fill(0n);
  }

  take(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length && !this.isComplete) {
      if (this.toSkip > 0) {
        const skipped = Math.min(this.toSkip, chunk.length - at);
        this.toSkip -= skipped;
        at += skipped;
      } else if (this.remaining > 0) {
        const end = Math.min(at + this.remaining, chunk.length);
        this.texts.part(chunk, at, end);
        this.remaining -= end - at;
        at = end;
        if (this.remaining > 0) continue;
        this.tailLength = 0;
        this.endRowAfterNumbers();
      } else if (this.tailLength < this.tail.length) {
        const copied = chunk.copy(this.tail, this.tailLength, at);
        this.tailLength += copied;
        at += copied;
        this.endRowAfterNumbers();
      } else {
        this.head[this.headLength++] = chunk[at++] ?? 0;
        if (this.headLength === 2 && this.head.readInt16BE(0) === -1) this.isComplete = true;
        if (this.headLength < rowHeaderBytes) continue;
        this.remaining = this.head.readInt32BE(2);
        this.headLength = 0;
      }
    }
  }

  private endRowAfterNumbers(): void {
    if (this.tailLength < this.tail.length) return;
    for (const index of this.sums.keys())
      this.sums[index] = (this.sums[index] ?? 0n) + this.tail.readBigInt64BE(index * numberBytes + 4);
    this.texts.endRow();
  }
}
