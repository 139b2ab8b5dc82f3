/** Counts and names the rows to restore and the rows to skip. */
import {z} from 'zod';
import type {Session} from '../../postgres/client.js';
import {parseRows, pgCount} from '../../postgres/inspect/inspect-database.js';
import {quoteLiteral} from '../../postgres/quote.js';
import type {StagedTable} from './staged-table.js';

export interface RestoreConflict {
  readonly table: string;
  /** The key's value; several columns as "a=1, b=2"; the line of the file where there is no key. */
  readonly key: string;
  readonly reason: string;
}

export interface TableCounts {
  /** Rows of the file (of the chosen orders). */
  readonly rows: number;
  readonly restored: number;
  readonly skipped: number;
}

const countsRow = z.object({rows: pgCount, restored: pgCount});

const conflictRow = z.object({key: z.string(), reason: z.string()});

const reasonRow = z.object({reason: z.string(), rows: pgCount});

export async function countRows(session: Session, {temp}: StagedTable): Promise<TableCounts> {
  const [row] = parseRows(
    countsRow,
    await session.query(
      `SELECT count(*) AS rows, count(*) FILTER (WHERE reason IS NULL) AS restored FROM ${temp}`,
    ),
  );
  const {rows, restored} = row ?? {rows: 0, restored: 0};
  return {rows, restored, skipped: rows - restored};
}

/** Skipped rows by reason. */
export async function countReasons(
  session: Session,
  {temp}: StagedTable,
): Promise<{reason: string; rows: number}[]> {
  return parseRows(
    reasonRow,
    await session.query(
      `SELECT reason, count(*) AS rows FROM ${temp} WHERE reason IS NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1`,
    ),
  );
}

/** The first `limit` skipped rows, in the order of the file. */
export async function listConflicts(
  session: Session,
  staged: StagedTable,
  key: readonly number[],
  limit: number,
): Promise<RestoreConflict[]> {
  const parts = key.map((number) => {
    const name = staged.target.columns.find((column) => column.number === number)?.name ?? '';
    return `${quoteLiteral(`${name}=`)} || coalesce(s.c${number}::text, 'null')`;
  });
  const text =
    key.length === 0
      ? `'line ' || s.line`
      : key.length === 1
        ? `coalesce(s.c${key[0] ?? 0}::text, 'null')`
        : `pg_catalog.concat_ws(', ', ${parts.join(', ')})`;
  const rows = parseRows(
    conflictRow,
    await session.query(
      `SELECT ${text} AS key, s.reason FROM ${staged.temp} s WHERE s.reason IS NOT NULL ORDER BY s.line LIMIT $1`,
      [limit],
    ),
  );
  return rows.map((row) => ({table: staged.file.table, ...row}));
}
