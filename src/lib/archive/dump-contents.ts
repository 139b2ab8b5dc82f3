/** What a full read of a dump tells. */

export interface DumpedTable {
  readonly schema: string;
  readonly name: string;
  /** In the order of the COPY statement. */
  readonly columns: readonly string[];
  readonly rows: number;
  /** Order-independent hash of the rows, or null when it was not asked for. */
  readonly fingerprint: string | null;
}

export interface DumpContents {
  readonly tables: readonly DumpedTable[];
}
