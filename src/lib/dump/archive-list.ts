/** Selects the entries of an archive to restore from its table of contents. */

import {formats} from '../base/formats.js';
import type {DetectedDump} from './detect-format.js';
import type {LeftOutEntries} from './left-out-entries.js';
import type {DumpSection} from './plain-dump-filter.js';
import type {NamedTable} from '../postgres/quote.js';

export interface EntrySelection {
  readonly isSuperuser: boolean;
  readonly dump: Pick<DetectedDump, 'dumpMajor' | 'format'>;
  /** Further entries to leave out. */
  readonly leftOut?: LeftOutEntries;
  /** All tables of the dump, to distinguish names with the same beginning. */
  readonly tables: readonly NamedTable[];
  /** Only these tables; all if empty. */
  readonly onlyTables: readonly NamedTable[];
  /** Entries to restore together with the tables, named as by `listedName`; without it, only the tables' own entries. */
  readonly selected?: ReadonlySet<string>;
}

const entry = (pattern: string): RegExp => new RegExp(`^\\d+; \\d+ \\d+ (?:${pattern}) `);
const publicSchema = entry('SCHEMA - public');
const procedural = entry('EXTENSION - plpgsql');
/** Types of `isStatistics`. */
const statistics = entry('(?:EXTENDED )?STATISTICS DATA');
/** Comments that only the object's owner may set, and that are equal in every database. */
const ownersOnly = entry('COMMENT - (?:SCHEMA public|EXTENSION (?:plpgsql|"plpgsql"))');

/** From 15 on, the entry of the schema "public" creates nothing and only sets the owner (dumpNamespace in pg_dump.c). */
const firstMajorWithoutPublic = 15;

/** Whether to restore the owner of the schema "public": every database has the schema, but only some roles may change its owner. */
function keepsPublicSchema({dump, isSuperuser}: Pick<EntrySelection, 'dump' | 'isSuperuser'>): boolean {
  return !formats[dump.format].isArchive || (isSuperuser && (dump.dumpMajor ?? 0) >= firstMajorWithoutPublic);
}

/** Why `selectEntries`, and its counterpart for plain dumps, leave out a definition; undefined if they do not. */
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
  return isOwnersOnly || isPublic ? 'present in every database' : undefined;
}

/**
 * @param lines of `pg_restore --list`: `3456; 0 16402 TABLE DATA public orders shop` (names are unquoted, so ambiguous
 *   if they contain spaces; the longest known name wins)
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
      left.push(`left out, because the target has its own: ${line.replace(/^\d+; \d+ \d+ /, '')}`);
      return false;
    }
    if (statistics.test(line)) return false;
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
 * Finds the table to which an entry with a definition or rows belongs.
 * @param kinds pattern of the entry types
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
 * @param queue whether the rows of a table, or another entry (undefined), are in this pass; whether another pass is needed
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
