/** Reads owners, grants and default privileges from the statements of a dump, as pg_dump writes them. */

export type RightsStatement =
  | {readonly kind: 'owner'; readonly role: string}
  /** @property role null for PUBLIC  @property privilegesOf whose default privileges it changes */
  | {readonly kind: 'grant'; readonly role: string | null; readonly privilegesOf: string | null}
  /** The grantor of the following statements; null for the role of the session. */
  | {readonly kind: 'grantor'; readonly role: string | null};

/** An identifier or literal in quotes, a word, or a single character. */
const token = /"(?:[^"]|"")*"|E'(?:[^'\\]|''|\\[^])*'|'(?:[^']|'')*'|[^\s"'(),;]+|[(),;]/g;

/** The effect of the statement on privileges; undefined if it has none. */
export function readRightsStatement(sql: string): RightsStatement | undefined {
  if (!/^(?:ALTER|GRANT|REVOKE|SET SESSION AUTHORIZATION|RESET SESSION AUTHORIZATION)\b/.test(sql))
    return undefined;
  const tokens: readonly string[] = sql.match(token) ?? [];
  if (sql.startsWith('RESET')) return {kind: 'grantor', role: null};
  if (sql.startsWith('SET')) {
    const [, , , role] = tokens;
    return role === undefined ? undefined : {kind: 'grantor', role: role === 'DEFAULT' ? null : nameIn(role)};
  }
  const isDefault = sql.startsWith('ALTER DEFAULT PRIVILEGES ');
  if (sql.startsWith('ALTER') && !isDefault) {
    const [owner, to, role, end] = tokens.slice(-4);
    return owner === 'OWNER' && to === 'TO' && role !== undefined && end === ';'
      ? {kind: 'owner', role: nameIn(role)}
      : undefined;
  }
  // The last of them: a table may be called "x TO y", but a quoted name is one token.
  const at = Math.max(tokens.lastIndexOf('TO'), tokens.lastIndexOf('FROM'));
  const role = tokens[at + 1];
  if (at === -1 || role === undefined) return undefined;
  const [, , , , , definer] = tokens;
  const privilegesOf = isDefault && definer !== undefined ? nameIn(definer) : null;
  return {kind: 'grant', role: role === 'PUBLIC' ? null : nameIn(role), privilegesOf};
}

/** pg_dump leaves only lower-case names unquoted. */
function nameIn(quoted: string): string {
  return /^["']/.test(quoted)
    ? quoted.slice(1, -1).replaceAll(quoted.charAt(0).repeat(2), quoted.charAt(0))
    : quoted;
}
