/** SQL names of a table, and types and equality of its columns. */
import {quoteQualified} from '../../../postgres/quote.js';
import {builtInEquality, type Operator} from '../../../rows/model/operators.js';
import type {Column, Table} from '../../../rows/model/read-schema.js';

/** The table itself, without tables that inherit from it. */
export function relationSql(table: Table): string {
  return `${table.isPartitioned ? '' : 'ONLY '}${quoteQualified(table.schema, table.name)}`;
}

export function columnType(
  {columns}: {readonly columns: readonly Pick<Column, 'name' | 'type'>[]},
  name: string,
): string {
  return columns.find((column) => column.name === name)?.type ?? 'text';
}

/** The operator by which two values of the column are equal. */
export function equalityOf(table: Table, name: string): Operator {
  return table.columns.find((column) => column.name === name)?.equality ?? builtInEquality;
}
