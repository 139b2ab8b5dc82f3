/** Finds columns whose type is the same in the backup and in the database, so that the server reads their values equally. */
import type {DumpDefinition} from '../../dump/dump-definitions.js';
import {readIdentifier, readQualifiedName} from '../../dump/sql/sql-names.js';
import type {NamedTable} from '../../postgres/quote.js';
import type {TargetTable} from '../../rows/staging/restore-target.js';

/** The text of money depends on the server's settings; "bit" is also the beginning of "bit varying". */
const unsure = new Set(['money', 'bit']);

/** Names of the columns with a built-in or enum type that pg_dump wrote exactly as the catalog has it now. */
export function columnsOfSameType(
  definitions: readonly DumpDefinition[],
  source: NamedTable,
  target: TargetTable,
): ReadonlySet<string> {
  const types = definitions.flatMap(({type, statements}) =>
    type === 'TABLE' ? statements.flatMap((statement) => columnLines(statement, source)) : [],
  );
  const same = target.columns.filter(({name, type, asText}) => {
    const found = types.filter((each) => each.name === name);
    const rest = found[0]?.rest ?? '';
    const isBuiltIn = !unsure.has(type) && (!asText || !type.includes('.'));
    return (
      isBuiltIn && found.length === 1 && rest.startsWith(type) && /^(?:[, ]|$)/.test(rest.slice(type.length))
    );
  });
  return new Set(same.map(({name}) => name));
}

/** The target's columns that the backup has too, in the target's order. @param definitions none where they were not read */
export function columnsInBackup(
  definitions: readonly DumpDefinition[],
  sources: readonly NamedTable[],
  target: TargetTable,
): readonly string[] {
  const names = new Set(
    definitions
      .flatMap(({type, statements}) =>
        type === 'TABLE'
          ? sources.flatMap((source) => statements.flatMap((statement) => columnLines(statement, source)))
          : [],
      )
      .map(({name}) => name),
  );
  return target.columns
    .filter(({name, generated}) => !generated && (names.size === 0 || names.has(name)))
    .map(({name}) => name);
}

/** Possible columns in the table's CREATE statement: the name, and the rest of the line. */
function columnLines(statement: string, table: NamedTable): {name: string; rest: string}[] {
  const [before] = /^CREATE (?:UNLOGGED )?TABLE /.exec(statement) ?? [];
  const named = before === undefined ? undefined : readQualifiedName(statement, before.length);
  if (named?.schema !== table.schema || named.name !== table.name) return [];
  return statement
    .slice(named.end)
    .split('\n')
    .flatMap((line) => {
      const column = line.startsWith('    ') ? readIdentifier(line, 4) : undefined;
      return column ? [{name: column.name, rest: line.slice(column.end + 1)}] : [];
    });
}
