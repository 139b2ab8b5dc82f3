/** Quoting of SQL identifiers and literals (manual, 4.1). */

export interface NamedTable {
  readonly schema: string;
  readonly name: string;
}

/** An identifier in double quotes, safe for any name. */
export function quoteIdentifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** "schema"."name" */
export function quoteQualified(schema: string, name: string): string {
  return `${quoteIdentifier(schema)}.${quoteIdentifier(name)}`;
}

/** A string literal, safe for any value of standard_conforming_strings. */
export function quoteLiteral(value: string): string {
  const quoted = `'${value.replaceAll("'", "''")}'`;
  return value.includes('\\') ? ` E${quoted.replaceAll('\\', '\\\\')}` : quoted;
}

/** A value in a conninfo string, single-quoted (manual, 34.1.1.1). */
export function conninfoValue(value: string): string {
  return `'${value.replace(/['\\]/g, '\\$&')}'`;
}
