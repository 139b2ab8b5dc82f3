/** Deletes the rows, children first, and checks that no other rows were deleted. */
import {z} from 'zod';
import {AppError} from '../../../base/errors.js';
import {countOf} from '../../../base/format.js';
import type {Session} from '../../../postgres/client.js';
import {parseRows, pgBoolean, pgCount} from '../../../postgres/inspect/inspect-database.js';
import {withOwnSearchPath} from '../../../postgres/search-path.js';
import type {FoundOrders} from './count-plan.js';
import {joinSql, type LeafTable, type RowList, type RowLists, rowListOf} from './collect-rows.js';
import type {OrderGraph} from '../rules/order-graph.js';
import {isListed} from '../rules/order-conditions.js';
import {relationSql} from '../rules/relation-sql.js';
import type {Table} from '../../../rows/model/read-schema.js';
import {versionHashSql} from './write-order-snapshot.js';

export interface DeletedRows {
  /** The deleted rows of the leaf tables, by table label. */
  readonly leaves: ReadonlyMap<string, DeletedLeaf>;
  /** Tables that triggers changed beyond the expected changes, and how. */
  readonly sideEffects: readonly string[];
}

export interface DeletedLeaf {
  readonly rows: number;
  /** Sum over `versionHashSql`. */
  readonly versions: bigint;
}

export interface Deletion {
  readonly graph: OrderGraph;
  readonly rowLists: RowLists;
  /** Number of parents in one statement, which deletes them or their children. */
  readonly batchSize: number;
  readonly found: Pick<FoundOrders, 'deleted' | 'relinked'>;
  /** Whether triggers or rules run when rows are deleted or unlinked. */
  readonly runsCode: boolean;
  readonly onRows: (rows: number) => void;
  /** Checked between two statements. */
  readonly signal: AbortSignal;
}

/**
 * Deletes in the open transaction. One statement deletes tables that refer to themselves or to one another, because constraints are
 * checked at the end of each statement.
 * @throws CLEAN_FAILED if a table lost another number of rows than were listed, or than its own statement deleted
 */
export async function deleteRows(session: Session, deletion: Deletion): Promise<DeletedRows> {
  const {graph, rowLists, found} = deletion;
  // Rows are found by ctid, and referring rows by their index. Misleading statistics must not make the server read a whole table for each
  // batch, or for each row in constraint checks.
  for (const method of ['hashjoin', 'mergejoin', 'seqscan'])
    await session.query(`SET LOCAL enable_${method} = off`);
  const before = await changesByTable(session);
  const tables = deletion.runsCode ? await permanentTables(session) : new Map<string, string>();
  const rowsOf = new Map<string, number>();
  let total = 0;
  const count = (label: string, rows: number): void => {
    rowsOf.set(label, (rowsOf.get(label) ?? 0) + rows);
    total += rows;
    deletion.onRows(total);
  };
  const batches = await batchesByTable(session, deletion);
  const leaves = new Map<string, DeletedLeaf>();
  for (const leaf of rowLists.leaves) {
    const {label} = leaf.table;
    let versions = 0n;
    for (const batch of batches(leaf.link.parent)) {
      const deleted = await deleteLeafRows(session, leaf, rowLists, batch);
      versions += deleted.versions;
      count(label, deleted.rows);
    }
    leaves.set(label, {rows: rowsOf.get(label) ?? 0, versions});
  }
  for (const group of graph.deleteGroups) {
    const parts = rowLists.deleted.filter(({table}) => group.includes(table));
    const [first] = parts;
    if (!first) continue;
    const isTied =
      parts.length > 1 ||
      [...graph.links, ...graph.unlinks].some(
        (link) => link.child === link.parent && group.includes(link.child),
      );
    if (isTied) await deleteTogether(session, parts, count);
    else
      for (const batch of batches(first.table))
        count(
          first.table.label,
          await withOwnSearchPath(session, () =>
            session.execute(`${deleteSql(first)} AND ${within('s', batch)}`),
          ),
        );
    for (const {label} of group) {
      const wanted = found.deleted.get(label)?.rows ?? 0;
      const got = rowsOf.get(label) ?? 0;
      if (got !== wanted) throw differs(label, wanted, got);
    }
  }
  // Deferred constraints and triggers run now, while their errors can still be reported.
  await withOwnSearchPath(session, () => session.query('SET CONSTRAINTS ALL IMMEDIATE'));
  const expected = (label: string): Expected => ({
    deleted: rowsOf.get(label) ?? 0,
    // Each link that a row loses is a separate update.
    updatedAtMost:
      (found.relinked.get(label)?.rows ?? 0) *
      graph.unlinks.filter(({child}) => child.label === label).length,
  });
  await refuseSeizedTables(session, tables);
  return {leaves, sideEffects: compareChanges(before, await changesByTable(session), expected)};
}

/** A range of sequence numbers in a row list, without its end. */
type Batch = readonly [number, number];

const within = (alias: string, [from, to]: Batch): string =>
  `${alias}.seq OPERATOR(pg_catalog.>=) ${from} AND ${alias}.seq OPERATOR(pg_catalog.<) ${to}`;

const rangeRow = z.object({first: pgCount.nullable(), last: pgCount.nullable()});

async function batchesByTable(
  session: Session,
  {rowLists, batchSize, signal}: Deletion,
): Promise<(table: Table) => Iterable<Batch>> {
  const ranges = new Map<Table, z.infer<typeof rangeRow>>();
  for (const {table, sql} of rowLists.deleted) {
    const rows = await session.query(`SELECT min(seq) AS first, max(seq) AS last FROM ${sql}`);
    const [range] = parseRows(rangeRow, rows);
    if (range?.first == null) continue;
    ranges.set(table, range);
    await session.query(`CREATE INDEX ON ${sql} (seq)`);
    await session.query(`ANALYZE ${sql}`);
  }
  return function* (table) {
    const {first, last} = ranges.get(table) ?? {first: null, last: null};
    if (first === null || last === null) return;
    for (let from = first; from <= last; from += batchSize) {
      signal.throwIfAborted();
      yield [from, from + batchSize];
    }
  };
}

const leafRow = z.object({rows: pgCount, versions: z.string().transform(BigInt)});

async function deleteLeafRows(
  session: Session,
  leaf: LeafTable,
  rowLists: RowLists,
  batch: Batch,
): Promise<DeletedLeaf> {
  const [row] = parseRows(
    leafRow,
    await withOwnSearchPath(session, () =>
      session.query(`
      WITH d AS (
        DELETE FROM ${relationSql(leaf.table)} t USING ${rowListOf(rowLists, leaf.link.parent).sql} p
         WHERE ${joinSql(leaf.link, rowLists)} AND ${within('p', batch)} RETURNING ${versionHashSql} AS version)
      SELECT pg_catalog.count(*) AS rows, coalesce(pg_catalog.sum(version), 0) AS versions FROM d`),
    ),
  );
  return row ?? {rows: 0, versions: 0n};
}

async function deleteTogether(
  session: Session,
  parts: readonly RowList[],
  count: (label: string, rows: number) => void,
): Promise<void> {
  const statements = parts.map((listed, index) => `d${index} AS (${deleteSql(listed)} RETURNING 1)`);
  const sums = parts.map((_noted, index) => `(SELECT pg_catalog.count(*) FROM d${index}) AS c${index}`);
  const [row] = await withOwnSearchPath(session, () =>
    session.query(`WITH ${statements.join(', ')} SELECT ${sums.join(', ')}`),
  );
  for (const [index, {table}] of parts.entries()) count(table.label, Number(row?.[`c${index}`] ?? 0));
}

function deleteSql({table, sql}: RowList): string {
  return `DELETE FROM ${relationSql(table)} t USING ${sql} s WHERE ${isListed}`;
}

const changeRow = z.object({label: z.string(), deleted: pgCount, updated: pgCount, inserted: pgCount});
type Change = z.infer<typeof changeRow>;

/**
 * The rows that this transaction changed so far, including cascades and triggers (manual, 28.2.2), with partitions under their topmost
 * table, and large objects; undefined if the server does not count.
 */
async function changesByTable(session: Session): Promise<Map<string, Change> | undefined> {
  const [setting] = parseRows(
    z.object({counts: pgBoolean}),
    await session.query(`SELECT pg_catalog.current_setting('track_counts')::boolean AS counts`),
  );
  if (!setting?.counts) return undefined;
  const rows = parseRows(
    changeRow,
    await session.query(`
      SELECT n.nspname || '.' || top.relname AS label, sum(st.n_tup_del)::text AS deleted,
             sum(st.n_tup_upd)::text AS updated, sum(st.n_tup_ins)::text AS inserted
        FROM pg_catalog.pg_stat_xact_all_tables st
        JOIN pg_catalog.pg_class c ON c.oid = st.relid AND c.relpersistence <> 't'
        JOIN pg_catalog.pg_class top ON top.oid = CASE WHEN c.relispartition THEN pg_catalog.pg_partition_root(c.oid)::oid ELSE c.oid END
        JOIN pg_catalog.pg_namespace n ON n.oid = top.relnamespace
       WHERE st.n_tup_del + st.n_tup_upd + st.n_tup_ins > 0
         AND (st.schemaname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') OR st.relname = 'pg_largeobject_metadata')
       GROUP BY 1`),
  );
  return new Map(rows.map((row) => [row.label, row]));
}

/** Labels of all permanent tables, by oid. */
async function permanentTables(session: Session): Promise<Map<string, string>> {
  const rows = await session.query(
    `SELECT c.oid::text AS oid, n.nspname || '.' || c.relname AS label
       FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND c.oid >= 16384`,
  );
  return new Map(rows.map(({oid, label}) => [oid ?? '', label ?? '']));
}

/**
 * TRUNCATE, DROP and ALTER TABLE lose rows that nothing counts, but each keeps an ACCESS EXCLUSIVE lock until the transaction ends.
 * A cleaning itself takes no such lock.
 * @throws CLEAN_FAILED with the tables on which a trigger or rule did this
 */
async function refuseSeizedTables(session: Session, tables: ReadonlyMap<string, string>): Promise<void> {
  if (tables.size === 0) return;
  const rows = await session.query(
    `SELECT DISTINCT relation::text AS oid FROM pg_catalog.pg_locks
      WHERE pid = pg_catalog.pg_backend_pid() AND locktype = 'relation' AND mode = 'AccessExclusiveLock' AND granted
        AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())`,
  );
  const seized = rows.flatMap(({oid}) => tables.get(oid ?? '') ?? []);
  if (seized.length === 0) return;
  throw new AppError(
    'CLEAN_FAILED',
    `A trigger or rule truncated, dropped or altered ${seized.join(', ')}, whose rows are not in the backup. Everything was rolled back and nothing was changed.`,
    {
      hint: 'Disable the trigger during the cleaning (ALTER TABLE ... DISABLE TRIGGER), if that is acceptable.',
    },
  );
}

/** The changes of the deletion itself to a table. */
interface Expected {
  readonly deleted: number;
  readonly updatedAtMost: number;
}

/** @throws CLEAN_FAILED for unexpectedly deleted rows */
function compareChanges(
  before: Map<string, Change> | undefined,
  after: Map<string, Change> | undefined,
  expected: (label: string) => Expected,
): string[] {
  const effects: string[] = [];
  for (const [label, change] of after ?? []) {
    const earlier = before?.get(label);
    const deleted = change.deleted - (earlier?.deleted ?? 0);
    const wanted = expected(label);
    if (deleted !== wanted.deleted) throw differs(label, wanted.deleted, deleted);
    const updated = change.updated - (earlier?.updated ?? 0);
    const inserted = change.inserted - (earlier?.inserted ?? 0);
    if (updated > wanted.updatedAtMost)
      effects.push(`${countOf(updated - wanted.updatedAtMost, 'row')} of ${label} updated`);
    if (inserted > 0) effects.push(`${countOf(inserted, 'row')} of ${label} inserted`);
  }
  return effects;
}

/** The error for a table with an unexpected number of deleted rows. */
export function differs(label: string, wanted: number, got: number): AppError {
  const why =
    got < wanted
      ? 'a trigger kept rows, or another session changed them meanwhile'
      : 'a trigger or a cascade deleted rows that are not in the backup';
  return new AppError(
    'CLEAN_FAILED',
    `${label}: ${got} rows instead of ${wanted} were deleted, so ${why}; everything was rolled back and nothing was changed.`,
    {hint: 'Run it again; if it happens again, look at the triggers that the preview lists.'},
  );
}
