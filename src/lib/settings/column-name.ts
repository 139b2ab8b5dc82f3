/** Names of columns and tables in the config file: "schema.table.column". */

/** The parts, unquoted; undefined if the name is not valid. Parts with dots or quotes take double quotes, as in SQL. */
export function columnNameParts(name: string): string[] | undefined {
  if (!/^(?:"(?:[^"]|"")+"|[^".]+)(?:\.(?:"(?:[^"]|"")+"|[^".]+))*$/.test(name)) return undefined;
  return [...name.matchAll(/"((?:[^"]|"")+)"|[^".]+/g)].map(
    ([whole, quoted]) => quoted?.replaceAll('""', '"') ?? whole,
  );
}

/** The reverse: quotes a part only where it needs it. */
export function columnName(...parts: readonly string[]): string {
  return parts.map((part) => (/["\.]/.test(part) ? `"${part.replaceAll('"', '""')}"` : part)).join('.');
}
