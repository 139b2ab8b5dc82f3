/** Chooses what to restore of an archive from its table of contents. */

export interface NamedTable {
  readonly schema: string;
  readonly name: string;
}

export interface EntrySelection {
  readonly isSuperuser: boolean;
  /** All tables of the dump, to tell apart names that begin alike. */
  readonly tables: readonly NamedTable[];
  /** Only these tables; everything when empty. */
  readonly onlyTables: readonly NamedTable[];
}

/** Entries that would stop a restore although every database has these objects already. */
const everywhere = /^\d+; \d+ \d+ (?:SCHEMA - public|EXTENSION - plpgsql) /;
/** Comments that only the object's owner may set, and that say the same everywhere. */
const ownersOnly = /^\d+; \d+ \d+ COMMENT - (?:SCHEMA public|EXTENSION (?:plpgsql|"plpgsql")) /;

/**
 * @param lines of `pg_restore --list`: `3456; 0 16402 TABLE DATA public orders shop` (names unquoted, so ambiguous
 *   when they have spaces; the longest known name is meant then)
 */
export function selectEntries(
  lines: readonly string[],
  selection: EntrySelection,
): {entries: string[]; left: string[]} {
  const left: string[] = [];
  const entries = lines.filter((line) => {
    if (everywhere.test(line) || (!selection.isSuperuser && ownersOnly.test(line))) {
      left.push(`left out, the target has its own: ${line.replace(/^\d+; \d+ \d+ /, '')}`);
      return false;
    }
    if (selection.onlyTables.length === 0) return true;
    const table = tableOf(line, selection.tables);
    return selection.onlyTables.some(
      (wanted) => wanted.schema === table?.schema && wanted.name === table.name,
    );
  });
  return {entries, left};
}

/** The table whose definition or rows the entry is. */
function tableOf(line: string, tables: readonly NamedTable[]): NamedTable | undefined {
  const rest = /^\d+; \d+ \d+ TABLE (?:DATA )?(.*)$/.exec(line)?.[1];
  if (rest === undefined) return undefined;
  return tables
    .filter((table) => rest.startsWith(`${table.schema} ${table.name} `))
    .sort((a, b) => b.name.length + b.schema.length - (a.name.length + a.schema.length))[0];
}
