/** Writes every row that a cleaning will change into a file, straight from the server. */
import type {FileHandle} from 'node:fs/promises';
import {createRowHashSum} from '../archive/row-hash.js';
import {createPrivateFile, explainFileError} from '../backups/safe-file.js';
import {AppError} from '../errors.js';
import {BinaryRows} from '../postgres/binary-rows.js';
import type {Session} from '../postgres/client.js';
import {copyOut} from '../postgres/copy-out.js';
import {isNoted, type NotedRows, type Notes} from './collect-rows.js';
import type {Trigger} from './delete-effects.js';
import type {OrderGraph} from './foreign-key-graph.js';
import {
  relinkedLinePrefix,
  rowLinePrefix,
  type SnapshotColumn,
  snapshotMarks,
  type SnapshotMetadata,
} from './order-snapshot.js';
import type {Column, Table} from './read-catalog.js';
import {rowJsonExpression} from './row-json.js';
import {relationSql} from './select-orders.js';

export interface SnapshotPart {
  readonly noted: NotedRows;
  /** How many rows the plan counted. */
  readonly rows: number;
}

export interface RelinkedPart extends SnapshotPart {
  /** The columns whose old values are saved. */
  readonly columns: readonly Column[];
}

export interface SnapshotContent {
  /** Everything that is known before the rows are read. */
  readonly facts: Omit<SnapshotMetadata, 'schemaVersion' | 'kind' | 'tables' | 'relinked' | 'totalRows'>;
  /** In insert order. */
  readonly deleted: readonly SnapshotPart[];
  readonly relinked: readonly RelinkedPart[];
}

/**
 * What is saved of the rows that stay: the columns of their links, and where a trigger may change the row as it is
 * unlinked, all columns that can be put back.
 */
export function relinkedParts(
  graph: OrderGraph,
  notes: Notes,
  plan: {
    readonly tables: Readonly<Record<string, {relinked: number}>>;
    readonly triggers: readonly Trigger[];
  },
): RelinkedPart[] {
  return notes.unlinked.flatMap((noted) => {
    const {table} = noted;
    const rows = plan.tables[table.label]?.relinked ?? 0;
    if (rows === 0) return [];
    const changed = graph.unlinks
      .filter((link) => link.child === table)
      .flatMap((link) => link.changedColumns);
    const hasTrigger = plan.triggers.some(
      ({table: label, event}) => label === table.label && event === 'update',
    );
    const columns = table.columns.filter(
      ({name, generated, identity}) =>
        changed.includes(name) ||
        (hasTrigger && !generated && identity !== 'always' && !table.key.includes(name)),
    );
    return [{noted, rows, columns}];
  });
}

/** Holds the place of a checksum until it is known; all checksums are as long. */
const noChecksum = '0'.repeat(32);

/**
 * Writes the file at `path`, which must not exist, and syncs it.
 * The metadata stand on the first line although the checksums are known last: their place is held by zeros of the same
 * length and overwritten.
 * @param onRows is told the number of rows written so far
 * @throws CLEAN_FAILED when the server gives another number of rows than the plan counted; DISK_FULL, FOLDER_NOT_WRITABLE
 */
export async function writeOrderSnapshot(
  session: Session,
  path: string,
  content: SnapshotContent,
  onRows: (rows: number) => void,
): Promise<SnapshotMetadata> {
  const file = await createPrivateFile(path);
  try {
    const lines = new LineFile(file, path);
    const metadata = metadataOf(content);
    lines.text(firstLine(metadata));
    lines.text(snapshotMarks.beforeRows);
    let written = 0;
    const copy = async (part: SnapshotPart, prefix: string, expression: string): Promise<string> => {
      const already = written;
      const {rows, checksum} = await copyRows(session, lines, part, prefix, expression, (rows) =>
        onRows(already + rows),
      );
      written += rows;
      return checksum;
    };
    for (const [index, part] of content.deleted.entries()) {
      const {table} = part.noted;
      const entry = metadata.tables[index];
      if (entry)
        entry.checksum = await copy(part, rowLinePrefix(table.label), rowJsonExpression('t', table.columns));
    }
    lines.endList();
    lines.text(snapshotMarks.beforeRelinked);
    for (const [index, part] of content.relinked.entries()) {
      const {table} = part.noted;
      const keys = rowJsonExpression('t', columnsOf(table, table.key));
      const expression = `'"key":' || ${keys} || ',"values":' || ${rowJsonExpression('t', part.columns)}`;
      const entry = metadata.relinked[index];
      if (entry) entry.checksum = await copy(part, relinkedLinePrefix(table.label), expression);
    }
    lines.endList();
    lines.text(snapshotMarks.end);
    await lines.end();
    await file.write(Buffer.from(firstLine(metadata)), 0, null, 0);
    await file.sync();
    return metadata;
  } catch (error) {
    throw error instanceof AppError ? error : explainFileError(error, path);
  } finally {
    await file.close();
  }
}

async function copyRows(
  session: Session,
  lines: LineFile,
  {noted, rows}: SnapshotPart,
  prefix: string,
  expression: string,
  onRows: (rows: number) => void,
): Promise<{rows: number; checksum: string}> {
  const sum = createRowHashSum();
  const begin = Buffer.from(prefix);
  let isBegun = false;
  const reader = new BinaryRows({
    part: (chunk, start, end) => {
      if (!isBegun) lines.beginItem(begin);
      isBegun = true;
      lines.bytes(chunk, start, end);
      sum.append(chunk, start, end);
    },
    endRow: () => {
      lines.bytes(closingBrace, 0, 1);
      isBegun = false;
      sum.endRow();
    },
  });
  await copyOut(
    session,
    `COPY (SELECT ${expression} FROM ${relationSql(noted.table)} t JOIN ${noted.sql} s ON ${isNoted}) TO STDOUT (FORMAT binary)`,
    (chunk) => {
      reader.take(chunk);
      if (!lines.isFull) return;
      onRows(sum.rows);
      return lines.flush();
    },
  );
  if (!reader.isComplete || sum.rows !== rows) {
    throw new AppError(
      'CLEAN_FAILED',
      `${noted.table.label}: ${rows} rows were found and ${sum.rows} could be backed up, because another session changed them; nothing was changed.`,
      {hint: 'Run it again.'},
    );
  }
  return {rows: sum.rows, checksum: sum.digest()};
}

const closingBrace = Buffer.from('}');
const separator = Buffer.from(',\n');

function metadataOf({facts, deleted, relinked}: SnapshotContent): SnapshotMetadata {
  const entry = ({noted: {table}, rows}: SnapshotPart, columns: readonly Column[]) => ({
    table: table.label,
    schema: table.schema,
    name: table.name,
    rows,
    checksum: noChecksum,
    columns: columns.map(snapshotColumn),
    key: [...table.key],
  });
  return {
    schemaVersion: 1,
    kind: 'order-backup',
    ...facts,
    tables: deleted.map((part) => entry(part, part.noted.table.columns)),
    relinked: relinked.map((part) => entry(part, part.columns)),
    totalRows: deleted.reduce((sum, part) => sum + part.rows, 0),
  };
}

function firstLine(metadata: SnapshotMetadata): string {
  return `${snapshotMarks.beforeMetadata}${JSON.stringify(metadata)}${snapshotMarks.afterMetadata}`;
}

function snapshotColumn({name, type, generated, identity, asText}: Column): SnapshotColumn {
  return {name, type, generated, identity, asText};
}

function columnsOf(table: Table, names: readonly string[]): Column[] {
  return table.columns.filter((column) => names.includes(column.name));
}

const blockBytes = 1 << 18;

/** Collects bytes into blocks, which are used again once they are written. */
class LineFile {
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

  private async write(block: Buffer): Promise<void> {
    try {
      let at = 0;
      while (at < block.length) at += (await this.file.write(block, at)).bytesWritten;
    } catch (error) {
      throw explainFileError(error, this.path);
    }
  }
}
