/** The result of a full read of a dump. */
import {createHash} from 'node:crypto';
import {keptText, TextPool} from '../base/kept-text.js';
import {fingerprintText, joinFingerprints, type RowHashSum} from './row-hash.js';

export interface ObjectName {
  readonly schema: string;
  readonly name: string;
}

export interface DumpedTable extends ObjectName {
  /** In the order of the COPY statement. */
  readonly columns: readonly string[];
  readonly rows: number;
  /** Order-independent hash of the rows, or null if not requested. */
  readonly fingerprint: string | null;
}

/** The value of a sequence in the dump. */
export interface DumpedSequence extends ObjectName {
  /** As text, because it may exceed the exact range of JavaScript numbers. */
  readonly lastValue: string;
  readonly isCalled: boolean;
}

export interface DumpContents {
  /**
   * The tables with rows in the dump, by schema and name. Large objects, if any, appear as the table
   * pg_catalog.pg_largeobject with one row each, at the end (see the documentation of fingerprints).
   */
  readonly tables: readonly DumpedTable[];
  /** Materialized views that the dump refreshes. */
  readonly refreshedViews: readonly ObjectName[];
  readonly sequences: readonly DumpedSequence[];
  /** The encoding of the rows, as PostgreSQL names it: "UTF8", "LATIN1". */
  readonly encoding: string;
  /** SHA-256 of everything but the rows of tables, in the order of the dump; null if not requested. */
  readonly definitions: string | null;
  /** Length of the dump as plain SQL, in bytes; reading in parts counts the heading of each part. */
  readonly textBytes: number;
}

/** The table that represents the large objects. */
export const largeObjectTable: ObjectName = {schema: 'pg_catalog', name: 'pg_largeobject'};

/** Merges the contents of the parts of one dump; a table may have rows in several. */
export function joinContents(parts: readonly DumpContents[]): DumpContents {
  const tables = new Map<string, DumpedTable>();
  for (const table of parts.flatMap((part) => part.tables)) {
    const key = JSON.stringify([table.schema, table.name]);
    const before = tables.get(key);
    tables.set(key, before ? joinTables(before, table) : table);
  }
  return {
    tables: inOrder([...tables.values()]),
    refreshedViews: parts.flatMap((part) => part.refreshedViews),
    sequences: parts.flatMap((part) => part.sequences),
    encoding: parts[0]?.encoding ?? 'UTF8',
    definitions: joinDigests(parts.map(({definitions}) => definitions)),
    textBytes: parts.reduce((sum, part) => sum + part.textBytes, 0),
  };
}

function joinDigests(digests: readonly (string | null)[]): string | null {
  const [first = null] = digests;
  if (digests.length < 2 || digests.includes(null)) return first;
  return createHash('sha256').update(digests.join('\n')).digest('hex');
}

/** The tables of a dump while it is read; a table may have several COPY statements. */
export class TableList {
  private readonly tables = new Map<string, DumpedTable>();
  private readonly pool = new TextPool();

  get size(): number {
    return this.tables.size;
  }

  /** Keeps only the result of `sum`. */
  add(
    {schema, name, columns}: Omit<DumpedTable, 'rows' | 'fingerprint'>,
    rows: number,
    sum: RowHashSum | undefined,
  ): void {
    const key = JSON.stringify([schema, name]);
    const before = this.tables.get(key);
    const table = {
      schema: this.pool.take(schema),
      name: keptText(name),
      columns: columns.map((column) => this.pool.take(column)),
      rows,
      fingerprint: sum ? fingerprintText(sum) : null,
    };
    this.tables.set(key, before ? joinTables(before, table) : table);
  }

  all(): DumpedTable[] {
    return [...this.tables.values()];
  }
}

function joinTables(first: DumpedTable, second: DumpedTable): DumpedTable {
  const [a, b] = [first.fingerprint, second.fingerprint];
  return {
    ...first,
    rows: first.rows + second.rows,
    fingerprint: a === null || b === null ? null : joinFingerprints(a, b),
  };
}

/** By schema and name, large objects last. */
export function inOrder(tables: readonly DumpedTable[]): DumpedTable[] {
  const isLast = ({schema, name}: ObjectName): boolean =>
    schema === largeObjectTable.schema && name === largeObjectTable.name;
  return [...tables].sort(
    (a, b) =>
      Number(isLast(a)) - Number(isLast(b)) || compareText(a.schema, b.schema) || compareText(a.name, b.name),
  );
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
