/** Writes every row that a cleaning will change into a file, directly from the server. */
import {AppError} from '../../../base/errors.js';
import type {Session} from '../../../postgres/client.js';
import {type FoundOrders, keyHashSql, type RowDigest} from './count-plan.js';
import {type LeafTable, leafRowsSql, type RowList, type RowLists, rowListOf} from './collect-rows.js';
import type {Trigger} from './delete-effects.js';
import type {OrderGraph} from '../rules/order-graph.js';
import {
  type CopiedRows,
  mostRows,
  noChecksum,
  type RowSource,
  writeRowFile,
} from '../../../rows/file/write-row-file.js';
import {isListed} from '../rules/order-conditions.js';
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

/** Listed rows, with their number in the plan. */
export interface ListedPart {
  readonly listed: RowList;
  readonly rows: number;
}

/** The rows of a leaf table, whose number is known only after reading. */
export interface LeafPart {
  readonly leaf: LeafTable;
}

export interface RelinkedPart extends ListedPart {
  /** The columns whose old values are saved. */
  readonly columns: readonly Column[];
}

/** The rows to save. */
export interface SnapshotRows {
  readonly rowLists: RowLists;
  /** In insert order. */
  readonly deleted: readonly (ListedPart | LeafPart)[];
  readonly relinked: readonly RelinkedPart[];
}

export interface SnapshotContent extends SnapshotRows {
  /** Everything except the tables; called again when the rows of the leaf tables are known, with texts of the same length. */
  readonly facts: (
    leaves: ReadonlyMap<string, LeafRows>,
  ) => Omit<OrderBackupMetadata, 'schemaVersion' | 'kind' | 'tables' | 'relinked' | 'totalRows'>;
}

/** The rows that were read of a leaf table. */
export interface LeafRows extends RowDigest {
  /** Sum over `versionHashSql`; shows whether the same versions were deleted. */
  readonly versions: bigint;
}

/**
 * SQL: a number from the version of the row `t`. If the sums over two equally large sets are equal, they contain the same versions of the
 * same rows.
 */
export const versionHashSql =
  'pg_catalog.hashtextextended(t.ctid::pg_catalog.text, t.xmin::pg_catalog.text::pg_catalog.int8)';

/** The rows of a plan that the order backup saves. */
export function rowsToSave(
  graph: OrderGraph,
  rowLists: RowLists,
  found: Pick<FoundOrders, 'deleted' | 'relinked'>,
  triggers: readonly Pick<Trigger, 'table' | 'event'>[],
): SnapshotRows {
  return {
    rowLists,
    deleted: graph.tables.flatMap((table): SnapshotRows['deleted'] => {
      const leaf = rowLists.leaves.find((candidate) => candidate.table === table);
      if (leaf) return [{leaf}];
      const rows = found.deleted.get(table.label)?.rows ?? 0;
      return rows === 0 ? [] : [{listed: rowListOf(rowLists, table), rows}];
    }),
    relinked: relinkedParts(graph, rowLists, found.relinked, triggers),
  };
}

/**
 * The saved parts of rows that stay: the columns of their links, and if a trigger may change the row when it is unlinked, all columns that
 * can be restored.
 */
function relinkedParts(
  graph: OrderGraph,
  rowLists: RowLists,
  relinked: ReadonlyMap<string, RowDigest>,
  triggers: readonly Pick<Trigger, 'table' | 'event'>[],
): RelinkedPart[] {
  return rowLists.unlinked.flatMap((listed) => {
    const {table} = listed;
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
    return [{listed, rows, columns}];
  });
}

/**
 * Writes the file at `path`, which exists and is empty, and syncs it.
 * @param reader sees the rows in the state before the deletion
 * @param onRows receives the number of rows written so far
 * @returns the rows of the leaf tables, by table label
 * @throws CLEAN_FAILED if the server returns another number of rows than in the plan; DISK_FULL, FOLDER_NOT_WRITABLE
 */
export async function writeOrderSnapshot(
  reader: Session,
  path: string,
  content: SnapshotContent,
  onRows: (rows: number) => void,
): Promise<{metadata: OrderBackupMetadata; leaves: ReadonlyMap<string, LeafRows>}> {
  const deleted = content.deleted.map((part) => ({part, source: deletedSource(part, content.rowLists)}));
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
      const {table} = 'leaf' in part ? part.leaf : part.listed;
      const rows = 'leaf' in part ? (leaves.get(table.label)?.rows ?? 0) : part.rows;
      return rows === 0 ? [] : [entry(table, rows, checksumOf(source), table.columns)];
    });
    return {
      schemaVersion: 1,
      kind: 'order-backup',
      ...content.facts(leaves),
      tables,
      relinked: relinked.map(({part: {listed, rows, columns}, source}) =>
        entry(listed.table, rows, checksumOf(source), columns),
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

function deletedSource(part: ListedPart | LeafPart, rowLists: RowLists): RowSource {
  if ('leaf' in part) {
    const {table} = part.leaf;
    const columns = [rowJsonExpression('t', table.columns), versionHashSql, keyHashSql(table)];
    const query = `SELECT ${columns.join(', ')} FROM ${leafRowsSql(part.leaf, rowLists)}`;
    return {...sourceOf(table, undefined, query), prefix: rowLinePrefix(table.label), numbers: 2};
  }
  const {table} = part.listed;
  return {...listedSource(part, rowJsonExpression('t', table.columns)), prefix: rowLinePrefix(table.label)};
}

function relinkedSource(part: RelinkedPart): RowSource {
  const {table} = part.listed;
  const keys = rowJsonExpression('t', columnsOf(table, table.key));
  const expression = `'"key":' || ${keys} || ',"values":' || ${rowJsonExpression('t', part.columns)}`;
  return {...listedSource(part, expression), prefix: relinkedLinePrefix(table.label)};
}

function listedSource(
  {listed: {table, sql}, rows}: ListedPart,
  expression: string,
): Omit<RowSource, 'prefix'> {
  const query = `SELECT ${expression} FROM ${relationSql(table)} t JOIN ${sql} s ON ${isListed}`;
  return sourceOf(table, rows, query);
}

function sourceOf(table: Table, rows: number | undefined, query: string): Omit<RowSource, 'prefix'> {
  const otherwise = (found: number): AppError =>
    new AppError(
      'CLEAN_FAILED',
      `${table.label}: ${rows ?? 'some'} rows were found and ${found} could be backed up: another session changed them. Nothing was changed.`,
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
