/** Writes every row that a cleaning will change into a file, straight from the server. */
import {createRowHashSum} from '../../../fingerprint/row-hash.js';
import {createPrivateFile, explainFileError} from '../../../base/safe-file.js';
import {AppError} from '../../../base/errors.js';
import {BinaryRows} from '../../../postgres/binary-rows.js';
import type {Session} from '../../../postgres/client.js';
import {copyOut} from '../../../postgres/copy-out.js';
import {type FoundOrders, keyHashSql, type RowDigest} from './count-plan.js';
import {type Leaf, leafRowsSql, type NotedRows, type Notes, notesOf} from './collect-rows.js';
import type {Trigger} from './delete-effects.js';
import type {OrderGraph} from '../rules/order-graph.js';
import {LineFile} from '../../../rows/file/line-writer.js';
import {isNoted, relationSql} from '../rules/order-conditions.js';
import {
  relinkedLinePrefix,
  rowLinePrefix,
  type SnapshotColumn,
  snapshotMarks,
  type SnapshotMetadata,
} from '../../../rows/file/format.js';
import type {Column, Table} from '../../../rows/model/read-schema.js';
import {rowJsonExpression} from '../../../rows/model/row-json.js';

/** Noted rows, of which the plan counted so many. */
export interface NotedPart {
  readonly noted: NotedRows;
  readonly rows: number;
}

/** The rows of a table that are not noted; how many they are turns out when they are read. */
export interface LeafPart {
  readonly leaf: Leaf;
}

export interface RelinkedPart extends NotedPart {
  /** The columns whose old values are saved. */
  readonly columns: readonly Column[];
}

/** What is saved. */
export interface SnapshotRows {
  readonly notes: Notes;
  /** In insert order. */
  readonly deleted: readonly (NotedPart | LeafPart)[];
  readonly relinked: readonly RelinkedPart[];
}

export interface SnapshotContent extends SnapshotRows {
  /** Everything but the tables; called again when the rows of the leaves are known, with texts of the same length. */
  readonly facts: (
    leaves: ReadonlyMap<string, LeafRows>,
  ) => Omit<SnapshotMetadata, 'schemaVersion' | 'kind' | 'tables' | 'relinked' | 'totalRows'>;
}

/** What was read of a leaf. */
export interface LeafRows extends RowDigest {
  /** Sum over `versionHashSql`: tells whether the same versions were deleted. */
  readonly versions: bigint;
}

/**
 * SQL: a number from the version of the row `t`. Where the sums over two sets of equally many rows are equal, they are the
 * same versions of the same rows.
 */
export const versionHashSql =
  'pg_catalog.hashtextextended(t.ctid::pg_catalog.text, t.xmin::pg_catalog.text::pg_catalog.int8)';

/** The rows of a plan, as the order backup gets them. */
export function rowsToSave(
  graph: OrderGraph,
  notes: Notes,
  found: Pick<FoundOrders, 'deleted' | 'relinked'>,
  triggers: readonly Pick<Trigger, 'table' | 'event'>[],
): SnapshotRows {
  return {
    notes,
    deleted: graph.tables.flatMap((table): SnapshotRows['deleted'] => {
      const leaf = notes.leaves.find((candidate) => candidate.table === table);
      if (leaf) return [{leaf}];
      const rows = found.deleted.get(table.label)?.rows ?? 0;
      return rows === 0 ? [] : [{noted: notesOf(notes, table), rows}];
    }),
    relinked: relinkedParts(graph, notes, found.relinked, triggers),
  };
}

/**
 * What is saved of the rows that stay: the columns of their links, and where a trigger may change the row as it is
 * unlinked, all columns that can be put back.
 */
function relinkedParts(
  graph: OrderGraph,
  notes: Notes,
  relinked: ReadonlyMap<string, RowDigest>,
  triggers: readonly Pick<Trigger, 'table' | 'event'>[],
): RelinkedPart[] {
  return notes.unlinked.flatMap((noted) => {
    const {table} = noted;
    const rows = relinked.get(table.label)?.rows ?? 0;
    if (rows === 0) return [];
    const changed = graph.unlinks
      .filter((link) => link.child === table)
      .flatMap((link) => link.changedColumns);
    const hasTrigger = triggers.some(({table: label, event}) => label === table.label && event === 'update');
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
 * The metadata stand on the first line although checksums and the rows of the leaves are known last: as much place as they
 * can need is held by spaces, which JSON ignores.
 * @param reader sees the rows as they were before any was deleted
 * @param onRows is told the number of rows written so far
 * @returns what was read of the leaves, by table label
 * @throws CLEAN_FAILED when the server gives another number of rows than the plan counted; DISK_FULL, FOLDER_NOT_WRITABLE
 */
export async function writeOrderSnapshot(
  reader: Session,
  path: string,
  content: SnapshotContent,
  onRows: (rows: number) => void,
): Promise<{metadata: SnapshotMetadata; leaves: ReadonlyMap<string, LeafRows>}> {
  const file = await createPrivateFile(path);
  try {
    const lines = new LineFile(file, path);
    const leaves = new Map<string, LeafRows>();
    const most = new Map(
      leafLabels(content).map((label) => [label, {rows: mostRows, keys: '', versions: 0n}]),
    );
    const headLength = firstLine(metadataOf(content, most, new Map())).length;
    lines.text(' '.repeat(headLength));
    lines.text(snapshotMarks.beforeRows);
    const checksums = new Map<string, string>();
    let written = 0;
    const copy = async (source: CopySource): Promise<CopiedRows> => {
      const copied = await copyRows(reader, lines, source, (rows) => onRows(written + rows));
      written += copied.rows;
      checksums.set(source.prefix, copied.checksum);
      return copied;
    };
    for (const part of content.deleted) {
      if ('leaf' in part) {
        const {table} = part.leaf;
        const {rows, numbers} = await copy(leafSource(part.leaf, content.notes));
        const [versions = 0n, keys = 0n] = numbers;
        leaves.set(table.label, {rows, versions, keys: String(keys)});
      } else {
        const {table} = part.noted;
        await copy(notedSource(part, rowLinePrefix(table.label), rowJsonExpression('t', table.columns)));
      }
    }
    lines.endList();
    lines.text(snapshotMarks.beforeRelinked);
    for (const part of content.relinked) {
      const {table} = part.noted;
      const keys = rowJsonExpression('t', columnsOf(table, table.key));
      const expression = `'"key":' || ${keys} || ',"values":' || ${rowJsonExpression('t', part.columns)}`;
      await copy(notedSource(part, relinkedLinePrefix(table.label), expression));
    }
    lines.endList();
    lines.text(snapshotMarks.end);
    await lines.end();
    const metadata = metadataOf(content, leaves, checksums);
    await lines.overwriteStart(firstLine(metadata, headLength));
    await file.sync();
    return {metadata, leaves};
  } catch (error) {
    throw error instanceof AppError ? error : explainFileError(error, path);
  } finally {
    await file.close();
  }
}

interface CopySource {
  readonly table: Table;
  /** What its lines begin with. */
  readonly prefix: string;
  /** SQL query of the JSON text, and of `numbers` int8 columns after it. */
  readonly query: string;
  readonly numbers: number;
  /** How many rows the plan counted, where it did. */
  readonly rows: number | undefined;
}

function notedSource({noted: {table, sql}, rows}: NotedPart, prefix: string, expression: string): CopySource {
  const query = `SELECT ${expression} FROM ${relationSql(table)} t JOIN ${sql} s ON ${isNoted}`;
  return {table, prefix, query, numbers: 0, rows};
}

function leafSource(leaf: Leaf, notes: Notes): CopySource {
  const {table} = leaf;
  const columns = [rowJsonExpression('t', table.columns), versionHashSql, keyHashSql(table)];
  const query = `SELECT ${columns.join(', ')} FROM ${leafRowsSql(leaf, notes)}`;
  return {table, prefix: rowLinePrefix(table.label), query, numbers: 2, rows: undefined};
}

interface CopiedRows {
  readonly rows: number;
  readonly checksum: string;
  /** The sums of the numbers. */
  readonly numbers: readonly bigint[];
}

async function copyRows(
  reader: Session,
  lines: LineFile,
  {table, prefix, query, numbers, rows}: CopySource,
  onRows: (rows: number) => void,
): Promise<CopiedRows> {
  const sum = createRowHashSum();
  const begin = Buffer.from(prefix);
  let isBegun = false;
  const binary = new BinaryRows(
    {
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
    },
    numbers,
  );
  await copyOut(reader, `COPY (${query}) TO STDOUT (FORMAT binary)`, (chunk) => {
    binary.take(chunk);
    if (!lines.isFull) return;
    onRows(sum.rows);
    return lines.flush();
  });
  if (!binary.isComplete || sum.rows !== (rows ?? sum.rows)) {
    throw new AppError(
      'CLEAN_FAILED',
      `${table.label}: ${rows ?? 'some'} rows were found and ${sum.rows} could be backed up, because another session changed them; nothing was changed.`,
      {hint: 'Run it again.'},
    );
  }
  return {rows: sum.rows, checksum: sum.digest(), numbers: binary.sums};
}

const closingBrace = Buffer.from('}');
/** More than a table can have: its digits are as many as there can be. */
const mostRows = Number.MAX_SAFE_INTEGER;

function leafLabels({deleted}: SnapshotContent): string[] {
  return deleted.flatMap((part) => ('leaf' in part ? [part.leaf.table.label] : []));
}

/** @param checksums by the prefix of their lines; zeros where they are not known yet */
function metadataOf(
  content: SnapshotContent,
  leaves: ReadonlyMap<string, LeafRows>,
  checksums: ReadonlyMap<string, string>,
): SnapshotMetadata {
  const entry = (table: Table, rows: number, prefix: string, columns: readonly Column[]) => ({
    table: table.label,
    schema: table.schema,
    name: table.name,
    rows,
    checksum: checksums.get(prefix) ?? noChecksum,
    columns: columns.map(snapshotColumn),
    key: [...table.key],
  });
  const tables = content.deleted.flatMap((part) => {
    const {table} = 'leaf' in part ? part.leaf : part.noted;
    const rows = 'leaf' in part ? (leaves.get(table.label)?.rows ?? 0) : part.rows;
    return rows === 0 ? [] : [entry(table, rows, rowLinePrefix(table.label), table.columns)];
  });
  return {
    schemaVersion: 1,
    kind: 'order-backup',
    ...content.facts(leaves),
    tables,
    relinked: content.relinked.map(({noted: {table}, rows, columns}) =>
      entry(table, rows, relinkedLinePrefix(table.label), columns),
    ),
    totalRows: Math.min(
      mostRows,
      tables.reduce((sum, {rows}) => sum + rows, 0),
    ),
  };
}

/** The line with the metadata, filled up with spaces to `length` bytes. */
function firstLine(metadata: SnapshotMetadata, length = 0): Buffer {
  const {beforeMetadata, afterMetadata} = snapshotMarks;
  const text = Buffer.from(`${beforeMetadata}${JSON.stringify(metadata)}`);
  const filling = Math.max(0, length - text.length - afterMetadata.length);
  return Buffer.concat([text, Buffer.from(' '.repeat(filling) + afterMetadata)]);
}

function snapshotColumn({name, type, generated, identity, asText}: Column): SnapshotColumn {
  return {name, type, generated, identity, asText};
}

function columnsOf(table: Table, names: readonly string[]): Column[] {
  return table.columns.filter((column) => names.includes(column.name));
}
