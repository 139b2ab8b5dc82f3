/** Counts and hashes the rows and large objects of an archive's entries while the archive is written. */
import {CopyBlock} from './copy-block.js';
import {UnknownLayout} from './custom-format.js';
import {type DumpedTable, inOrder, largeObjectTable} from './dump-contents.js';
import {createRowHashSum, fingerprintText, type RowHashSum} from './row-hash.js';
import type {CopyStatement} from './sql-names.js';

/** Bytes of a large object that are turned into hexadecimal digits at once. */
const pieceBytes = 1 << 16;
const newline = 0x0a;

interface StreamedTable {
  readonly copy: CopyStatement;
  readonly block: CopyBlock;
  readonly sum: RowHashSum | undefined;
}

export class StreamedRows {
  private readonly tables = new Map<string, StreamedTable>();
  private readonly largeObjects: RowHashSum | undefined;
  private largeObjectCount = 0;
  /** The table whose rows are being taken; undefined within a large object. */
  private block: CopyBlock | undefined;

  /** @param fingerprints whether rows are hashed, or only counted */
  constructor(private readonly fingerprints: boolean) {
    this.largeObjects = fingerprints ? createRowHashSum() : undefined;
  }

  beginTable(copy: CopyStatement): void {
    const key = JSON.stringify([copy.schema, copy.name]);
    const table = this.tables.get(key) ?? this.newTable(copy);
    table.block.reopen();
    this.tables.set(key, table);
    this.block = table.block;
  }

  private newTable(copy: CopyStatement): StreamedTable {
    const sum = this.fingerprints ? createRowHashSum() : undefined;
    return {copy, sum, block: new CopyBlock(sum)};
  }

  beginLargeObject(oid: number): void {
    this.block = undefined;
    this.append(`${oid}\t\\\\x`);
  }

  /** Takes data of what was begun last. @throws UnknownLayout when something follows the end of the rows */
  take(data: Buffer): void {
    if (!this.block) {
      for (let position = 0; this.largeObjects && position < data.length; position += pieceBytes)
        this.append(data.toString('hex', position, Math.min(position + pieceBytes, data.length)));
      return;
    }
    const end = this.block.hasEnded ? 0 : this.block.take(data, 0);
    if (data.subarray(end).some((byte) => byte !== newline))
      throw new UnknownLayout('pg_dump wrote something behind the rows of a table');
  }

  /** What was begun last is whole. @throws UnknownLayout when its rows are not */
  end(): void {
    if (this.block) {
      if (!this.block.hasEnded) throw new UnknownLayout('pg_dump wrote rows without their end');
    } else {
      this.largeObjects?.endRow();
      this.largeObjectCount++;
    }
  }

  /** The same as a full read of the archive tells. */
  contents(): DumpedTable[] {
    const asText = (sum: RowHashSum | undefined): string | null => (sum ? fingerprintText(sum) : null);
    const tables: DumpedTable[] = [...this.tables.values()].map(({copy, block, sum}) => {
      return {...copy, rows: block.rows, fingerprint: asText(sum)};
    });
    if (this.largeObjectCount > 0) {
      const fingerprint = asText(this.largeObjects);
      tables.push({...largeObjectTable, columns: ['loid', 'data'], rows: this.largeObjectCount, fingerprint});
    }
    return inOrder(tables);
  }

  private append(text: string): void {
    if (!this.largeObjects) return;
    const bytes = Buffer.from(text, 'latin1');
    this.largeObjects.append(bytes, 0, bytes.length);
  }
}
