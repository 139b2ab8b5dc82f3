/** Checks, in preview and execution alike, that the server can return each row of an order backup. */
import {z} from 'zod';
import {AppError} from '../../../base/errors.js';
import {formatBytes, formatCount} from '../../../base/format.js';
import type {Session} from '../../../postgres/client.js';
import {parseRows, pgCount} from '../../../postgres/inspect/inspect-database.js';
import {quoteIdentifier} from '../../../postgres/quote.js';
import {isListed, keyTextSql} from '../rules/order-conditions.js';
import {relationSql} from '../rules/relation-sql.js';
import type {Column, Table} from '../../../rows/model/read-schema.js';
import {leafRowsSql, type RowLists} from './collect-rows.js';
import type {SnapshotRows} from './write-order-snapshot.js';

/** MaxAllocSize in src/include/utils/memutils.h, the longest text that the server creates. */
export const mostRowBytes = 0x3fffffff;

/** The maximum ratio of a row's text to its stored size: pglz and lz4 expand one byte to at most 255, and bytea doubles. */
const mostGrowth = 1024;

const toastRow = z.object({oid: z.string(), bytes: pgCount});
const largestRow = z.object({key: z.string().nullable(), bytes: pgCount});

/**
 * Reads only lengths, which are stored next to the values, and only of tables with large values.
 * Escaped quotes and line breaks are not counted; the server itself refuses such a row while it writes it.
 * @param limit `mostRowBytes`, or less in tests
 * @throws NOT_SUPPORTED_HERE with the row and its size; nothing was changed
 */
export async function refuseOversizedRows(
  session: Session,
  saved: SnapshotRows,
  limit: number,
): Promise<void> {
  const sources = sourcesOf(saved);
  const toast = await toastBytes(
    session,
    sources.map(({table}) => table),
  );
  for (const {table, columns, from} of sources) {
    const size = textBytesSql(columns);
    if (size === undefined || (toast.get(table.oid) ?? 0) * mostGrowth < limit) continue;
    const rows = await session.query(
      `SELECT ${table.key.length === 0 ? 'NULL::text' : keyTextSql('t', table.key)} AS key, ${size} AS bytes FROM ${from} ORDER BY 2 DESC LIMIT 1`,
    );
    const [largest] = parseRows(largestRow, rows);
    if (!largest || largest.bytes <= limit) continue;
    const named = largest.key === null ? 'a row' : `the row ${largest.key}`;
    throw new AppError(
      'NOT_SUPPORTED_HERE',
      `${table.label}: ${named} has ${formatBytes(largest.bytes)} as text (${formatCount(largest.bytes)} bytes), but the server returns at most ${formatBytes(limit)} at once, so it cannot be backed up. Nothing was changed.`,
      {hint: 'Shorten the value, or exclude its order with --exclude-id.'},
    );
  }
}

interface RowSource {
  readonly table: Table;
  readonly columns: readonly Column[];
  /** SQL: the rows as `t`. */
  readonly from: string;
}

function sourcesOf({rowLists, deleted, relinked}: SnapshotRows): RowSource[] {
  return [
    ...deleted.map((part): RowSource => {
      if ('listed' in part) return {...listedSource(part.listed), columns: part.listed.table.columns};
      const {table} = part.leaf;
      return {table, columns: table.columns, from: leafRowsSql(part.leaf, rowLists)};
    }),
    ...relinked.map(({listed, columns}) => ({...listedSource(listed), columns})),
  ];
}

function listedSource({table, sql}: RowLists['deleted'][number]): Pick<RowSource, 'table' | 'from'> {
  return {table, from: `${relationSql(table)} t JOIN ${sql} s ON ${isListed}`};
}

/** SQL: the minimum number of bytes of the columns as text; undefined if no column can be large. */
function textBytesSql(columns: readonly Column[]): string | undefined {
  const lengths = columns.flatMap(({name, type}) => {
    const column = `t.${quoteIdentifier(name)}`;
    const length = (of: string): string => `coalesce(pg_catalog.${of}(${column})::pg_catalog.int8, 0)`;
    if (type === 'bytea') return [`2 * ${length('octet_length')}`];
    if (/^(?:text|character varying|character)\b/.test(type) && !type.endsWith('[]'))
      return [length('octet_length')];
    // The stored value, compressed or not, is never longer than its text.
    return type === 'json' || type === 'xml' ? [length('pg_column_size')] : [];
  });
  return lengths.length === 0 ? undefined : lengths.join(' + ');
}

/** The bytes of a table's large values on the disk, including its partitions, by oid of the table. */
async function toastBytes(session: Session, tables: readonly Table[]): Promise<Map<string, number>> {
  const rows = await session.query(
    `SELECT w.oid::text AS oid, coalesce(sum(pg_catalog.pg_relation_size(c.reltoastrelid)), 0)::bigint AS bytes
       FROM pg_catalog.unnest($1::oid[]) AS w(oid)
      CROSS JOIN LATERAL (SELECT w.oid AS part UNION SELECT relid::oid FROM pg_catalog.pg_partition_tree(w.oid)) p
       JOIN pg_catalog.pg_class c ON c.oid = p.part
      GROUP BY 1`,
    [`{${tables.map(({oid}) => oid).join(',')}}`],
  );
  return new Map(parseRows(toastRow, rows).map(({oid, bytes}) => [oid, bytes]));
}
