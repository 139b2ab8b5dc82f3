/** Reads identifiers as pg_dump writes them into statements. */

/** The identifier at `start` of `text`, unquoted, and the position after it; undefined if there is none. */
export function readIdentifier(text: string, start: number): {name: string; end: number} | undefined {
  const pattern = /"((?:[^"]|"")*)"|([^\s"'.,;()]+)/y;
  pattern.lastIndex = start;
  const match = pattern.exec(text);
  if (!match) return undefined;
  return {name: match[1]?.replaceAll('""', '"') ?? match[2] ?? '', end: pattern.lastIndex};
}

/** `schema.name` at `start`; the schema of an unqualified name is empty. */
export function readQualifiedName(
  text: string,
  start: number,
): {schema: string; name: string; end: number} | undefined {
  const first = readIdentifier(text, start);
  if (!first) return undefined;
  if (text[first.end] !== '.') return {schema: '', ...first};
  const second = readIdentifier(text, first.end + 1);
  return second && {schema: first.name, ...second};
}

export interface CopyStatement {
  readonly schema: string;
  readonly name: string;
  readonly columns: readonly string[];
}

/** The table and columns of `COPY schema.name (a, b) FROM stdin;`; undefined for any other statement. */
export function readCopyStatement(statement: string): CopyStatement | undefined {
  if (!statement.startsWith('COPY ')) return undefined;
  const table = readQualifiedName(statement, 5);
  if (!table) return undefined;
  const columns: string[] = [];
  let position = table.end;
  if (statement.startsWith(' (', position)) {
    do {
      const column = readIdentifier(statement, position + 2);
      if (!column) return undefined;
      columns.push(column.name);
      position = column.end;
    } while (statement.startsWith(', ', position));
    if (statement[position] !== ')') return undefined;
    position += 1;
  }
  // For a table without columns, there are two blanks.
  if (!/^ {1,2}FROM stdin;$/.test(statement.slice(position))) return undefined;
  return {schema: table.schema, name: table.name, columns};
}
