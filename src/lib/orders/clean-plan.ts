/** What a cleaning would touch: counted on the server from the noted rows, and condensed into one hash. */
import {createHash} from 'node:crypto';
import {z} from 'zod';
import type {Session} from '../postgres/client.js';
import {parseRows, pgCount} from '../postgres/inspect-database.js';
import {quoteIdentifier} from '../postgres/quote.js';
import {isNoted, type NotedRows, type Notes, notesOf} from './collect-rows.js';
import {candidatesTable, keyTextSql, relationSql, type Selection, statusSql} from './select-orders.js';

/** An order as text, as the server wrote it. */
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
  /** Identifies the rows that would be touched. */
  readonly plan: string;
  /** Orders to delete by table. */
  readonly roots: Readonly<Record<string, number>>;
  readonly tables: Readonly<Record<string, {deleted: number; relinked: number}>>;
  readonly reasons: Readonly<Record<string, number>>;
  readonly guards: Readonly<Record<string, number>>;
  /** Orders to delete by table and "status/payment status". */
  readonly statuses: Readonly<Record<string, Readonly<Record<string, number>>>>;
  readonly sample: readonly SampleOrder[];
  /** Rows to delete in all tables. */
  readonly totalRows: number;
}

const sampleSize = 5;

const digestRow = z.object({rows: pgCount, sum: z.string()});
const countRow = z.object({name: z.string(), count: pgCount});
const sampleRow = z.object({
  key: z.string(),
  email: z.string().nullable(),
  status: z.string().nullable(),
  payment_status: z.string().nullable(),
  total: z.string().nullable(),
  created_at: z.string().nullable(),
  reasons: z.string().transform((text) => z.array(z.string()).parse(JSON.parse(text))),
});

/** @param database what tells databases apart, so that a plan of one is never taken for a plan of another */
export async function countPlan(
  session: Session,
  selection: Selection,
  notes: Notes,
  database: string,
): Promise<CleanCounts> {
  const {graph} = selection;
  const tables: Record<string, {deleted: number; relinked: number}> = {};
  const digests: unknown[] = [database];
  for (const noted of notes.deleted) {
    const {rows, sum} = await digestNotes(session, noted);
    tables[noted.table.label] = {deleted: rows, relinked: 0};
    if (rows > 0) digests.push([noted.table.label, rows, sum]);
  }
  for (const noted of notes.unlinked) {
    const {rows, sum} = await digestNotes(session, noted);
    tables[noted.table.label] = {deleted: tables[noted.table.label]?.deleted ?? 0, relinked: rows};
    if (rows > 0) digests.push([noted.table.label, 'relinked', rows, sum]);
  }
  const roots = Object.fromEntries(
    graph.roots.map(({table}) => [table.label, tables[table.label]?.deleted ?? 0]),
  );
  return {
    plan: createHash('sha256').update(JSON.stringify(digests)).digest('hex').slice(0, 16),
    roots,
    tables,
    ...(await countWords(session, selection, notes)),
    statuses: await countStatuses(session, selection, notes),
    sample: await sampleOrders(session, selection, notes),
    totalRows: Object.values(tables).reduce((sum, table) => sum + table.deleted, 0),
  };
}

/** The number of noted rows and an order-independent sum over their keys, or over their content where there is no key. */
async function digestNotes(
  session: Session,
  {table, sql, stored}: NotedRows,
): Promise<z.infer<typeof digestRow>> {
  const keys = table.key.map((name) => `s.k${stored.indexOf(name)}`);
  const [text, source] =
    keys.length > 0
      ? [`ROW(${keys.join(', ')})::pg_catalog.text`, `${sql} s`]
      : ['t::pg_catalog.text', `${sql} s JOIN ${relationSql(table)} t ON ${isNoted}`];
  const [row] = parseRows(
    digestRow,
    await session.query(
      `SELECT count(*) AS rows, coalesce(sum(pg_catalog.hashtextextended(${text}, 0)::numeric), 0) AS sum FROM ${source}`,
    ),
  );
  return row ?? {rows: 0, sum: '0'};
}

async function countWords(
  session: Session,
  {graph}: Selection,
  notes: Notes,
): Promise<Pick<CleanCounts, 'reasons' | 'guards'>> {
  const reasons: Record<string, number> = {};
  const guards: Record<string, number> = {};
  const add = async (counts: Record<string, number>, sql: string): Promise<void> => {
    for (const {name, count} of parseRows(countRow, await session.query(sql)))
      counts[name] = (counts[name] ?? 0) + count;
  };
  for (const [index, root] of graph.roots.entries()) {
    const from = `FROM ${candidatesTable(index)} d`;
    const group = 'GROUP BY 1 ORDER BY 2 DESC, 1';
    await add(
      reasons,
      `SELECT r AS name, count(*) AS count ${from}, pg_catalog.unnest(d.reasons) r WHERE d.guards = '{}' ${group}`,
    );
    await add(
      reasons,
      `SELECT 'linked' AS name, count(*) AS count FROM ${notesOf(notes, root.table).sql} s WHERE s.round > 0 HAVING count(*) > 0`,
    );
    await add(guards, `SELECT g AS name, count(*) AS count ${from}, pg_catalog.unnest(d.guards) g ${group}`);
  }
  return {reasons, guards};
}

async function countStatuses(
  session: Session,
  {graph}: Selection,
  notes: Notes,
): Promise<CleanCounts['statuses']> {
  const statuses: Record<string, Record<string, number>> = {};
  for (const {table, profile} of graph.roots) {
    const rows = parseRows(
      countRow,
      await session.query(
        `SELECT ${statusSql(profile)} AS name, count(*) AS count
           FROM ${relationSql(table)} t JOIN ${notesOf(notes, table).sql} s ON ${isNoted} GROUP BY 1 ORDER BY 2 DESC, 1`,
      ),
    );
    statuses[table.label] = Object.fromEntries(rows.map(({name, count}) => [name, count]));
  }
  return statuses;
}

async function sampleOrders(session: Session, {graph}: Selection, notes: Notes): Promise<SampleOrder[]> {
  const sample: SampleOrder[] = [];
  for (const [index, {table, profile}] of graph.roots.entries()) {
    const text = (name: string | undefined): string =>
      name === undefined ? 'NULL' : `t.${quoteIdentifier(name)}::pg_catalog.text`;
    const rows = parseRows(
      sampleRow,
      await session.query(`
        SELECT ${keyTextSql('t', profile.key)} AS key, ${text(profile.email)} AS email, ${text(profile.status)} AS status,
               ${text(profile.paymentStatus)} AS payment_status, ${text(profile.total)} AS total, ${text(profile.createdAt)} AS created_at,
               coalesce(pg_catalog.to_json(d.reasons), '["linked"]'::json)::text AS reasons
          FROM (SELECT * FROM ${notesOf(notes, table).sql} ORDER BY seq LIMIT ${sampleSize}) s
          JOIN ${relationSql(table)} t ON ${isNoted}
          LEFT JOIN ${candidatesTable(index)} d ON d.part = s.part AND d.tid = s.tid AND s.round = 0
         ORDER BY s.seq`),
    );
    for (const {payment_status, created_at, ...row} of rows) {
      sample.push({table: table.label, ...row, paymentStatus: payment_status, createdAt: created_at});
    }
  }
  return sample;
}
