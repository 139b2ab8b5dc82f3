/** Deletes the noted rows, children first, and proves that nothing else was deleted. */
import {z} from 'zod';
import {AppError} from '../errors.js';
import type {Session} from '../postgres/client.js';
import {parseRows, pgBoolean, pgCount} from '../postgres/inspect-database.js';
import {isNoted, type NotedRows, type Notes, notesOf} from './collect-rows.js';
import type {OrderGraph} from './foreign-key-graph.js';
import {relationSql} from './select-orders.js';

export interface DeletedCounts {
  /** Rows by table label. */
  readonly deleted: Readonly<Record<string, number>>;
  /** Tables that triggers wrote to, beside the expected changes, and how. */
  readonly sideEffects: readonly string[];
}

/**
 * Deletes in the open transaction.
 * @param batchSize rows that one statement deletes; tables that refer to themselves or to one another are deleted by one
 *   statement, because constraints are checked at the end of each
 * @param expected rows to delete and to unlink by table label
 * @throws CLEAN_FAILED when any table lost another number of rows than expected
 */
export async function deleteRows(
  session: Session,
  graph: OrderGraph,
  notes: Notes,
  batchSize: number,
  expected: Readonly<Record<string, {deleted: number; relinked: number}>>,
  onRows: (rows: number) => void,
): Promise<DeletedCounts> {
  // Rows are found by their place, and referring rows by their index: reading a whole table for each batch, or for each
  // row as constraint checks would where statistics mislead them, must not happen.
  for (const method of ['hashjoin', 'mergejoin', 'seqscan'])
    await session.query(`SET LOCAL enable_${method} = off`);
  const before = await changesByTable(session);
  const deleted: Record<string, number> = Object.fromEntries(graph.tables.map(({label}) => [label, 0]));
  let total = 0;
  const count = (noted: NotedRows, rows: number): void => {
    deleted[noted.table.label] = (deleted[noted.table.label] ?? 0) + rows;
    total += rows;
    onRows(total);
  };
  for (const group of graph.deleteGroups) {
    const parts = group.map((table) => notesOf(notes, table));
    const [first] = parts;
    const isTied =
      parts.length > 1 ||
      [...graph.links, ...graph.unlinks].some(
        (link) => link.child === link.parent && group.includes(link.child),
      );
    if (isTied) await deleteTogether(session, parts, count);
    else if (first) await deleteInBatches(session, first, batchSize, count);
    for (const {label} of group) {
      const wanted = expected[label]?.deleted ?? 0;
      if (deleted[label] !== wanted) throw differs(label, wanted, deleted[label] ?? 0);
    }
  }
  // Deferred constraints and triggers speak now, while there is somebody to tell.
  await session.query('SET CONSTRAINTS ALL IMMEDIATE');
  return {deleted, sideEffects: compareChanges(before, await changesByTable(session), expected)};
}

async function deleteInBatches(
  session: Session,
  noted: NotedRows,
  batchSize: number,
  count: (noted: NotedRows, rows: number) => void,
): Promise<void> {
  const [range] = parseRows(
    z.object({first: pgCount.nullable(), last: pgCount.nullable()}),
    await session.query(`SELECT min(seq) AS first, max(seq) AS last FROM ${noted.sql}`),
  );
  if (range?.first == null || range.last === null) return;
  await session.query(`CREATE INDEX ON ${noted.sql} (seq)`);
  await session.query(`ANALYZE ${noted.sql}`);
  for (let from = range.first; from <= range.last; from += batchSize) {
    count(
      noted,
      await session.execute(`${deleteSql(noted)} AND s.seq >= ${from} AND s.seq < ${from + batchSize}`),
    );
  }
}

async function deleteTogether(
  session: Session,
  parts: readonly NotedRows[],
  count: (noted: NotedRows, rows: number) => void,
): Promise<void> {
  const statements = parts.map((noted, index) => `d${index} AS (${deleteSql(noted)} RETURNING 1)`);
  const sums = parts.map((_noted, index) => `(SELECT count(*) FROM d${index}) AS c${index}`);
  const [row] = await session.query(`WITH ${statements.join(', ')} SELECT ${sums.join(', ')}`);
  for (const [index, noted] of parts.entries()) count(noted, Number(row?.[`c${index}`] ?? 0));
}

function deleteSql({table, sql}: NotedRows): string {
  return `DELETE FROM ${relationSql(table)} t USING ${sql} s WHERE ${isNoted}`;
}

const changeRow = z.object({label: z.string(), deleted: pgCount, updated: pgCount, inserted: pgCount});
type Change = z.infer<typeof changeRow>;

/**
 * Rows that this transaction changed so far, cascades and triggers included (manual, 28.2.2), partitions under their
 * topmost table; undefined where the server does not count.
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
        FROM pg_catalog.pg_stat_xact_user_tables st
        JOIN pg_catalog.pg_class c ON c.oid = st.relid AND c.relpersistence <> 't'
        JOIN pg_catalog.pg_class top ON top.oid = CASE WHEN c.relispartition THEN pg_catalog.pg_partition_root(c.oid)::oid ELSE c.oid END
        JOIN pg_catalog.pg_namespace n ON n.oid = top.relnamespace
       WHERE st.n_tup_del + st.n_tup_upd + st.n_tup_ins > 0 GROUP BY 1`),
  );
  return new Map(rows.map((row) => [row.label, row]));
}

/** @throws CLEAN_FAILED for deleted rows that nobody counted on */
function compareChanges(
  before: Map<string, Change> | undefined,
  after: Map<string, Change> | undefined,
  expected: Readonly<Record<string, {deleted: number; relinked: number}>>,
): string[] {
  const effects: string[] = [];
  for (const [label, change] of after ?? []) {
    const earlier = before?.get(label);
    const deleted = change.deleted - (earlier?.deleted ?? 0);
    const wanted = expected[label] ?? {deleted: 0, relinked: 0};
    if (deleted !== wanted.deleted) throw differs(label, wanted.deleted, deleted);
    const updated = change.updated - (earlier?.updated ?? 0);
    const inserted = change.inserted - (earlier?.inserted ?? 0);
    if (updated > wanted.relinked) effects.push(`${updated - wanted.relinked} rows of ${label} updated`);
    if (inserted > 0) effects.push(`${inserted} rows of ${label} inserted`);
  }
  return effects;
}

function differs(label: string, wanted: number, got: number): AppError {
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
