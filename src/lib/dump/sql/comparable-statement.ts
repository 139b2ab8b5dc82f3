/** A form of SQL statements in which those that mean the same are the same text. */

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

/** What must stay as it is: strings, names in quotes and bodies of functions; then casts, words, and single characters. */
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
 * The statement without what a server writes anew in its own way when it has read it: white space, parentheses and casts
 * of expressions. `x IN ('a', 'b')` on a varchar comes out of pg_get_constraintdef() as `(ARRAY['a'::varchar, ...])::text[]` at first,
 * and as `ARRAY[('a'::varchar)::text, ...]` once that has been restored (transformArrayExpr in parse_expr.c).
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

/** pg_dump names the roles of a policy in the order in which the server's catalog has them (getPolicies in pg_dump.c). */
function sortRoles(tokens: string[]): void {
  const first = tokens.indexOf('TO') + 1;
  const end = tokens.findIndex((found, index) => index >= first && ['USING', 'WITH', ';'].includes(found));
  if (first === 0 || end === -1) return;
  const roles = tokens.slice(first, end).filter((found) => found !== ',');
  tokens.splice(first, end - first, roles.sort().join(' , '));
}

const inheritance = /^CREATE (?:UNLOGGED |FOREIGN )?TABLE [^]*\nINHERITS \(/;

/** Columns of a child stand in its parents' order after a restore, whatever their order was (MergeAttributes in tablecmds.c). */
function inAnyOrder(createTable: string): string {
  return createTable
    .split('\n')
    .map((line) => comparableStatement(line.replace(/,$/, '')))
    .sort()
    .join('\n');
}
