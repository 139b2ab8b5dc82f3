/** Reads the numbers and texts of pg_dump's archives (ReadInt and ReadStr in src/bin/pg_dump/pg_backup_archiver.c). */

export class ArchiveCursor {
  constructor(
    private readonly data: Buffer,
    public position: number,
    /** Bytes of a number, without its sign byte; set in every archive's header. */
    private readonly intSize: number,
  ) {}

  /** Whether a read went beyond the end of the data, so that later reads are invalid. */
  isPastEnd(): boolean {
    return this.position > this.data.length;
  }

  readInt(): number {
    const {data, position, intSize} = this;
    const sign = data[position] ?? 0;
    let value = 0;
    for (let index = intSize; index >= 1; index--) value = value * 256 + (data[position + index] ?? 0);
    this.position += 1 + intSize;
    return sign === 0 ? value : -value;
  }

  readText(): string | null {
    const start = this.skipText();
    return start === undefined ? null : this.data.toString('utf8', start, this.position);
  }

  /** A text in an unknown encoding, one character per byte; '' if absent. */
  readLatin1(): string {
    const start = this.skipText();
    return start === undefined ? '' : this.data.toString('latin1', start, this.position);
  }

  /** Skips a text; returns its start, undefined if absent. */
  skipText(): number | undefined {
    const length = this.readInt();
    if (length < 0) return undefined;
    this.position += length;
    return this.position - length;
  }
}
