/** Chooses what to restore of an archive from its table of contents. */

import {formats} from '../base/formats.js';
import type {DetectedDump} from './detect-format.js';
import type {LeftOutEntries} from './left-out-entries.js';
import type {DumpSection} from './plain-dump-filter.js';
import type {NamedTable} from '../postgres/quote.js';

export interface EntrySelection {
  readonly isSuperuser: boolean;
  readonly dump: Pick<DetectedDump, 'dumpMajor' | 'format'>;
  /** What else is not restored. */
  readonly leftOut?: LeftOutEntries | undefined;
  /** All tables of the dump, to tell apart names that begin alike. */
  readonly tables: readonly NamedTable[];
  /** Only these tables; everything when empty. */
  readonly onlyTables: readonly NamedTable[];
  /** What of the dump the tables come with, as `listedName` names it; the tables' own entries alone without it. */
  readonly selected?: ReadonlySet<string> | undefined;
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
  return !formats[dump.format].isArchive || (isSuperuser && (dump.dumpMajor ?? 0) >= firstMajorWithoutPublic);
}

/** Why `selectEntries`, and what does the same for plain dumps, leave a definition out; undefined where they do not. */
export function whyLeftOut(
  definition: DumpSection,
  selection: Pick<EntrySelection, 'dump' | 'isSuperuser' | 'leftOut'>,
): string | undefined {
  const {type, name} = definition;
  const chosen = selection.leftOut?.why(definition);
  if (chosen !== undefined) return chosen;
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
  const tableOf = tableFinder(selection.tables);
  const entries = lines.filter((line) => {
    const isEverywhere =
      procedural.test(line) ||
      (publicSchema.test(line) && !keepsPublicSchema(selection)) ||
      (!selection.isSuperuser && ownersOnly.test(line));
    if (isEverywhere) {
      left.push(`left out, the target has its own: ${line.replace(/^\d+; \d+ \d+ /, '')}`);
      return false;
    }
    const listed = line.replace(/^\d+; \d+ \d+ /, '');
    if (selection.leftOut?.whyListed(listed) !== undefined) return false;
    if (selection.onlyTables.length === 0) return true;
    if (selection.selected) return selection.selected.has(listed);
    const table = tableOf(line);
    return selection.onlyTables.some(
      (wanted) => wanted.schema === table?.schema && wanted.name === table.name,
    );
  });
  return {entries, left};
}

/**
 * Finds the table whose definition or rows an entry is.
 * @param kinds pattern of the entries that count
 */
function tableFinder(
  tables: readonly NamedTable[],
  kinds = 'TABLE (?:DATA )?',
): (line: string) => NamedTable | undefined {
  const byName = new Map(tables.map((table) => [`${table.schema} ${table.name}`, table]));
  const pattern = new RegExp(`^\\d+; \\d+ \\d+ ${kinds}(.*)$`, 's');
  return (line) => {
    const rest = pattern.exec(line)?.[1] ?? '';
    for (let end = rest.lastIndexOf(' '); end > 0; end = rest.lastIndexOf(' ', end - 1)) {
      const table = byName.get(rest.slice(0, end));
      if (table) return table;
    }
    return undefined;
  };
}

/**
 * Sorts the entries into passes.
 * @param queue whether the rows of a table, or what is none, come in this pass; whether another is needed
 */
export function orderEntries(
  lines: readonly string[],
  tables: readonly NamedTable[],
  queue: {allows(table: NamedTable | null): boolean; next(): boolean},
): string[] {
  const tableOf = tableFinder(tables, 'TABLE DATA ');
  const ordered: string[] = [];
  do ordered.push(...lines.filter((line) => queue.allows(tableOf(line) ?? null)));
  while (queue.next());
  return ordered;
}
