/** A file that is written line by line, in blocks. */
import type {FileHandle} from 'node:fs/promises';
import {explainFileError} from '../../base/safe-file.js';

const separator = Buffer.from(',\n');

const blockBytes = 1 << 18;

/** Collects bytes into blocks, which are used again once they are written. */
export class LineFile {
  private full: Buffer[] = [];
  private spare: Buffer[] = [];
  private block: Buffer = Buffer.allocUnsafeSlow(blockBytes);
  private length = 0;
  private isListEmpty = true;

  constructor(
    private readonly file: FileHandle,
    private readonly path: string,
  ) {}

  /** Whether a block waits for `flush`. */
  get isFull(): boolean {
    return this.full.length > 0;
  }

  bytes(source: Buffer, start: number, end: number): void {
    let at = start;
    while (at < end) {
      const copied = source.copy(this.block, this.length, at, end);
      at += copied;
      this.length += copied;
      if (this.length < blockBytes) return;
      this.full.push(this.block);
      this.block = this.spare.pop() ?? Buffer.allocUnsafeSlow(blockBytes);
      this.length = 0;
    }
  }

  text(text: string): void {
    const bytes = Buffer.from(text);
    this.bytes(bytes, 0, bytes.length);
  }

  /** Begins a line of a list; the lines before it end in a comma. */
  beginItem(prefix: Buffer): void {
    if (!this.isListEmpty) this.bytes(separator, 0, separator.length);
    this.isListEmpty = false;
    this.bytes(prefix, 0, prefix.length);
  }

  endList(): void {
    if (!this.isListEmpty) this.text('\n');
    this.isListEmpty = true;
  }

  /** Writes the full blocks. */
  async flush(): Promise<void> {
    const blocks = this.full;
    this.full = [];
    for (const block of blocks) {
      await this.write(block);
      this.spare.push(block);
    }
  }

  /** Writes everything. */
  async end(): Promise<void> {
    await this.flush();
    await this.write(this.block.subarray(0, this.length));
    this.length = 0;
  }

  /** Replaces the first bytes of the file, after `end`. */
  async overwriteStart(bytes: Buffer): Promise<void> {
    await this.write(bytes, 0);
  }

  private async write(block: Buffer, position?: number): Promise<void> {
    try {
      let at = 0;
      while (at < block.length) {
        const place = position === undefined ? null : position + at;
        at += (await this.file.write(block, at, null, place)).bytesWritten;
      }
    } catch (error) {
      throw explainFileError(error, this.path);
    }
  }
}
