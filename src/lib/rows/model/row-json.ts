/** How a row is written as server-made JSON so that reading it gives back the same bytes: shared by clean and restore. */
import {quoteIdentifier} from '../../postgres/quote.js';

/**
 * SQL condition on `pg_type` under `alias`: whether JSON must carry a column of that type as its text, in a JSON string.
 * row_to_json and json_populate_record alone lose four things: a JSON null inside json and jsonb becomes SQL NULL; a json
 * value's own line breaks would end the line; arrays lose lower bounds other than 1; a type with its own cast to json
 * (hstore) cannot read what it wrote. Built-in scalar types, ranges and enums are exact as they are.
 */
export function carriedAsText(alias: string): string {
  return `(NOT (${alias}.typtype = 'e' OR ${alias}.typtype IN ('b', 'r', 'm')
      AND ${alias}.typnamespace = 'pg_catalog'::pg_catalog.regnamespace AND ${alias}.typcategory <> 'A'
      AND ${alias}.oid NOT IN ('pg_catalog.json'::pg_catalog.regtype, 'pg_catalog.jsonb'::pg_catalog.regtype)))`;
}

/** A column as the order backup describes it; `asText` is what `carriedAsText` said when the backup was written. */
export interface RowColumn {
  readonly name: string;
  readonly asText: boolean;
  /** SQL of the value where it is not the row's column of that name. */
  readonly sql?: string;
}

/**
 * SQL expression: the JSON text of the row `alias`, its columns in the given order, without line breaks.
 * Example: (SELECT pg_catalog.row_to_json(x.*)::text FROM (SELECT t."id", t."rawData"::text AS "rawData") x)
 */
export function rowJsonExpression(alias: string, columns: readonly RowColumn[]): string {
  return `(${rowJsonQuery(alias, columns, '')})`;
}

/**
 * SQL query: those texts for the rows of `from`, a FROM clause with all that follows. Cheaper for many rows than the
 * expression for each, and, unlike it, something that the server can do on several cores.
 */
export function rowJsonQuery(alias: string, columns: readonly RowColumn[], from: string): string {
  const list = columns.map(({name, asText, sql}) => {
    const column = sql ?? `${alias}.${quoteIdentifier(name)}`;
    if (asText) return `${column}::pg_catalog.text AS ${quoteIdentifier(name)}`;
    return sql === undefined ? column : `${column} AS ${quoteIdentifier(name)}`;
  });
  return `SELECT pg_catalog.row_to_json(x.*)::pg_catalog.text FROM (SELECT ${list.join(', ')} ${from}) x`;
}
