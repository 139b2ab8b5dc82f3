/** Chooses what to restore of an archive from its table of contents. */

import type {DetectedDump} from '../archive/detect-format.js';
import type {DumpSection} from '../archive/plain-dump-filter.js';

export interface NamedTable {
  readonly schema: string;
  readonly name: string;
}

export interface EntrySelection {
  readonly isSuperuser: boolean;
  readonly dump: Pick<DetectedDump, 'dumpMajor' | 'format'>;
  /** All tables of the dump, to tell apart names that begin alike. */
  readonly tables: readonly NamedTable[];
  /** Only these tables; everything when empty. */
  readonly onlyTables: readonly NamedTable[];
}

const entry = (pattern: string): RegExp => new RegExp(`^\\d+; \\d+ \\d+ (?:${pattern}) `);
const publicSchema = entry('SCHEMA - public');
const procedural = entry('EXTENSION - plpgsql');
/** Comments that only the object's owner may set, and that say the same everywhere. */
const ownersOnly = entry('COMMENT - (?:SCHEMA public|EXTENSION (?:plpgsql|"plpgsql"))');

/** From 15 on the entry of the schema "public" makes nothing and only sets the owner (dumpNamespace in pg_dump.c). */
const firstMajorWithoutPublic = 15;

/** Whether the owner of the schema "public" is restored: every database has the schema, and not everybody may give it away. */
function keepsPublicSchema({dump, isSuperuser}: Pick<EntrySelection, 'dump' | 'isSuperuser'>): boolean {
  return dump.format === 'sql' || (isSuperuser && (dump.dumpMajor ?? 0) >= firstMajorWithoutPublic);
}

/** Why `selectEntries`, and what does the same for plain dumps, leave a definition out; undefined where they do not. */
export function whyLeftOut(
  {type, name}: Pick<DumpSection, 'type' | 'name'>,
  selection: Pick<EntrySelection, 'dump' | 'isSuperuser'>,
): string | undefined {
  const isOwnersOnly =
    type === 'COMMENT' && !selection.isSuperuser && /^(?:SCHEMA public|EXTENSION "?plpgsql"?)$/.test(name);
  const isPublic = type === 'SCHEMA' && name === 'public' && !keepsPublicSchema(selection);
  return isOwnersOnly || isPublic ? 'what every database has already' : undefined;
}

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
    const isEverywhere =
      procedural.test(line) ||
      (publicSchema.test(line) && !keepsPublicSchema(selection)) ||
      (!selection.isSuperuser && ownersOnly.test(line));
    if (isEverywhere) {
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
