/** Finds signs of personal data in definitions, which no mask changes: comments, defaults, labels of enums, views, functions. */
import type {DumpDefinition} from '../dump/dump-definitions.js';
import {hasValidCheckDigit, type PersonalKind, valueSigns} from './personal-kinds.js';

export interface PersonalDefinition {
  /** Type and name as pg_dump writes them, as in "COMMENT public.COLUMN orders.note"; the key of a rule. */
  readonly definition: string;
  readonly kinds: readonly PersonalKind[];
}

/** Functions and network rules are full of IP addresses that belong to nobody. */
const signs = valueSigns.flatMap((sign) =>
  sign.onlyJson === true || sign.kind === 'ip' ? [] : [{...sign, regExp: new RegExp(sign.pattern, 'g')}],
);

/** Options of another server's role. */
const storedPassword = /\bpassword\b\s*(?:=|')/i;
const withPasswords = new Set(['USER MAPPING', 'SUBSCRIPTION', 'SERVER']);

/** @returns by name, each once */
export function findPersonalInDefinitions(
  definitions: readonly Pick<DumpDefinition, 'type' | 'schema' | 'name' | 'statements'>[],
): PersonalDefinition[] {
  const found = new Map<string, Set<PersonalKind>>();
  for (const {type, schema, name, statements} of definitions) {
    const definition = `${type} ${schema === '-' ? '' : `${schema}.`}${name}`.trim();
    for (const text of statements)
      for (const kind of kindsIn(type, text))
        found.set(definition, (found.get(definition) ?? new Set()).add(kind));
  }
  return [...found]
    .map(([definition, kinds]) => ({definition, kinds: [...kinds]}))
    .sort((one, other) => (one.definition < other.definition ? -1 : 1));
}

function kindsIn(type: string, text: string): PersonalKind[] {
  const kinds = signs.flatMap(({kind, contains, regExp, hasCheckDigit}) => {
    if (!text.includes(contains)) return [];
    const matches = [...text.matchAll(regExp)];
    return matches.some(([match]) => hasCheckDigit !== true || hasValidCheckDigit(match)) ? [kind] : [];
  });
  return withPasswords.has(type) && storedPassword.test(text) ? [...kinds, 'secret'] : kinds;
}
