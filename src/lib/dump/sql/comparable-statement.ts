/** Normalises SQL statements, so that equivalent ones have the same text. */

const word = String.raw`[^\s"'.,;:()[\]=<>!+*/|&%^~-]+`;
const identifier = String.raw`(?:"(?:[^"]|"")*"|${word})`;
const typeName = [
  String.raw`(?:timestamp|time)(?:\(\d+\))? with(?:out)? time zone`,
  'double precision',
  String.raw`(?:character|bit) varying`,
  String.raw`interval(?: (?:year|month|day|hour|minute|second)(?: to (?:month|hour|minute|second))?)?`,
  String.raw`${identifier}(?:\.${identifier})*`,
].join('|');
const cast = new RegExp(String.raw`::\s*(?:${typeName})(?:\([\d, -]*\))?(?:\[\])*`, 'y');

/** Strings, quoted names and function bodies must not change; then casts, words, and single characters. */
const token = new RegExp(
  [
    String.raw`E'(?:[^'\\]|\\.|'')*'`,
    String.raw`'(?:[^']|'')*'`,
    String.raw`"(?:[^"]|"")*"`,
    String.raw`\$([A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$[^]*?\$\1\$`,
    '::',
    word,
    String.raw`\S`,
  ].join('|'),
  'y',
);

/**
 * The statement without the parts that a server rewrites when it reads it: white space, parentheses and casts
 * of expressions. For `x IN ('a', 'b')` on a varchar, pg_get_constraintdef() first returns `(ARRAY['a'::varchar, ...])::text[]`,
 * and after a restore `ARRAY[('a'::varchar)::text, ...]` (transformArrayExpr in parse_expr.c).
 */
export function comparableStatement(statement: string): string {
  const tokens: string[] = [];
  for (let at = 0; at < statement.length;) {
    if (/\s/.test(statement[at] ?? '')) {
      at++;
      continue;
    }
    cast.lastIndex = at;
    if (cast.test(statement)) {
      at = cast.lastIndex;
      continue;
    }
    token.lastIndex = at;
    const [found = statement[at] ?? ''] = token.exec(statement) ?? [];
    if (found !== '(' && found !== ')') tokens.push(found);
    at += found.length;
  }
  if (statement.startsWith('CREATE POLICY ')) sortRoles(tokens);
  const text = tokens.join(' ');
  return inheritance.test(statement) ? inAnyOrder(statement) : text;
}

/** pg_dump lists the roles of a policy in the order of the server's catalog (getPolicies in pg_dump.c). */
function sortRoles(tokens: string[]): void {
  const first = tokens.indexOf('TO') + 1;
  const end = tokens.findIndex((found, index) => index >= first && ['USING', 'WITH', ';'].includes(found));
  if (first === 0 || end === -1) return;
  const roles = tokens.slice(first, end).filter((found) => found !== ',');
  tokens.splice(first, end - first, roles.sort().join(' , '));
}

const inheritance = /^CREATE (?:UNLOGGED |FOREIGN )?TABLE [^]*\nINHERITS \(/;

/** After a restore, the columns of a child have the order of its parents, whatever their order was (MergeAttributes in tablecmds.c). */
function inAnyOrder(createTable: string): string {
  return createTable
    .split('\n')
    .map((line) => comparableStatement(line.replace(/,$/, '')))
    .sort()
    .join('\n');
}
