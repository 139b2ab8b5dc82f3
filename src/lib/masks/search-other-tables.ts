/** Reads the tables of a restored database that a search for personal data has not seen. */
import {qualifiedName} from '../base/qualified-name.js';
import {fingerprintDatabase} from '../fingerprint/fingerprint.js';
import type {Workers} from '../postgres/in-sessions.js';
import type {PersonalFinder} from './find-personal.js';
import {type MaskRules, ruledColumns} from './mask-rules.js';
import {familyOf} from './personal-kinds.js';
import type {Column, Table} from './read-tables.js';
import {canContainText} from './text-columns.js';

/**
 * Rows that come from elsewhere than the backup's COPY statements are among them, such as those that a service already had.
 * @param tables all of the database
 * @param finder may have seen some tables
 * @returns "schema.table" of each table without the character @ in any text
 * @throws ROW_SECURITY where a policy hides rows
 */
export async function searchOtherTables(
  {connection, sessions, signal}: Workers,
  tables: readonly Table[],
  rules: MaskRules,
  finder: PersonalFinder,
): Promise<ReadonlySet<string>> {
  const isRuled = ruledColumns(rules);
  const stored = ({columns}: Table): Column[] => columns.filter(({generated}) => !generated);
  const hasRows = ({kind, hasParts}: Table): boolean =>
    (kind === 'table' || kind === 'partition') && !hasParts;
  const filled = tables.filter(hasRows);
  const others = filled.filter((table) => {
    const names = stored(table).map(({name}) => name);
    return !finder.hasSeen(
      table,
      names.filter((name) => !isRuled(table.top, name)),
    );
  });
  const read = others.map((table) => ({
    schema: table.schema,
    name: table.name,
    columns: stored(table).map(({name}) => name),
    families: new Map(stored(table).map(({name, base, isEnum}) => [name, isEnum ? 'other' : familyOf(base)])),
  }));
  await fingerprintDatabase(connection, read, {
    sessions,
    signal,
    takerOf: (table, encoding) => {
      const one = read.find(({schema, name}) => schema === table.schema && name === table.name);
      return one && finder.takerOfTable(one, one.families, encoding);
    },
  });
  const computesText = ({columns}: Table): boolean =>
    columns.some((column) => column.generated && canContainText(column));
  // The dump does not describe the partitions of an extension.
  const withAt = new Set(filled.filter(finder.hasSeenAt).map(({top}) => qualifiedName(top)));
  const withoutAt = tables.filter(
    (table) => table.kind === 'table' && !withAt.has(qualifiedName(table)) && !computesText(table),
  );
  return new Set(withoutAt.map(qualifiedName));
}
