/** What a full read of a dump tells. */

export interface ObjectName {
  readonly schema: string;
  readonly name: string;
}

export interface DumpedTable extends ObjectName {
  /** In the order of the COPY statement. */
  readonly columns: readonly string[];
  readonly rows: number;
  /** Order-independent hash of the rows, or null when it was not asked for. */
  readonly fingerprint: string | null;
}

/** What the dump sets a sequence to. */
export interface DumpedSequence extends ObjectName {
  /** As text: it may be greater than a JavaScript number holds exactly. */
  readonly lastValue: string;
  readonly isCalled: boolean;
}

export interface DumpContents {
  /**
   * The tables whose rows the dump holds, in its order. Large objects, where there are any, stand as the table
   * pg_catalog.pg_largeobject with one row each (see the documentation of fingerprints).
   */
  readonly tables: readonly DumpedTable[];
  /** Names of the extensions that the dump creates. */
  readonly extensions: readonly string[];
  /** Materialized views that the dump fills. */
  readonly refreshedViews: readonly ObjectName[];
  readonly sequences: readonly DumpedSequence[];
  /** Constraints that the dump declares NOT VALID or NOT ENFORCED. */
  readonly unvalidatedConstraints: readonly (ObjectName & {readonly constraint: string})[];
  /** Length of the dump as plain SQL, in bytes. */
  readonly textBytes: number;
}

/** The table that stands for the large objects. */
export const largeObjectTable: ObjectName = {schema: 'pg_catalog', name: 'pg_largeobject'};
