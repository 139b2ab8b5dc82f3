/** Whether the server can give each row of an order backup: looked at before any is read, in preview and execution alike. */
import {z} from 'zod';
import {AppError} from '../../../base/errors.js';
import {formatBytes, formatCount} from '../../../base/format.js';
import type {Session} from '../../../postgres/client.js';
import {parseRows, pgCount} from '../../../postgres/inspect/inspect-database.js';
import {quoteIdentifier} from '../../../postgres/quote.js';
import {isNoted, keyTextSql} from '../rules/order-conditions.js';
import {relationSql} from '../rules/relation-sql.js';
import type {Column, Table} from '../../../rows/model/read-schema.js';
import {leafRowsSql, type Notes} from './collect-rows.js';
import type {SnapshotRows} from './write-order-snapshot.js';

/** MaxAllocSize in src/include/utils/memutils.h: no text that the server makes is longer. */
export const mostRowBytes = 0x3fffffff;

/** How much smaller than its text a stored row can be: pglz and lz4 make at most 255 bytes of one, bytea doubles. */
const mostGrowth = 1024;

const toastRow = z.object({oid: z.string(), bytes: pgCount});
const largestRow = z.object({key: z.string().nullable(), bytes: pgCount});

/**
 * Asks for lengths only, which are stored beside the values, and only where a table holds large values at all.
 * What a text grows by when its quotes and line breaks are escaped is not counted: that the server refuses while it writes the row.
 * @param limit `mostRowBytes`, or less in tests
 * @throws NOT_SUPPORTED_HERE naming the row and its size; nothing was changed
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
      `${table.label}: ${named} has ${formatBytes(largest.bytes)} as text (${formatCount(largest.bytes)} bytes), and the server gives no more than ${formatBytes(limit)} at once: it cannot be backed up. Nothing was changed.`,
      {hint: 'Shorten the value, or leave its order out with --exclude-id.'},
    );
  }
}

interface RowSource {
  readonly table: Table;
  readonly columns: readonly Column[];
  /** SQL: the rows as `t`. */
  readonly from: string;
}

function sourcesOf({notes, deleted, relinked}: SnapshotRows): RowSource[] {
  return [
    ...deleted.map((part): RowSource => {
      if ('noted' in part) return {...notedSource(part.noted), columns: part.noted.table.columns};
      const {table} = part.leaf;
      return {table, columns: table.columns, from: leafRowsSql(part.leaf, notes)};
    }),
    ...relinked.map(({noted, columns}) => ({...notedSource(noted), columns})),
  ];
}

function notedSource({table, sql}: Notes['deleted'][number]): Pick<RowSource, 'table' | 'from'> {
  return {table, from: `${relationSql(table)} t JOIN ${sql} s ON ${isNoted}`};
}

/** SQL: at least how many bytes the columns have as text; undefined where none can be large. */
function textBytesSql(columns: readonly Column[]): string | undefined {
  const lengths = columns.flatMap(({name, type}) => {
    const column = `t.${quoteIdentifier(name)}`;
    const length = (of: string): string => `coalesce(pg_catalog.${of}(${column})::pg_catalog.int8, 0)`;
    if (type === 'bytea') return [`2 * ${length('octet_length')}`];
    if (/^(?:text|character varying|character)\b/.test(type) && !type.endsWith('[]'))
      return [length('octet_length')];
    // As it is stored, compressed or not, it is no longer than its text.
    return type === 'json' || type === 'xml' ? [length('pg_column_size')] : [];
  });
  return lengths.length === 0 ? undefined : lengths.join(' + ');
}

/** By oid of the table: how many bytes its large values take on the disk, those of its partitions included. */
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
