/** Deletes the rows, children first, and proves that nothing else was deleted. */
import {z} from 'zod';
import {AppError} from '../../../base/errors.js';
import {countOf} from '../../../base/format.js';
import type {Session} from '../../../postgres/client.js';
import {parseRows, pgBoolean, pgCount} from '../../../postgres/inspect/inspect-database.js';
import {withOwnSearchPath} from '../../../postgres/search-path.js';
import type {FoundOrders} from './count-plan.js';
import {joinSql, type Leaf, type NotedRows, type Notes, notesOf} from './collect-rows.js';
import type {OrderGraph} from '../rules/order-graph.js';
import {isNoted} from '../rules/order-conditions.js';
import {relationSql} from '../rules/relation-sql.js';
import type {Table} from '../../../rows/model/read-schema.js';
import {versionHashSql} from './write-order-snapshot.js';

export interface DeletedRows {
  /** The rows of the leaves that were deleted, by table label. */
  readonly leaves: ReadonlyMap<string, DeletedLeaf>;
  /** Tables that triggers wrote to, beside the expected changes, and how. */
  readonly sideEffects: readonly string[];
}

export interface DeletedLeaf {
  readonly rows: number;
  /** Sum over `versionHashSql`. */
  readonly versions: bigint;
}

export interface Deletion {
  readonly graph: OrderGraph;
  readonly notes: Notes;
  /** Parents whose rows one statement deletes or deletes the rows of. */
  readonly batchSize: number;
  readonly found: Pick<FoundOrders, 'deleted' | 'relinked'>;
  /** Whether triggers or rules run as rows are deleted or unlinked. */
  readonly runsCode: boolean;
  readonly onRows: (rows: number) => void;
  /** Looked at between two statements. */
  readonly signal: AbortSignal;
}

/**
 * Deletes in the open transaction. Tables that refer to themselves or to one another are deleted by one statement, because
 * constraints are checked at the end of each.
 * @throws CLEAN_FAILED when any table lost another number of rows than were noted, or than its own statement took
 */
export async function deleteRows(session: Session, deletion: Deletion): Promise<DeletedRows> {
  const {graph, notes, found} = deletion;
  // Rows are found by their place, and referring rows by their index: reading a whole table for each batch, or for each
  // row as constraint checks would where statistics mislead them, must not happen.
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
  for (const leaf of notes.leaves) {
    const {label} = leaf.table;
    let versions = 0n;
    for (const batch of batches(leaf.link.parent)) {
      const deleted = await deleteLeafRows(session, leaf, notes, batch);
      versions += deleted.versions;
      count(label, deleted.rows);
    }
    leaves.set(label, {rows: rowsOf.get(label) ?? 0, versions});
  }
  for (const group of graph.deleteGroups) {
    const parts = notes.deleted.filter(({table}) => group.includes(table));
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
  // Deferred constraints and triggers speak now, while there is somebody to tell.
  await withOwnSearchPath(session, () => session.query('SET CONSTRAINTS ALL IMMEDIATE'));
  const expected = (label: string): Expected => ({
    deleted: rowsOf.get(label) ?? 0,
    // Each link that a row loses is an update of its own.
    updatedAtMost:
      (found.relinked.get(label)?.rows ?? 0) *
      graph.unlinks.filter(({child}) => child.label === label).length,
  });
  await refuseSeizedTables(session, tables);
  return {leaves, sideEffects: compareChanges(before, await changesByTable(session), expected)};
}

/** Numbers of noted rows, the second not included. */
type Batch = readonly [number, number];

const within = (alias: string, [from, to]: Batch): string =>
  `${alias}.seq OPERATOR(pg_catalog.>=) ${from} AND ${alias}.seq OPERATOR(pg_catalog.<) ${to}`;

const rangeRow = z.object({first: pgCount.nullable(), last: pgCount.nullable()});

async function batchesByTable(
  session: Session,
  {notes, batchSize, signal}: Deletion,
): Promise<(table: Table) => Iterable<Batch>> {
  const ranges = new Map<Table, z.infer<typeof rangeRow>>();
  for (const {table, sql} of notes.deleted) {
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
  leaf: Leaf,
  notes: Notes,
  batch: Batch,
): Promise<DeletedLeaf> {
  const [row] = parseRows(
    leafRow,
    await withOwnSearchPath(session, () =>
      session.query(`
      WITH d AS (
        DELETE FROM ${relationSql(leaf.table)} t USING ${notesOf(notes, leaf.link.parent).sql} p
         WHERE ${joinSql(leaf.link, notes)} AND ${within('p', batch)} RETURNING ${versionHashSql} AS version)
      SELECT pg_catalog.count(*) AS rows, coalesce(pg_catalog.sum(version), 0) AS versions FROM d`),
    ),
  );
  return row ?? {rows: 0, versions: 0n};
}

async function deleteTogether(
  session: Session,
  parts: readonly NotedRows[],
  count: (label: string, rows: number) => void,
): Promise<void> {
  const statements = parts.map((noted, index) => `d${index} AS (${deleteSql(noted)} RETURNING 1)`);
  const sums = parts.map((_noted, index) => `(SELECT pg_catalog.count(*) FROM d${index}) AS c${index}`);
  const [row] = await withOwnSearchPath(session, () =>
    session.query(`WITH ${statements.join(', ')} SELECT ${sums.join(', ')}`),
  );
  for (const [index, {table}] of parts.entries()) count(table.label, Number(row?.[`c${index}`] ?? 0));
}

function deleteSql({table, sql}: NotedRows): string {
  return `DELETE FROM ${relationSql(table)} t USING ${sql} s WHERE ${isNoted}`;
}

const changeRow = z.object({label: z.string(), deleted: pgCount, updated: pgCount, inserted: pgCount});
type Change = z.infer<typeof changeRow>;

/**
 * Rows that this transaction changed so far, cascades and triggers included (manual, 28.2.2), partitions under their
 * topmost table, and large objects; undefined where the server does not count.
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
 * TRUNCATE, DROP and ALTER TABLE lose rows that nothing counts, and each keeps an ACCESS EXCLUSIVE lock until the transaction
 * ends. A cleaning takes none itself.
 * @throws CLEAN_FAILED naming the tables that a trigger or rule did this to
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
    {hint: 'Switch the trigger off for the cleaning (ALTER TABLE ... DISABLE TRIGGER), if that is right.'},
  );
}

/** What the deletion itself does to a table. */
interface Expected {
  readonly deleted: number;
  readonly updatedAtMost: number;
}

/** @throws CLEAN_FAILED for deleted rows that nobody counted on */
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

/** The error of a table of which other rows were deleted than should be. */
export function differs(label: string, wanted: number, got: number): AppError {
  const why =
    got < wanted
      ? 'a trigger kept rows, or another session changed them meanwhile'
      : 'a trigger or a cascade took rows that are not in the backup';
  return new AppError(
    'CLEAN_FAILED',
    `${label}: ${wanted} rows were to be deleted and ${got} were, so ${why}; everything was rolled back and nothing was changed.`,
    {hint: 'Run it again; if it happens again, look at the triggers that the preview lists.'},
  );
}
