/** Names that our statements may use without a schema, checked with PostgreSQL's own parser. */
import {loadModule, parseSync} from 'libpg-query';

await loadModule();

/**
 * "empty": with an empty search_path only pg_catalog and pg_temp are searched, so functions, operators and types of
 * pg_catalog need no schema. "own": under the role's own search_path, where everything does.
 */
export type SearchPath = 'empty' | 'own';

/** Names that represent inserted values; they are not checked. */
export const placeholder = 'destino_placeholder';

type Node = Readonly<Record<string, unknown>>;

const isNode = (value: unknown): value is Node =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** The parse trees of the statements in `sql`, and the position (a character) where the parser failed, if it did. */
export function parseSql(sql: string): {tree: unknown; errorAt: number | undefined} {
  try {
    return {tree: parseSync(sql), errorAt: undefined};
  } catch (error) {
    const details = isNode(error) ? error['sqlDetails'] : undefined;
    const at = isNode(details) ? Number(details['cursorPosition']) : Number.NaN;
    return {tree: undefined, errorAt: Number.isNaN(at) ? 0 : at};
  }
}

/**
 * The violations in a parsed text, a line each.
 * @param known names of enclosing queries (WITH)
 */
export function unsafeNames(
  tree: unknown,
  searchPath: SearchPath,
  known: readonly string[] = namesOfQueries(tree),
): string[] {
  const found: string[] = [];
  const ctes = new Set(known);
  visit(tree, (kind, node) => {
    const problem = checkNode(kind, node, searchPath, ctes);
    if (problem !== undefined) found.push(problem);
  });
  return found;
}

/** The names defined by WITH in a parsed text. */
export function namesOfQueries(tree: unknown): string[] {
  return collect(tree, 'CommonTableExpr').map((cte) => String(cte['ctename']));
}

/** Names of the functions, operators, types and relations in a parsed text, as `kind:name`. */
export function calledNames(tree: unknown): string[] {
  const names = new Set<string>();
  visit(tree, (kind, node) => {
    if (kind === 'FuncCall') names.add(`function:${namesOf(node['funcname']).at(-1) ?? ''}`);
    if (kind === 'RangeVar') names.add(`relation:${String(node['relname'])}`);
    if (kind === 'TypeCast' && isNode(node['typeName']))
      names.add(`type:${namesOf(node['typeName']['names']).at(-1) ?? ''}`);
    for (const operator of operatorsOf(kind, node)) names.add(`operator:${operator.at(-1) ?? ''}`);
  });
  return [...names].filter((name) => !name.includes(placeholder));
}

function checkNode(
  kind: string,
  node: Node,
  searchPath: SearchPath,
  ctes: ReadonlySet<string>,
): string | undefined {
  switch (kind) {
    case 'RangeVar': {
      const name = String(node['relname']);
      const isOurs = ctes.has(name) || name.includes(placeholder) || node['relpersistence'] === 't';
      return node['schemaname'] === undefined && !isOurs
        ? `the relation ${name} has no schema: write schema.${name}, pg_catalog.${name} or pg_temp.${name}`
        : undefined;
    }
    case 'VariableSetStmt':
      return node['name'] === 'search_path' || node['kind'] === 'VAR_RESET_ALL'
        ? 'it changes search_path: only src/lib/postgres/search-path.ts does'
        : undefined;
    case 'DiscardStmt':
      return node['target'] === 'DISCARD_ALL' ? 'it changes search_path: DISCARD ALL resets it' : undefined;
    case 'FuncCall': {
      const names = namesOf(node['funcname']);
      if (names.at(-1) === 'set_config' && JSON.stringify(node['args']).includes('"search_path"'))
        return 'it changes search_path: only src/lib/postgres/search-path.ts does';
      return searchPath === 'own' && names.length === 1 && !isPlaceholder(names)
        ? `the function ${names.join('.')} has no schema: write pg_catalog.${names.join('.')}`
        : undefined;
    }
    default:
      return searchPath === 'own' ? checkOperators(kind, node) : undefined;
  }
}

/** Constructs that look up operators and types by an unqualified name. */
function checkOperators(kind: string, node: Node): string | undefined {
  if (kind === 'CaseExpr' && node['arg'] !== undefined)
    return 'CASE x WHEN y looks "=" up: write CASE WHEN x OPERATOR(pg_catalog.=) y';
  if (kind === 'JoinExpr' && (node['usingClause'] !== undefined || node['isNatural'] === true))
    return 'USING and NATURAL look "=" up: write ON a OPERATOR(pg_catalog.=) b';
  if (kind === 'TypeCast' && isNode(node['typeName'])) {
    const names = namesOf(node['typeName']['names']);
    if (names.length === 1 && !isPlaceholder(names))
      return `the type ${names.join('.')} has no schema: write pg_catalog.${names.join('.')}`;
  }
  const bare = operatorsOf(kind, node).find((operator) => operator.length === 1);
  return bare === undefined
    ? undefined
    : `the operator ${bare.join('')} has no schema: write OPERATOR(pg_catalog.${bare.join('')}), and for IN, LIKE, BETWEEN, IS DISTINCT FROM and NULLIF a form that has one`;
}

/** The operators that a node calls, each as the parts of its name. */
function operatorsOf(kind: string, node: Node): string[][] {
  if (kind === 'A_Expr') return [namesOf(node['name'])];
  if (kind === 'SortBy' && node['useOp'] !== undefined) return [namesOf(node['useOp'])];
  const comparesRows =
    kind === 'SubLink' && (node['subLinkType'] === 'ANY_SUBLINK' || node['subLinkType'] === 'ALL_SUBLINK');
  if (!comparesRows) return [];
  // x IN (SELECT ...) has no name here, and is looked up as "=".
  const names = namesOf(node['operName']);
  return [names.length === 0 ? ['='] : names];
}

function isPlaceholder(names: readonly string[]): boolean {
  return names.some((name) => name.includes(placeholder));
}

function namesOf(list: unknown): string[] {
  if (!Array.isArray(list)) return [];
  return list.flatMap((item: unknown) => {
    const text = isNode(item) && isNode(item['String']) ? item['String']['sval'] : undefined;
    return typeof text === 'string' ? [text] : [];
  });
}

function collect(tree: unknown, wanted: string): Node[] {
  const nodes: Node[] = [];
  visit(tree, (kind, node) => {
    if (kind === wanted) nodes.push(node);
  });
  return nodes;
}

/** Every node with its kind. For a field with only one possible kind, the parser omits the kind; such nodes have the field's name. */
const kindsOfFields: Readonly<Record<string, string>> = {
  relation: 'RangeVar',
  into: 'IntoClause',
  rel: 'RangeVar',
};

function visit(value: unknown, see: (kind: string, node: Node) => void): void {
  if (Array.isArray(value)) {
    for (const item of value) visit(item, see);
    return;
  }
  if (!isNode(value)) return;
  for (const [key, child] of Object.entries(value)) {
    if (key === 'lockedRels') continue; // aliases of FOR UPDATE OF
    const kind = kindsOfFields[key] ?? key;
    if (isNode(child)) see(kind, child);
    visit(child, see);
  }
}
