/** Takes apart what COPY (SELECT one text column) TO STDOUT (FORMAT binary) sends (manual, COPY, "Binary Format"). */

export interface RowTexts {
  /** A part of a row's text: `chunk[start..end)`. */
  readonly part: (chunk: Buffer, start: number, end: number) => void;
  /** The row whose parts came before is complete. */
  readonly endRow: () => void;
}

/** Signature (11 bytes), flags and length of the header extension (4 bytes each, both zero). */
const headerBytes = 19;
/** Number of fields (2 bytes, -1 at the end) and length of the one field (4 bytes). */
const rowHeaderBytes = 6;

/** Nothing of a row is kept here, so a row may be as large as the server can make one. */
export class BinaryRows {
  private toSkip = headerBytes;
  private readonly head = Buffer.alloc(rowHeaderBytes);
  private headLength = 0;
  private remaining = 0;
  /** Whether the server's own end mark has come. */
  isComplete = false;

  constructor(private readonly texts: RowTexts) {}

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
        if (this.remaining === 0) this.texts.endRow();
      } else {
        this.head[this.headLength++] = chunk[at++] ?? 0;
        if (this.headLength === 2 && this.head.readInt16BE(0) === -1) this.isComplete = true;
        if (this.headLength < rowHeaderBytes) continue;
        this.remaining = this.head.readInt32BE(2);
        this.headLength = 0;
      }
    }
  }
}
