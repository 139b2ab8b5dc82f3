/** Both kinds of order backups as a restore sees them: tables with rows, and links to set again. */
import type {ErrorCode} from '../../base/errors.js';

/** Takes the content of a file in its order, long rows in parts; buffers are valid until `drain` has ended. */
export interface OrderFileSink {
  /**
   * A row of `tables[table]`, or a part of it: its JSON text is `buffer[start..end)`; `line` counts from 1 over the whole file.
   * @returns the position up to which the part was taken; what is left comes again with what follows, but the last part, `isLast`, is
   *   taken whole
   */
  row(table: number, line: number, buffer: Buffer, start: number, end: number, isLast: boolean): number;
  /** A link of `relinked[table]` in the same manner: the JSON text of its members `key` and `values`, in this order. */
  link(table: number, line: number, buffer: Buffer, start: number, end: number, isLast: boolean): number;
  /** Waits until what was given is taken; called after every piece of the file. */
  drain(): Promise<void>;
}

export interface FileColumn {
  /** Member of the row's JSON. */
  readonly name: string;
  /** Carried as the column's text in a JSON string. */
  readonly asText: boolean;
  /** As format_type wrote it; undefined if the file does not say. */
  readonly type: string | undefined;
}

export interface FileTable {
  /** "schema.name" */
  readonly table: string;
  readonly schema: string;
  readonly name: string;
  readonly rows: number;
  /** The sum over the texts of the rows, as row-hash.ts makes it; none where the file has none. */
  readonly checksum: string | undefined;
  readonly columns: readonly FileColumn[];
  /** The key's columns when the file was written; empty without a primary key. */
  readonly key: readonly string[];
}

/** How messages name the source of staged rows, and the code of a restore that fails. */
export interface SourceWords {
  /** "the order backup" */
  readonly source: string;
  readonly failure: ErrorCode;
}

export const orderWords: SourceWords = {source: 'the order backup', failure: 'ORDERS_RESTORE_FAILED'};
export const rowWords: SourceWords = {source: 'the backup', failure: 'ROWS_RESTORE_FAILED'};
const undoWords: SourceWords = {source: 'the undo file', failure: 'ROWS_RESTORE_FAILED'};

/** The purpose of a row file: rows that orders:clean deleted, or rows that restore:rows changed. */
export const rowFileKinds = ['order-backup', 'row-undo'] as const;
export type RowFileKind = (typeof rowFileKinds)[number];

export const wordsOf = (kind: RowFileKind): SourceWords => (kind === 'row-undo' ? undoWords : orderWords);

export interface OrderFile {
  readonly kind: RowFileKind;
  readonly words: SourceWords;
  readonly path: string;
  /** Whether the old scripts wrote it: no checksums, names of the model in place of columns, values made by JavaScript. */
  readonly isFromOldScripts: boolean;
  /** ISO 8601, or as the old scripts wrote it. */
  readonly timestamp: string;
  readonly database: {readonly name: string; readonly systemIdentifier: string | null} | undefined;
  /** Names ("schema.name") of the tables that contain orders. */
  readonly roots: readonly string[];
  readonly tables: readonly FileTable[];
  readonly relinked: readonly FileTable[];
  /** Of an undo file: the number of the transaction that wrote the rows, where it was recorded. */
  readonly transaction?: string | undefined;
  /** Losses and oddities of the file, for the user. */
  readonly notes: readonly string[];
  /**
   * Reads the whole file again and hands over its rows and links.
   * @throws ORDER_BACKUP_INVALID when the file is no longer what it was when it was opened
   */
  send(sink: OrderFileSink): Promise<void>;
}
