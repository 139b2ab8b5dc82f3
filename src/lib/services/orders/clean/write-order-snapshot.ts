/** Writes every row that a cleaning will change into a file, straight from the server. */
import {AppError} from '../../../base/errors.js';
import type {Session} from '../../../postgres/client.js';
import {type FoundOrders, keyHashSql, type RowDigest} from './count-plan.js';
import {type Leaf, leafRowsSql, type NotedRows, type Notes, notesOf} from './collect-rows.js';
import type {Trigger} from './delete-effects.js';
import type {OrderGraph} from '../rules/order-graph.js';
import {
  type CopiedRows,
  mostRows,
  noChecksum,
  type RowSource,
  writeRowFile,
} from '../../../rows/file/write-row-file.js';
import {isNoted} from '../rules/order-conditions.js';
import {relationSql} from '../rules/relation-sql.js';
import {
  type OrderBackupMetadata,
  relinkedLinePrefix,
  rowLinePrefix,
  type SnapshotColumn,
  type SnapshotTable,
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
  ) => Omit<OrderBackupMetadata, 'schemaVersion' | 'kind' | 'tables' | 'relinked' | 'totalRows'>;
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

/**
 * Writes the file at `path`, which must not exist, and syncs it.
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
): Promise<{metadata: OrderBackupMetadata; leaves: ReadonlyMap<string, LeafRows>}> {
  const deleted = content.deleted.map((part) => ({part, source: deletedSource(part, content.notes)}));
  const relinked = content.relinked.map((part) => ({part, source: relinkedSource(part)}));
  let leaves: ReadonlyMap<string, LeafRows> = new Map();
  const metadata = (copied: (source: RowSource) => CopiedRows | undefined): OrderBackupMetadata => {
    leaves = new Map(
      deleted.flatMap(({part, source}) => {
        if (!('leaf' in part)) return [];
        const {rows = mostRows, numbers = []} = copied(source) ?? {};
        const [versions = 0n, keys = 0n] = numbers;
        return [[part.leaf.table.label, {rows, versions, keys: numbers.length === 0 ? '' : String(keys)}]];
      }),
    );
    const checksumOf = (source: RowSource): string => copied(source)?.checksum ?? noChecksum;
    const tables = deleted.flatMap(({part, source}) => {
      const {table} = 'leaf' in part ? part.leaf : part.noted;
      const rows = 'leaf' in part ? (leaves.get(table.label)?.rows ?? 0) : part.rows;
      return rows === 0 ? [] : [entry(table, rows, checksumOf(source), table.columns)];
    });
    return {
      schemaVersion: 1,
      kind: 'order-backup',
      ...content.facts(leaves),
      tables,
      relinked: relinked.map(({part: {noted, rows, columns}, source}) =>
        entry(noted.table, rows, checksumOf(source), columns),
      ),
      totalRows: Math.min(
        mostRows,
        tables.reduce((sum, {rows}) => sum + rows, 0),
      ),
    };
  };
  const written = await writeRowFile(
    reader,
    path,
    {rows: deleted.map(({source}) => source), links: relinked.map(({source}) => source), metadata},
    onRows,
  );
  return {metadata: written, leaves};
}

function deletedSource(part: NotedPart | LeafPart, notes: Notes): RowSource {
  if ('leaf' in part) {
    const {table} = part.leaf;
    const columns = [rowJsonExpression('t', table.columns), versionHashSql, keyHashSql(table)];
    const query = `SELECT ${columns.join(', ')} FROM ${leafRowsSql(part.leaf, notes)}`;
    return {...sourceOf(table, undefined, query), prefix: rowLinePrefix(table.label), numbers: 2};
  }
  const {table} = part.noted;
  return {...notedSource(part, rowJsonExpression('t', table.columns)), prefix: rowLinePrefix(table.label)};
}

function relinkedSource(part: RelinkedPart): RowSource {
  const {table} = part.noted;
  const keys = rowJsonExpression('t', columnsOf(table, table.key));
  const expression = `'"key":' || ${keys} || ',"values":' || ${rowJsonExpression('t', part.columns)}`;
  return {...notedSource(part, expression), prefix: relinkedLinePrefix(table.label)};
}

function notedSource({noted: {table, sql}, rows}: NotedPart, expression: string): Omit<RowSource, 'prefix'> {
  const query = `SELECT ${expression} FROM ${relationSql(table)} t JOIN ${sql} s ON ${isNoted}`;
  return sourceOf(table, rows, query);
}

function sourceOf(table: Table, rows: number | undefined, query: string): Omit<RowSource, 'prefix'> {
  const otherwise = (found: number): AppError =>
    new AppError(
      'CLEAN_FAILED',
      `${table.label}: ${rows ?? 'some'} rows were found and ${found} could be backed up, because another session changed them; nothing was changed.`,
      {hint: 'Run it again.'},
    );
  return {query, numbers: 0, rows, otherwise};
}

function entry(table: Table, rows: number, checksum: string, columns: readonly Column[]): SnapshotTable {
  return {
    table: table.label,
    schema: table.schema,
    name: table.name,
    rows,
    checksum,
    columns: columns.map(snapshotColumn),
    key: [...table.key],
  };
}

function snapshotColumn({name, type, generated, identity, asText}: Column): SnapshotColumn {
  return {name, type, generated, identity, asText};
}

function columnsOf(table: Table, names: readonly string[]): Column[] {
  return table.columns.filter((column) => names.includes(column.name));
}
