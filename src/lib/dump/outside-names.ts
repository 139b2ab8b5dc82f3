/** Finds names outside the dump that definitions of a partial dump refer to: pg_dump qualifies every name except those in function bodies. */
import {qualifiedName} from '../base/qualified-name.js';
import type {ObjectName} from '../fingerprint/table-contents.js';
import type {DumpDefinition} from './dump-definitions.js';
import {qualifiedNames} from './select-tables.js';
import {readIdentifier, readQualifiedName} from './sql/sql-names.js';

/** Types whose text contains the names that they need; dependent objects follow them. */
const readTypes = new Set([
  'AGGREGATE', 'CAST', 'CHECK CONSTRAINT', 'CONSTRAINT', 'DEFAULT', 'DOMAIN', 'FK CONSTRAINT', 'FOREIGN TABLE', 'FUNCTION', 'INDEX',
  'MATERIALIZED VIEW', 'POLICY', 'PROCEDURE', 'RULE', 'STATISTICS', 'TABLE', 'TABLE ATTACH', 'TRIGGER', 'TYPE', 'VIEW',
]); // prettier-ignore
/** In these, `name.column` may be a column of a table of that name. */
const queryTypes = new Set(['MATERIALIZED VIEW', 'POLICY', 'RULE', 'VIEW']);

/** Strings and function bodies, and quoted names, which are kept. */
export const quotedParts =
  /\$((?:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?)\$[^]*?\$\1\$|E'(?:[^'\\]|''|\\[^])*'|'(?:[^']|'')*'|"(?:[^"]|"")*"/g;

/**
 * @param isOutside whether the object of this name was excluded from the dump
 * @returns the names by the index of the definition
 */
export function namesOutside(
  definitions: readonly DumpDefinition[],
  isOutside: (name: ObjectName) => boolean,
): ReadonlyMap<number, readonly ObjectName[]> {
  const keyOf = ({schema, name}: ObjectName): string => JSON.stringify([schema, name.replace(/\(.*$/s, '')]);
  const own = new Set(definitions.map(keyOf));
  const found = new Map<number, readonly ObjectName[]>();
  definitions.forEach(({type, statements}, index) => {
    if (!readTypes.has(type)) return;
    const text = statements
      .join('\n')
      .replaceAll(quotedParts, (part) => (part.startsWith('"') ? part : "''"));
    const bare = queryTypes.has(type) ? text.replaceAll(/"(?:[^"]|"")*"/g, '""') : '';
    const aliases = new Set([...bare.matchAll(/[\s.)](\w+)(?![\w.])/g)].map(([, word]) => word));
    const names = qualifiedNames(text).filter(
      (one) => isOutside(one) && !own.has(keyOf(one)) && !aliases.has(one.schema),
    );
    if (names.length > 0) found.set(index, names);
  });
  return found;
}

/**
 * @param tables "schema.name"
 * @returns the indexes of the foreign keys from other tables to these
 */
export function keysToTables(
  definitions: readonly DumpDefinition[],
  tables: ReadonlySet<string>,
): ReadonlySet<number> {
  const found = new Set<number>();
  if (tables.size === 0) return found;
  definitions.forEach(({type, statements}, index) => {
    if (type !== 'FK CONSTRAINT') return;
    const names = qualifiedNames(statements.join('\n')).map(qualifiedName);
    const [from = '', to = ''] = [names[0], names.at(-1)];
    if (tables.has(to) && !tables.has(from)) found.add(index);
  });
  return found;
}

/** "public payments payments_user_id_fkey": identifies foreign keys to tables outside the dump. */
export function keyOfConstraint({schema, name}: ObjectName): string {
  return `${schema} ${name}`;
}

/** The table of a restrictive row security policy, or of any policy. */
export function policyTable({type, statements}: DumpDefinition, isRestrictive: boolean): string | undefined {
  const [text = ''] = statements;
  if (type !== 'POLICY') return undefined;
  const at = (readIdentifier(text, text.indexOf('POLICY ') + 7)?.end ?? 0) + ' ON '.length;
  const table = readQualifiedName(text, at);
  if (!table || (isRestrictive && !text.startsWith(' AS RESTRICTIVE', table.end))) return undefined;
  return JSON.stringify([table.schema, table.name]);
}
