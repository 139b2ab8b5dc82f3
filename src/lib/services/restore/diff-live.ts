/** Compares a backup with a live database or another backup, table by table: rows and columns that exist on one side only. */
import {mkdir} from 'node:fs/promises';
import {join} from 'node:path';
import {qualifiedName} from '../../base/qualified-name.js';
import {takeRows} from '../../postgres/take-rows.js';
import {decodeFields, pickFields, RowShortener, shortKey} from '../../dump/sql/copy-rows.js';
import {type DumpedTable, largeObjectTable} from '../../fingerprint/table-contents.js';
import {dumpedRows, fingerprintDatabase, pinAsDump} from '../../fingerprint/fingerprint.js';
import {
  createRowBuckets,
  type RowBuckets,
  type RowDifferences,
  type Side,
} from '../../fingerprint/row-buckets.js';
import {type Session, withSession, withTransaction} from '../../postgres/client.js';
import type {Connection} from '../../postgres/connect/connection.js';
import {copyOut} from '../../postgres/copy-out.js';
import type {Tool} from '../../postgres/tools/find-tools.js';
import {inspectColumns, type TableColumns} from '../../postgres/inspect/inspect-columns.js';
import {readDumpedParts} from '../../postgres/inspect/inspect-rows.js';
import {quoteQualified} from '../../postgres/quote.js';
import {readTableRows} from './read-rows.js';
import type {VerifiedSource} from './source.js';
import {withTemporaryFolder} from '../../base/temporary-folder.js';

/** Values of the key columns, in the order of the primary key; the whole row without a primary key. */
export type RowKey = readonly (string | null)[];

export interface TableLoss extends RowDifferences {
  /** "schema.name" */
  readonly table: string;
  /** Columns of the keys below; empty if whole rows were compared. */
  readonly key: readonly string[];
  /** Newest value in any column with date and time; null if there is none. */
  readonly newestLive: string | null;
  readonly newestBackup: string | null;
  /** With details: the keys behind the counts, at most 10,000 of each kind. */
  readonly keys?: Readonly<Record<keyof RowDifferences, readonly RowKey[]>>;
}

export interface LiveComparison {
  /** Tables that differ; equal ones are left out. */
  readonly wouldLose: readonly TableLoss[];
  /** Tables and columns on one side only, a line each. */
  readonly schemaDifferences: readonly string[];
  /** Names in `_prisma_migrations` on one side only. */
  readonly migrations: {readonly onlyLive: readonly string[]; readonly onlyBackup: readonly string[]};
}

interface RowSources {
  readonly source: Pick<VerifiedSource, 'dump' | 'encoding' | 'tables'>;
  readonly pgRestore: Tool | null;
  readonly target: Connection;
  readonly signal: AbortSignal;
}

export interface ComparisonInput extends RowSources {
  /** The tables that the restore creates or fills, with their rows afterwards. */
  readonly tables: readonly DumpedTable[];
  /** Further tables that the restore creates, without rows: "schema.name". */
  readonly withoutRows?: readonly string[];
  /** Whether the restore does not touch a table of the target, so that it loses no rows. */
  readonly isLeftAlone: (table: Named) => boolean;
  /** Whether the restore creates tables without their rows. */
  readonly isWithoutRows: boolean;
  readonly hasDetails: boolean;
}

/** Maximum number of listed keys of one kind in a table. */
const mostKeys = 10_000;

/**
 * Tables with equal fingerprints need one scan. The rows of the others are read again from both sides and distributed over
 * temporary files by key (about 20 bytes and the key for each row), so memory stays bounded and the server writes nothing.
 */
export async function compareWithLive(input: ComparisonInput): Promise<LiveComparison> {
  const {tables, isWithoutRows, target, signal} = input;
  const chosen = new Set(tables.map(keyOf));
  const isChosen = (table: Named): boolean => chosen.has(keyOf(table));
  const found = await withSession(target, inspectColumns, {signal});
  const live = found.filter((table) => !input.isLeftAlone(table));
  const {losses, migrations} = isWithoutRows
    ? {losses: await countRows(target, live.filter(isChosen), signal), migrations: noMigrations}
    : await compareRows(input, await findUnequal(target, pairTables(live, tables), signal));
  const present = new Set(live.map(keyOf));
  const missing = tables.filter((table) => !present.has(keyOf(table)));
  const foreign = live.filter((table) => !isChosen(table));
  return {
    wouldLose: [
      ...losses,
      ...missing
        .filter((table) => !isSame(table, largeObjectTable) && table.rows > 0)
        .map((table) => ({...emptyLoss(table), onlyBackup: table.rows})),
      ...(await countRows(target, foreign, signal)),
      ...(isWithoutRows ? [] : await compareLargeObjects(input)),
    ].sort((a, b) => (a.table < b.table ? -1 : 1)),
    schemaDifferences: describeSchema(
      live.filter((table) => input.withoutRows?.includes(qualifiedName(table)) !== true),
      tables,
    ),
    migrations,
  };
}

/** Counts the backup's rows that are missing in the target, compared by key, for each table ("schema.name"); tables of extensions are not counted. */
export async function countMissingRows(
  sources: RowSources,
  tables: readonly DumpedTable[],
): Promise<ReadonlyMap<string, number>> {
  const {target, signal} = sources;
  const live = await withSession(target, inspectColumns, {signal});
  const pairs = await findUnequal(target, pairTables(live, tables), signal);
  const {losses} = await compareRows({...sources, hasDetails: false}, pairs);
  const counts = new Map(pairTables(live, tables).map(({dumped}) => [qualifiedName(dumped), 0]));
  for (const {table, onlyBackup} of losses) counts.set(table, onlyBackup);
  return counts;
}

/** One of two compared backups, with the keys of its tables by "schema.name". */
export interface ComparedBackup extends Omit<RowSources, 'target'> {
  readonly keys: ReadonlyMap<string, readonly string[]>;
}

/**
 * The first backup counts as the live side. Tables with equal fingerprints are not read again.
 * @param tables of the second backup
 */
export async function compareBackups(
  first: ComparedBackup,
  second: ComparedBackup,
  tables: readonly DumpedTable[],
  hasDetails: boolean,
): Promise<TableLoss[]> {
  const side = first.source.tables.map((table) => ({
    ...table,
    key: first.keys.get(qualifiedName(table)) ?? [],
    times: [],
  }));
  const unequal = pairTables(side, tables).filter(({live, dumped}) => {
    const other = first.source.tables.find((table) => isSame(table, live));
    const isEqual =
      dumped.fingerprint !== null &&
      dumped.fingerprint === other?.fingerprint &&
      dumped.rows === other.rows &&
      dumped.columns.join('\n') === other.columns.join('\n');
    return !isEqual;
  });
  if (unequal.length === 0) return [];
  return withTemporaryFolder('compare', async (folder) => {
    const compared: TableComparison[] = [];
    for (const [index, pair] of unequal.entries()) {
      const own = join(folder, String(index));
      await mkdir(own, {mode: 0o700});
      const buckets = createRowBuckets(own, pair.dumped.rows);
      compared.push(new TableComparison(pair, buckets, second.source.encoding, pair.live.columns));
    }
    await readBackupRows(first, compared, 'live');
    for (const {buckets} of compared) await buckets.flushAll();
    await readBackupRows(second, compared);
    const losses: TableLoss[] = [];
    for (const table of compared) losses.push(await table.result(hasDetails));
    return losses.filter(({onlyLive, onlyBackup, changed}) => onlyLive + onlyBackup + changed > 0);
  });
}

const noMigrations = {onlyLive: [], onlyBackup: []};

/** Compares large objects as a whole: if any differs, all live ones count as lost and all of the backup as restored. */
async function compareLargeObjects({target, tables, signal}: ComparisonInput): Promise<TableLoss[]> {
  const dumped = tables.find((table) => isSame(table, largeObjectTable));
  const [row] = await withSession(
    target,
    (session) => session.query('SELECT count(*) AS rows FROM pg_catalog.pg_largeobject_metadata'),
    {signal},
  );
  const rows = Number(row?.['rows'] ?? 0);
  if (rows === (dumped?.rows ?? 0)) {
    const [found] = dumped ? await fingerprintDatabase(target, [dumped], {signal}) : [];
    if (found?.fingerprint === dumped?.fingerprint) return [];
  }
  return [{...emptyLoss(largeObjectTable), onlyLive: rows, onlyBackup: dumped?.rows ?? 0}];
}

interface Pair {
  readonly live: TableColumns;
  readonly dumped: DumpedTable;
  /** Columns on both sides, in the dump's order. */
  readonly columns: readonly string[];
}

interface Named {
  readonly schema: string;
  readonly name: string;
}

const keyOf = ({schema, name}: Named): string => JSON.stringify([schema, name]);
const isSame = (a: Named, b: Named): boolean => a.schema === b.schema && a.name === b.name;

function emptyLoss(table: Named): TableLoss {
  return {
    table: qualifiedName(table),
    onlyLive: 0,
    onlyBackup: 0,
    changed: 0,
    key: [],
    newestLive: null,
    newestBackup: null,
  };
}

function pairTables(live: readonly TableColumns[], dumped: readonly DumpedTable[]): Pair[] {
  const byName = new Map(live.map((table) => [keyOf(table), table]));
  return dumped.flatMap((table) => {
    const found = byName.get(keyOf(table));
    if (!found) return [];
    return [
      {live: found, dumped: table, columns: table.columns.filter((column) => found.columns.includes(column))},
    ];
  });
}

/** Pairs whose rows may differ: the fingerprints differ, or a column exists on one side only. */
async function findUnequal(target: Connection, pairs: readonly Pair[], signal: AbortSignal): Promise<Pair[]> {
  const comparable = pairs.filter(
    ({dumped, columns, live}) =>
      dumped.fingerprint !== null &&
      columns.length === dumped.columns.length &&
      columns.length === live.columns.length,
  );
  const found = await fingerprintDatabase(
    target,
    comparable.map(({dumped}) => dumped),
    {signal},
  );
  const equal = new Set(
    comparable.filter(({dumped}, index) => {
      const {rows, fingerprint} = found[index] ?? {};
      return fingerprint === dumped.fingerprint && rows === dumped.rows; // empty lines add nothing to a fingerprint
    }),
  );
  return pairs.filter((pair) => !equal.has(pair));
}

/** Collects both sides of one table. */
class TableComparison {
  readonly newest: Record<Side, string | null> = {live: null, backup: null};
  readonly migrations: Record<Side, Set<string>> = {live: new Set(), backup: new Set()};
  private readonly key: readonly string[];
  private readonly positions: Readonly<Record<Side, SidePositions>>;

  constructor(
    readonly pair: Pair,
    readonly buckets: RowBuckets,
    private readonly encoding: string,
    // Only the common columns of a live table are read.
    liveColumns: readonly string[] = pair.columns,
  ) {
    const {live, dumped, columns} = pair;
    this.key = live.key.length > 0 && live.key.every((column) => columns.includes(column)) ? live.key : [];
    this.positions = {live: this.positionsIn(liveColumns), backup: this.positionsIn(dumped.columns)};
  }

  private positionsIn(present: readonly string[]): SidePositions {
    const {columns, live} = this.pair;
    const isAll = columns.length === present.length;
    return {
      row: isAll ? 'all' : columns.map((column) => present.indexOf(column)),
      key: this.key.map((column) => present.indexOf(column)),
      times: live.times.map((column) => present.indexOf(column)).filter((position) => position >= 0),
      migration: live.name === '_prisma_migrations' ? present.indexOf('migration_name') : -1,
    };
  }

  add(side: Side, line: Buffer): void {
    const positions = this.positions[side];
    for (const position of positions.times) {
      const value = pickFields(line, [position]).toString('latin1');
      // Times with four-digit years in one time zone sort as text; infinity and years before Christ are ignored.
      if (/^\d{4}-[^B]*$/.test(value) && value > (this.newest[side] ?? '')) this.newest[side] = value;
    }
    if (positions.migration >= 0) {
      const [name] = decodeFields(pickFields(line, [positions.migration]), this.encoding);
      if (name !== null && name !== undefined) this.migrations[side].add(name);
    }
    const row = pickFields(line, positions.row);
    const key = positions.key.length === 0 ? row : pickFields(line, positions.key);
    this.buckets.add(side, shortKey(key), row);
  }

  async result(hasDetails: boolean): Promise<TableLoss> {
    const keys: Record<keyof RowDifferences, RowKey[]> = {onlyLive: [], onlyBackup: [], changed: []};
    const counts = await this.buckets.compare((kind, key) => {
      if (hasDetails && keys[kind].length < mostKeys) keys[kind].push(decodeFields(key, this.encoding));
    });
    return {
      table: qualifiedName(this.pair.live),
      ...counts,
      key: this.key,
      newestLive: this.newest.live,
      newestBackup: this.newest.backup,
      ...(hasDetails ? {keys} : {}),
    };
  }
}

interface SidePositions {
  readonly row: readonly number[] | 'all';
  readonly key: readonly number[];
  readonly times: readonly number[];
  readonly migration: number;
}

async function compareRows(
  input: RowSources & Pick<ComparisonInput, 'hasDetails'>,
  pairs: readonly Pair[],
): Promise<{losses: TableLoss[]; migrations: LiveComparison['migrations']}> {
  const onlyLive: string[] = [];
  const onlyBackup: string[] = [];
  if (pairs.length === 0) return {losses: [], migrations: {onlyLive, onlyBackup}};
  return withTemporaryFolder('compare', async (folder) => {
    const tables: TableComparison[] = [];
    for (const [index, pair] of pairs.entries()) {
      const own = join(folder, String(index));
      await mkdir(own, {mode: 0o700});
      const buckets = createRowBuckets(own, pair.dumped.rows);
      tables.push(new TableComparison(pair, buckets, input.source.encoding));
    }
    await readBackupRows(input, tables);
    const losses: TableLoss[] = [];
    await withSession(
      input.target,
      (session) =>
        withTransaction(session, 'ISOLATION LEVEL REPEATABLE READ, READ ONLY', async () => {
          const {copyOf} = await pinAsDump(session);
          const parts = await readDumpedParts(session);
          for (const table of tables) {
            const {live, columns} = table.pair;
            await readLiveRows(session, table, copyOf(dumpedRows({...live, columns}, parts)));
            losses.push(await table.result(input.hasDetails));
            onlyLive.push(...[...table.migrations.live].filter((name) => !table.migrations.backup.has(name)));
            onlyBackup.push(
              ...[...table.migrations.backup].filter((name) => !table.migrations.live.has(name)),
            );
          }
        }),
      {signal: input.signal},
    );
    const differing = losses.filter((loss) => loss.onlyLive + loss.onlyBackup + loss.changed > 0);
    return {losses: differing, migrations: {onlyLive: onlyLive.sort(), onlyBackup: onlyBackup.sort()}};
  });
}

async function readBackupRows(
  input: Omit<RowSources, 'target'>,
  tables: readonly TableComparison[],
  side: Side = 'backup',
): Promise<void> {
  const byName = new Map(tables.map((table) => [keyOf(table.pair.dumped), table]));
  let current: TableComparison | undefined;
  let previous: TableComparison[] = [];
  const take = (table: TableComparison, row: Buffer): void => {
    if (current && current !== table) previous.push(current);
    current = table;
    table.add(side, row);
  };
  await readTableRows({
    ...input,
    tables: tables.map(({pair}) => pair.dumped),
    takerOf: (statement) => {
      const table = byName.get(keyOf(statement));
      return table && new RowShortener((row) => take(table, row));
    },
    drain: async () => {
      for (const table of previous) await table.buckets.flushAll();
      previous = [];
      await current?.buckets.flush();
    },
  });
}

async function readLiveRows(session: Session, table: TableComparison, statement: string): Promise<void> {
  const rows = new RowShortener((row) => table.add('live', row));
  await copyOut(session, statement, (chunk) => {
    takeRows(chunk, rows);
    return table.buckets.flush();
  });
}

/** Counts all rows of tables for which the backup restores none. */
async function countRows(
  target: Connection,
  tables: readonly TableColumns[],
  signal: AbortSignal,
): Promise<TableLoss[]> {
  return withSession(
    target,
    async (session) => {
      const losses: TableLoss[] = [];
      const parts = await readDumpedParts(session);
      for (const table of tables) {
        const part = parts.get(qualifiedName(table)) ?? '';
        const [row] = await session.query(
          `SELECT count(*) AS rows FROM ONLY ${quoteQualified(table.schema, table.name)} ${part}`,
        );
        const rows = Number(row?.['rows'] ?? 0);
        if (rows > 0) losses.push({...emptyLoss(table), onlyLive: rows});
      }
      return losses;
    },
    {signal},
  );
}

function describeSchema(live: readonly TableColumns[], dumped: readonly DumpedTable[]): string[] {
  const lines: string[] = [];
  const byName = new Map(dumped.map((table) => [keyOf(table), table]));
  const present = new Set(live.map(keyOf));
  for (const table of live) {
    const other = byName.get(keyOf(table));
    if (!other) {
      lines.push(`table ${qualifiedName(table)}: only live`);
      continue;
    }
    for (const column of table.columns.filter((name) => !other.columns.includes(name))) {
      lines.push(`column ${qualifiedName(table)}.${column}: only live`);
    }
    for (const column of other.columns.filter((name) => !table.columns.includes(name))) {
      lines.push(`column ${qualifiedName(table)}.${column}: only in the backup`);
    }
  }
  for (const table of dumped) {
    if (!isSame(table, largeObjectTable) && !present.has(keyOf(table))) {
      lines.push(`table ${qualifiedName(table)}: only in the backup`);
    }
  }
  return lines;
}
