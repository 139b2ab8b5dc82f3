/** The patterns of pg_dump's --table and --schema (psql manual, "Patterns"), as pg_dump reads them with LC_ALL=C. */

/** A parsed pattern; without a schema it means "visible in the search path". */
export interface NamePattern {
  readonly schema: RegExp | undefined;
  readonly name: RegExp;
}

/**
 * Parses a pattern: `*` any characters, `?` one, unquoted ASCII letters fold to lower case, double quotes make a part
 * literal, and a dot outside quotes separates schema and name (a database part is ignored).
 */
export function parseNamePattern(pattern: string): NamePattern {
  const parts: string[] = [''];
  let isQuoted = false;
  for (let index = 0; index < pattern.length; index += 1) {
    const character = pattern.charAt(index);
    const last = parts.length - 1;
    const append = (text: string): void => void (parts[last] = (parts[last] ?? '') + text);
    if (character === '"') {
      if (isQuoted && pattern.charAt(index + 1) === '"') {
        append('"');
        index += 1;
      } else isQuoted = !isQuoted;
    } else if (isQuoted) append(escapeForRegExp(character));
    else if (character === '.') parts.push('');
    else if (character === '*') append('.*');
    else if (character === '?') append('.');
    // psql passes other regular expression characters to the server's regex, except "$", which is literal.
    else if (character === '$') append('\\$');
    else append(/[A-Z]/.test(character) ? character.toLowerCase() : character);
  }
  const name = parts.at(-1) ?? '';
  const schema = parts.length > 1 ? parts.at(-2) : undefined;
  return {schema: schema === undefined ? undefined : wholeMatch(schema), name: wholeMatch(name)};
}

export interface NamedRelation {
  readonly schema: string;
  readonly name: string;
  readonly isVisible: boolean;
}

export function matchesPattern(pattern: NamePattern, relation: NamedRelation): boolean {
  if (!pattern.name.test(relation.name)) return false;
  return pattern.schema === undefined ? relation.isVisible : pattern.schema.test(relation.schema);
}

function wholeMatch(source: string): RegExp {
  try {
    return new RegExp(`^(?:${source})$`, 'su');
  } catch {
    return new RegExp(`^(?:${escapeForRegExp(source)})$`, 'su');
  }
}

function escapeForRegExp(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
}
