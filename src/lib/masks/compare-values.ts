/** Compares the values of a masked column with those before. */
import {z} from 'zod';
import type {Session} from '../postgres/client.js';
import {jsonText, parseOnlyRow, pgCount} from '../postgres/inspect/inspect-database.js';
import {isNotEmpty} from './mask-sql.js';
import {hashOf, originalOf, type Originals} from './originals.js';
import {fromTable} from './plan-masks.js';
import type {Column, Table} from './read-tables.js';
import {hasAddress, rowAlias, textOfRow} from './text-columns.js';

/** A set of values that must have nothing in common before and after. */
export interface Comparison {
  /** "schema.table.column" */
  readonly of: string;
  /** The value, as SQL; it refers to the row as `rowAlias`, or to what `lateral` adds as x. */
  readonly value: string;
  /** A query with the column "v" first for values that a row contains several of. */
  readonly lateral?: string;
  /** SQL: whether a value can be one that the mask made; see mask-sql.ts. */
  readonly looksMasked?: ((value: string) => string) | undefined;
}

/** How many values there are, without NULL and empty ones, and how many of them look masked. */
type Looks = readonly [all: number, masked: number];

/** Comparisons of a table that one read of its rows and one of the rows before may decide. */
export interface Scan {
  readonly table: Table;
  readonly comparisons: readonly Comparison[];
  /** By comparison. */
  after: readonly Looks[];
  /** Values that look masked, by comparison. */
  before: readonly number[];
}

/** Comparisons of one statement; a query has at most 1,664 columns (manual, appendix K). */
const mostScanned = 200;

export function isScanned({lateral, looksMasked}: Comparison): boolean {
  return lateral === undefined && looksMasked !== undefined;
}

/** At least one for each table. */
export function scansOf(table: Table, comparisons: readonly Comparison[]): Scan[] {
  const scanned = comparisons.filter(isScanned);
  return Array.from({length: Math.max(1, Math.ceil(scanned.length / mostScanned))}, (_, index) => ({
    table,
    comparisons: scanned.slice(index * mostScanned, (index + 1) * mostScanned),
    after: [],
    before: [],
  }));
}

interface RowsNow {
  readonly rows: number;
  /** Rows with an address that is not masked. */
  readonly found: number;
  readonly looks: readonly Looks[];
}

const valuesOf = (comparisons: readonly Comparison[]): string[] =>
  comparisons.map(({value}, index) => `${value} AS v${index}`);

const isLikeMasked = ({looksMasked}: Comparison, value: string): string =>
  `${isNotEmpty(value)} AND ${looksMasked?.(value) ?? 'true'}`;

/** @param searched columns in which addresses are searched */
export async function readAfter(
  session: Session,
  {table, comparisons}: Pick<Scan, 'table' | 'comparisons'>,
  searched: readonly Column[],
): Promise<RowsNow> {
  const values = valuesOf(comparisons);
  if (searched.length > 0) values.push(`${textOfRow(searched)} AS text`);
  const found = searched.length > 0 ? hasAddress('y.text') : 'false';
  const looks = comparisons.map((comparison, index) => {
    const value = `y.v${index}`;
    return `ARRAY[count(*) FILTER (WHERE ${isNotEmpty(value)}), count(*) FILTER (WHERE ${isLikeMasked(comparison, value)})]`;
  });
  const rows = await session.query(
    `SELECT count(*) AS rows, count(*) FILTER (WHERE ${found}) AS found, pg_catalog.array_to_json(ARRAY[${looks.join(', ')}]::bigint[]) AS looks
       FROM (SELECT ${values.join(', ')} FROM ${fromTable(table)} AS ${rowAlias} OFFSET 0) y`,
  );
  const pairs = jsonText(z.array(z.tuple([z.int(), z.int()])).length(comparisons.length));
  return parseOnlyRow(z.object({rows: pgCount, found: pgCount, looks: pairs}), rows);
}

/** @returns how many values before look masked, by comparison */
export async function countBefore(
  session: Session,
  originals: Originals,
  {table, comparisons}: Scan,
): Promise<readonly number[]> {
  const counts = comparisons.map(
    (comparison, index) => `count(*) FILTER (WHERE ${isLikeMasked(comparison, `y.v${index}`)})`,
  );
  const rows = await session.query(
    `SELECT pg_catalog.array_to_json(ARRAY[${counts.join(', ')}]) AS looks
       FROM (SELECT ${valuesOf(comparisons).join(', ')} FROM ${originalOf(originals, table)} AS ${rowAlias} OFFSET 0) y`,
  );
  return parseOnlyRow(z.object({looks: jsonText(z.array(z.int()).length(comparisons.length))}), rows).looks;
}

export interface ComparedValues {
  /** How many values there are now. */
  readonly compared: number;
  /** How many of them are values from before. */
  readonly failed: number;
}

/** @returns the result where all values after look masked and none before does; for others the comparison to make */
export function outcomesOf({
  comparisons,
  after,
  before,
}: Scan): ((ComparedValues & Pick<Comparison, 'of'>) | Comparison)[] {
  return comparisons.map((comparison, index) => {
    const [all, masked] = after[index] ?? [];
    if (all === undefined || all !== masked) return {...comparison, looksMasked: undefined};
    return before[index] === 0 ? {of: comparison.of, compared: all, failed: 0} : comparison;
  });
}

const likeRow = z.object({compared: pgCount, failed: pgCount, unlike: pgCount});

/** Compares each value by its hash. */
export async function compareValues(
  session: Session,
  originals: Originals,
  table: Table,
  comparison: Comparison,
): Promise<ComparedValues> {
  const {value, lateral, looksMasked} = comparison;
  const also = lateral === undefined ? '' : ` CROSS JOIN LATERAL (${lateral}) x(v)`;
  const isLike = looksMasked?.('y.v') ?? 'true';
  const hashes = (from: string, kept: string): string =>
    `SELECT ${hashOf('y.v', originals)} AS hash, ${isLike} AS is_like FROM (SELECT ${value} AS v FROM ${from} AS ${rowAlias}${also} OFFSET 0) y WHERE ${isNotEmpty('y.v')} AND ${kept}`;
  // Without DISTINCT, a value of many rows could fill the server's memory.
  const rows = await session.query(
    `SELECT count(*) AS compared, count(b.hash) AS failed, count(*) FILTER (WHERE NOT a.is_like) AS unlike
       FROM (${hashes(fromTable(table), 'true')}) a
       LEFT JOIN (SELECT DISTINCT o.hash FROM (${hashes(originalOf(originals, table), isLike)}) o) b ON b.hash = a.hash`,
  );
  const {compared, failed, unlike} = parseOnlyRow(likeRow, rows);
  if (unlike > 0) return compareValues(session, originals, table, {...comparison, looksMasked: undefined});
  return {compared, failed};
}
