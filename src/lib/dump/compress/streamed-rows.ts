/** Counts and hashes the rows and large objects of an archive while the archive is written. */
import {CopyBlock} from '../sql/copy-block.js';
import {UnknownLayout} from './custom-format.js';
import {type DumpedTable, inOrder, largeObjectTable, TableList} from '../../fingerprint/table-contents.js';
import {createRowHashSum, fingerprintText, type RowHashSum} from '../../fingerprint/row-hash.js';
import type {CopyStatement} from '../sql/sql-names.js';

/** Bytes of a large object that are converted to hexadecimal digits at a time. */
const pieceBytes = 1 << 16;
const newline = 0x0a;

export class StreamedRows {
  private readonly tables = new TableList();
  private readonly largeObjects: RowHashSum | undefined;
  private largeObjectCount = 0;
  /** The current table; undefined within a large object. */
  private open:
    | {readonly copy: CopyStatement; readonly block: CopyBlock; readonly sum: RowHashSum | undefined}
    | undefined;

  /** @param fingerprints whether to hash rows, or only count them */
  constructor(private readonly fingerprints: boolean) {
    this.largeObjects = fingerprints ? createRowHashSum() : undefined;
  }

  beginTable(copy: CopyStatement): void {
    const sum = this.fingerprints ? createRowHashSum() : undefined;
    this.open = {copy, sum, block: new CopyBlock(sum)};
  }

  beginLargeObject(oid: number): void {
    this.open = undefined;
    this.append(`${oid}\t\\\\x`);
  }

  /** Adds data to the current table or large object. @throws UnknownLayout if data follows the end of the rows */
  take(data: Buffer): void {
    const block = this.open?.block;
    if (!block) {
      for (let position = 0; this.largeObjects && position < data.length; position += pieceBytes)
        this.append(data.toString('hex', position, Math.min(position + pieceBytes, data.length)));
      return;
    }
    const end = block.hasEnded ? 0 : block.take(data, 0);
    if (data.subarray(end).some((byte) => byte !== newline))
      throw new UnknownLayout('pg_dump wrote data after the rows of a table');
  }

  /** Ends the current table or large object. @throws UnknownLayout if its rows are incomplete */
  end(): void {
    const {open} = this;
    if (open) {
      if (!open.block.hasEnded) throw new UnknownLayout('pg_dump wrote rows without their end');
      this.tables.add(open.copy, open.block.rows, open.sum);
    } else {
      this.largeObjects?.endRow();
      this.largeObjectCount++;
    }
  }

  /** The same result as a full read of the archive. */
  contents(): DumpedTable[] {
    const tables = this.tables.all();
    if (this.largeObjectCount > 0) {
      const fingerprint = this.largeObjects ? fingerprintText(this.largeObjects) : null;
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
