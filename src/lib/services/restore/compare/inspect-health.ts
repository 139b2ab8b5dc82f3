/** Checks the state of a restored database that definitions do not show: valid indexes, filled views, values of sequences. */
import {z} from 'zod';
import type {DumpContents} from '../../../fingerprint/table-contents.js';
import type {Session} from '../../../postgres/client.js';
import {parseRows, pgBoolean, pgCount} from '../../../postgres/inspect/inspect-database.js';
import {quoteIdentifier, quoteQualified} from '../../../postgres/quote.js';

const userSchema = "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'";
const nameRow = z.object({schema: z.string(), name: z.string()});

/** The part of a dump's content that is compared here. */
export type DumpState = Pick<DumpContents, 'sequences' | 'refreshedViews'>;

export interface HealthReport {
  /** Differences from the dump. */
  readonly findings: string[];
  /** Problems that the source database already had. */
  readonly notes: string[];
}

/**
 * Compares the state of a freshly restored database with its dump.
 * @param hasOthers whether the database contained other objects before; their problems are only notes
 */
export async function inspectHealth(
  session: Session,
  contents: DumpState,
  hasOthers = false,
): Promise<HealthReport> {
  const {findings, notes} = await checkSequences(session, contents, hasOthers);
  (hasOthers ? notes : findings).push(...(await invalidIndexes(session)));
  findings.push(...(await emptyViews(session, contents)));
  return {findings, notes};
}

/** Indexes of partitioned tables are excluded, because they are valid only if every partition has its index, and a source may lack some. */
async function invalidIndexes(session: Session): Promise<string[]> {
  const rows = parseRows(
    nameRow,
    await session.query(`
      SELECT n.nspname AS schema, c.relname AS name
        FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
       WHERE c.relkind = 'i' AND NOT (i.indisvalid AND i.indisready) AND ${userSchema} ORDER BY 1, 2`),
  );
  return rows.map(({schema, name}) => `The index ${schema}.${name} is not valid.`);
}

async function emptyViews(session: Session, contents: DumpState): Promise<string[]> {
  const rows = parseRows(
    nameRow,
    await session.query(`
      SELECT n.nspname AS schema, c.relname AS name
        FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
       WHERE c.relkind = 'm' AND c.relispopulated`),
  );
  const filled = new Set(rows.map(({schema, name}) => JSON.stringify([schema, name])));
  return contents.refreshedViews
    .filter(({schema, name}) => !filled.has(JSON.stringify([schema, name])))
    .map(({schema, name}) => `The materialized view ${schema}.${name} is not filled.`);
}

/** A sequence must have the value from the dump. A sequence that is behind its column will return numbers that already exist. */
async function checkSequences(
  session: Session,
  contents: DumpState,
  hasOthers: boolean,
): Promise<HealthReport> {
  const states = await inspectSequences(session);
  const found = new Map(states.map((state) => [JSON.stringify([state.schema, state.name]), state]));
  const findings: string[] = [];
  const notes: string[] = [];
  for (const {schema, name, lastValue, isCalled} of contents.sequences) {
    const state = found.get(JSON.stringify([schema, name]));
    if (!state) findings.push(`The sequence ${schema}.${name} is missing.`);
    else if (state.lastValue !== lastValue || state.isCalled !== isCalled) {
      findings.push(`The sequence ${schema}.${name} is at ${state.lastValue} instead of ${lastValue}.`);
    }
  }
  const dumped = new Set(contents.sequences.map(({schema, name}) => JSON.stringify([schema, name])));
  for (const {schema, name} of states.filter((state) => state.isBehind)) {
    const text = `The sequence ${schema}.${name} is behind its column, so it will return numbers that already exist.`;
    const isAsDumped = dumped.has(JSON.stringify([schema, name]));
    (isAsDumped || hasOthers ? notes : findings).push(
      isAsDumped ? `${text} This was the same in the source.` : text,
    );
  }
  return {findings, notes};
}

const sequenceRow = nameRow.extend({
  increment: z.string(),
  cycles: pgBoolean,
  owner_schema: z.string().nullable(),
  owner_table: z.string().nullable(),
  owner_column: z.string().nullable(),
});

const stateRow = z.object({
  number: pgCount,
  last_value: z.string(),
  is_called: pgBoolean,
  is_behind: pgBoolean,
});

interface SequenceState {
  readonly schema: string;
  readonly name: string;
  readonly lastValue: string;
  readonly isCalled: boolean;
  /** Whether the next value is not beyond all values of the column that owns the sequence, so that it may already exist. */
  readonly isBehind: boolean;
}

/** Number of sequences that one query reads. */
const batchSize = 200;

async function inspectSequences(session: Session): Promise<SequenceState[]> {
  const rows = parseRows(
    sequenceRow,
    await session.query(`
      SELECT n.nspname AS schema, c.relname AS name, s.seqincrement AS increment, s.seqcycle AS cycles,
             o.schema AS owner_schema, o.name AS owner_table, o.attname AS owner_column
        FROM pg_catalog.pg_sequence s JOIN pg_catalog.pg_class c ON c.oid = s.seqrelid
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        LEFT JOIN LATERAL (
          SELECT tn.nspname AS schema, t.relname AS name, a.attname
            FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_class t ON t.oid = d.refobjid
            JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace
            JOIN pg_catalog.pg_attribute a ON a.attrelid = t.oid AND a.attnum = d.refobjsubid
           WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype IN ('a', 'i')
             AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjsubid > 0
             AND a.atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'numeric'::regtype)
           LIMIT 1) o ON true
       WHERE c.relpersistence <> 't' AND ${userSchema} ORDER BY 1, 2`),
  );
  const states: SequenceState[] = [];
  for (let start = 0; start < rows.length; start += batchSize) {
    const batch = rows.slice(start, start + batchSize);
    const found = parseRows(stateRow, await session.query(batch.map(stateQuery).join(' UNION ALL ')));
    for (const {number, last_value, is_called, is_behind} of found) {
      const row = batch[number];
      if (!row) continue;
      states.push({
        schema: row.schema,
        name: row.name,
        lastValue: last_value,
        isCalled: is_called,
        isBehind: is_behind,
      });
    }
  }
  return states;
}

function stateQuery(row: z.infer<typeof sequenceRow>, index: number): string {
  const {owner_schema: schema, owner_table: table, owner_column: column} = row;
  const isUp = !row.increment.startsWith('-');
  const next = `q.last_value::numeric + CASE WHEN q.is_called THEN ${row.increment} ELSE 0 END`;
  const behind =
    row.cycles || schema === null || table === null || column === null
      ? 'false'
      : `coalesce(${next} ${isUp ? '<=' : '>='} (SELECT ${isUp ? 'max' : 'min'}(${quoteIdentifier(column)}) FROM ${quoteQualified(schema, table)}), false)`;
  return `SELECT ${index} AS number, q.last_value::text, q.is_called, ${behind} AS is_behind FROM ${quoteQualified(row.schema, row.name)} q`;
}
