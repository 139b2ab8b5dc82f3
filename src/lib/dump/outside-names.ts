/** What definitions of a part of a database refer to outside of the dump: pg_dump qualifies every name but those in functions' bodies. */
import type {ObjectName} from '../fingerprint/table-contents.js';
import type {DumpDefinition} from './dump-definitions.js';
import {qualifiedNames} from './select-tables.js';
import {readIdentifier, readQualifiedName} from './sql/sql-names.js';

/** Kinds whose text names what they need; what hangs on others goes with them. */
const readTypes = new Set([
  'AGGREGATE', 'CAST', 'CHECK CONSTRAINT', 'CONSTRAINT', 'DEFAULT', 'DOMAIN', 'FK CONSTRAINT', 'FOREIGN TABLE', 'FUNCTION', 'INDEX',
  'MATERIALIZED VIEW', 'POLICY', 'PROCEDURE', 'RULE', 'STATISTICS', 'TABLE', 'TABLE ATTACH', 'TRIGGER', 'TYPE', 'VIEW',
]); // prettier-ignore
/** In these, `name.column` may be a column of a table of that name. */
const queryTypes = new Set(['MATERIALIZED VIEW', 'POLICY', 'RULE', 'VIEW']);

/** Texts and functions' bodies, and quoted names, which are kept. */
export const quotedParts =
  /\$((?:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?)\$[^]*?\$\1\$|E'(?:[^'\\]|''|\\[^])*'|'(?:[^']|'')*'|"(?:[^"]|"")*"/g;

/**
 * @param isOutside whether the dump was made without what has this name
 * @returns the names by the places of the definitions
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

/** "public payments payments_user_id_fkey", by which foreign keys to tables outside of a dump are known. */
export function keyOfConstraint({schema, name}: ObjectName): string {
  return `${schema} ${name}`;
}

/** The table of a row security policy that takes rows away rather than shows them, or of any policy. */
export function policyTable({type, statements}: DumpDefinition, isRestrictive: boolean): string | undefined {
  const [text = ''] = statements;
  if (type !== 'POLICY') return undefined;
  const at = (readIdentifier(text, text.indexOf('POLICY ') + 7)?.end ?? 0) + ' ON '.length;
  const table = readQualifiedName(text, at);
  if (!table || (isRestrictive && !text.startsWith(' AS RESTRICTIVE', table.end))) return undefined;
  return JSON.stringify([table.schema, table.name]);
}
