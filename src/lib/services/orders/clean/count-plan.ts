/** Counts the rows that a cleaning would change on the server, and computes the plan hash. */
import {createHash} from 'node:crypto';
import {z} from 'zod';
import type {Session} from '../../../postgres/client.js';
import {parseRows, pgCount} from '../../../postgres/inspect/inspect-database.js';
import {quoteIdentifier} from '../../../postgres/quote.js';
import {leafRowsSql, type RowList, type RowLists, rowListOf} from './collect-rows.js';
import {
  bitOf,
  guards,
  isListed,
  keyTextSql,
  reasons,
  type Selection,
  statusSql,
  wordsOf,
} from '../rules/order-conditions.js';
import {relationSql} from '../rules/relation-sql.js';
import type {Table} from '../../../rows/model/read-schema.js';
import {candidatesTable} from './select-orders.js';

/** The texts of an order, as the server wrote them. */
export interface SampleOrder {
  readonly table: string;
  readonly key: string;
  readonly email: string | null;
  readonly status: string | null;
  readonly paymentStatus: string | null;
  readonly total: string | null;
  readonly createdAt: string | null;
  readonly reasons: readonly string[];
}

export interface CleanCounts {
  /** Identifies the rows that would be changed. */
  readonly plan: string;
  /** Orders to delete by table. */
  readonly roots: Readonly<Record<string, number>>;
  readonly tables: Readonly<Record<string, {deleted: number; relinked: number}>>;
  readonly reasons: Readonly<Record<string, number>>;
  readonly guards: Readonly<Record<string, number>>;
  /** Orders to delete by table and "status/payment status". */
  readonly statuses: Readonly<Record<string, Readonly<Record<string, number>>>>;
  readonly sample: readonly SampleOrder[];
  /** Every order to delete, if requested: at most `mostListed` of each table. Otherwise null. */
  readonly orders: readonly SampleOrder[] | null;
  /** Rows to delete in all tables. */
  readonly totalRows: number;
}

/** A number of rows, and a sum over their keys that does not depend on their order. */
export interface RowDigest {
  readonly rows: number;
  readonly keys: string;
}

/** The counts of the row lists, without those of the leaf tables. */
export interface FoundOrders extends Pick<
  CleanCounts,
  'roots' | 'reasons' | 'guards' | 'statuses' | 'sample' | 'orders'
> {
  /** By table label. */
  readonly deleted: ReadonlyMap<string, RowDigest>;
  readonly relinked: ReadonlyMap<string, RowDigest>;
}

/** Characters of a plan's hash. */
export const planLength = 16;
const sampleSize = 5;
/** Orders of a table that a list keeps in memory: some 30 MB. */
export const mostListed = 100_000;
const noRows: RowDigest = {rows: 0, keys: '0'};

const digestRow = z.object({rows: pgCount, keys: z.string()});
const countRow = z.object({name: z.string(), count: pgCount});
const sampleRow = z.object({
  key: z.string(),
  email: z.string().nullable(),
  status: z.string().nullable(),
  payment_status: z.string().nullable(),
  total: z.string().nullable(),
  created_at: z.string().nullable(),
  reasons: pgCount.transform((bits) => wordsOf(reasons, bits)),
});

/** @param listsAll whether to list every order in addition to the sample */
export async function countFound(
  session: Session,
  selection: Selection,
  rowLists: RowLists,
  listsAll = false,
): Promise<FoundOrders> {
  const digest = async (listed: readonly RowList[]): Promise<Map<string, RowDigest>> => {
    const digests = new Map<string, RowDigest>();
    for (const rows of listed) digests.set(rows.table.label, await digestRowList(session, rows));
    return digests;
  };
  const deleted = await digest(rowLists.deleted);
  return {
    deleted,
    relinked: await digest(rowLists.unlinked),
    roots: Object.fromEntries(
      selection.graph.roots.map(({table}) => [table.label, deleted.get(table.label)?.rows ?? 0]),
    ),
    ...(await countWords(session, selection, rowLists)),
    statuses: await countStatuses(session, selection, rowLists),
    sample: await listOrders(session, selection, rowLists, {most: sampleSize, isSorted: false}),
    orders: listsAll
      ? await listOrders(session, selection, rowLists, {most: mostListed, isSorted: true})
      : null,
  };
}

/** The counts of the leaf tables, by table label. */
export async function countLeaves(session: Session, rowLists: RowLists): Promise<Map<string, RowDigest>> {
  const digests = new Map<string, RowDigest>();
  for (const leaf of rowLists.leaves)
    digests.set(
      leaf.table.label,
      await digestRows(session, keyHashSql(leaf.table), leafRowsSql(leaf, rowLists)),
    );
  return digests;
}

/**
 * @param leaves the counts of the leaf tables
 * @param database distinguishes databases, so that the plan of one is never accepted for another
 */
export function completeCounts(
  {deleted, relinked, ...found}: FoundOrders,
  leaves: ReadonlyMap<string, RowDigest>,
  order: readonly Table[],
  database: string,
): CleanCounts {
  const labels = [...new Set([...order.map(({label}) => label), ...relinked.keys()])];
  const digests: unknown[] = [database];
  const tables: Record<string, {deleted: number; relinked: number}> = {};
  for (const label of labels) {
    const gone = deleted.get(label) ?? leaves.get(label) ?? noRows;
    const kept = relinked.get(label) ?? noRows;
    tables[label] = {deleted: gone.rows, relinked: kept.rows};
    if (gone.rows > 0) digests.push([label, gone.rows, gone.keys]);
    if (kept.rows > 0) digests.push([label, 'relinked', kept.rows, kept.keys]);
  }
  return {
    ...found,
    plan: createHash('sha256').update(JSON.stringify(digests)).digest('hex').slice(0, planLength),
    tables,
    totalRows: Object.values(tables).reduce((sum, table) => sum + table.deleted, 0),
  };
}

/** SQL: a number from the key of the row `t`, or from its content if it has no key. */
export function keyHashSql(table: Table): string {
  return hashSql(table.key.map((name) => `t.${quoteIdentifier(name)}`));
}

function hashSql(keys: readonly string[]): string {
  const [first = 't', ...others] = keys;
  const text = others.length === 0 ? first : `ROW(${keys.join(', ')})`;
  return `pg_catalog.hashtextextended(${text}::pg_catalog.text, 0)`;
}

function digestRowList(session: Session, {table, sql, stored}: RowList): Promise<RowDigest> {
  const keys = table.key.map((name) => `s.k${stored.indexOf(name)}`);
  return keys.length > 0
    ? digestRows(session, hashSql(keys), `${sql} s`)
    : digestRows(session, keyHashSql(table), `${sql} s JOIN ${relationSql(table)} t ON ${isListed}`);
}

async function digestRows(session: Session, hash: string, from: string): Promise<RowDigest> {
  const [row] = parseRows(
    digestRow,
    await session.query(`SELECT count(*) AS rows, coalesce(sum(${hash}), 0) AS keys FROM ${from}`),
  );
  return row ?? noRows;
}

const bitsRow = z.object({reasons: pgCount, guards: pgCount, count: pgCount});

async function countWords(
  session: Session,
  {graph}: Selection,
  rowLists: RowLists,
): Promise<Pick<CleanCounts, 'reasons' | 'guards'>> {
  const chosen = new Map<string, number>();
  const kept = new Map<string, number>();
  const add = (counts: Map<string, number>, words: readonly string[], count: number): void => {
    for (const word of words) counts.set(word, (counts.get(word) ?? 0) + count);
  };
  for (const [index, {table}] of graph.roots.entries()) {
    const groups = await session.query(
      `SELECT reasons, guards, count(*) AS count FROM ${candidatesTable(index)} GROUP BY 1, 2`,
    );
    for (const group of parseRows(bitsRow, groups)) {
      if (group.guards === 0) add(chosen, wordsOf(reasons, group.reasons), group.count);
      else add(kept, wordsOf(guards, group.guards), group.count);
    }
    const linked = await session.query(
      `SELECT 'linked' AS name, count(*) AS count FROM ${rowListOf(rowLists, table).sql} s WHERE s.round > 0 HAVING count(*) > 0`,
    );
    for (const {name, count} of parseRows(countRow, linked)) add(chosen, [name], count);
  }
  return {reasons: mostFirst(chosen), guards: mostFirst(kept)};
}

function mostFirst(counts: ReadonlyMap<string, number>): Record<string, number> {
  return Object.fromEntries(
    [...counts].sort(([name, one], [otherName, other]) => other - one || (name < otherName ? -1 : 1)),
  );
}

async function countStatuses(
  session: Session,
  {graph}: Selection,
  rowLists: RowLists,
): Promise<CleanCounts['statuses']> {
  const statuses: Record<string, Record<string, number>> = {};
  for (const [index, {table, profile, rows: orders}] of graph.roots.entries()) {
    const rows = parseRows(
      countRow,
      await session.query(`
        SELECT name, count(*) AS count
          FROM (SELECT status AS name FROM ${candidatesTable(index)} WHERE guards = 0
                UNION ALL SELECT ${statusSql(profile)}
                  FROM ${orders} t JOIN ${rowListOf(rowLists, table).sql} s ON ${isListed} WHERE s.round > 0) x
         GROUP BY 1 ORDER BY 2 DESC, 1`),
    );
    statuses[table.label] = Object.fromEntries(rows.map(({name, count}) => [name, count]));
  }
  return statuses;
}

async function listOrders(
  session: Session,
  {graph}: Selection,
  rowLists: RowLists,
  {most, isSorted}: {readonly most: number; readonly isSorted: boolean},
): Promise<SampleOrder[]> {
  const listed: SampleOrder[] = [];
  for (const [index, {table, profile, rows: orders}] of graph.roots.entries()) {
    const text = (name: string | undefined): string =>
      name === undefined ? 'NULL' : `t.${quoteIdentifier(name)}::pg_catalog.text`;
    const rows = parseRows(
      sampleRow,
      await session.query(`
        SELECT ${keyTextSql('t', profile.key)} AS key, ${text(profile.email)} AS email, ${text(profile.status)} AS status,
               ${text(profile.paymentStatus)} AS payment_status, ${text(profile.total)} AS total, ${text(profile.createdAt)} AS created_at,
               coalesce(d.reasons, ${bitOf(reasons, 'linked')}) AS reasons
          FROM (SELECT * FROM ${rowListOf(rowLists, table).sql} ORDER BY seq LIMIT ${most}) s
          JOIN ${orders} t ON ${isListed}
          LEFT JOIN ${candidatesTable(index)} d ON d.part = s.part AND d.tid = s.tid AND s.round = 0
         ORDER BY ${isSorted ? profile.key.map((name) => `t.${quoteIdentifier(name)}`).join(', ') : 's.seq'}`),
    );
    for (const {payment_status, created_at, ...row} of rows) {
      listed.push({table: table.label, ...row, paymentStatus: payment_status, createdAt: created_at});
    }
  }
  return listed;
}
