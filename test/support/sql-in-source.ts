/** All SQL texts in src, with placeholders for inserted values. */
import {readdirSync} from 'node:fs';
import {join, relative} from 'node:path';
import {fileURLToPath} from 'node:url';
import ts from 'typescript-api';
import {parseSql, placeholder, type SearchPath} from './sql-rules.js';

const root = fileURLToPath(new URL('../../src/', import.meta.url));

export interface SqlText {
  /** "lib/services/orders/rules/criteria.ts:95" */
  readonly where: string;
  /** Below src. */
  readonly file: string;
  /** The text in the source. */
  readonly source: string;
  /** Parse tree; undefined if no replacement of the placeholders is valid SQL. */
  readonly tree: unknown;
  readonly searchPath: SearchPath;
}

const keyword =
  /^\s*(?:SELECT|INSERT|UPDATE|DELETE|WITH|CREATE|DROP|ALTER|SET|RESET|SHOW|LOCK|COPY|COMMENT|BEGIN|COMMIT|ROLLBACK|ANALYZE|VACUUM|GRANT|REVOKE|REFRESH|EXPLAIN|DO|CALL|FETCH|DECLARE|TRUNCATE|REINDEX|SAVEPOINT|RELEASE|DISCARD|LISTEN|NOTIFY|PREPARE|EXECUTE|MERGE|IMPORT)\s+\S|^(?:BEGIN|COMMIT|ROLLBACK)$/;
const fragment =
  /\bpg_catalog\.|\bpg_temp\.|OPERATOR\(|::"?[a-z]|\b(?:FROM|WHERE|JOIN|EXISTS|COALESCE|ARRAY|ANY|LIKE|USING|VALUES|FILTER|ORDER BY|GROUP BY|CASE|CAST|RETURNING|IS (?:NOT )?NULL|IS (?:NOT )?DISTINCT)\b|\bcoalesce\(| (?:AND|OR) |^(?:AND|OR) | (?:=|<>|<=|>=|<|>|~|!~|\|\||&) /;

/** Reads the source of the program, or `made`, an invented file that is not part of the program. */
export function readSqlTexts(made?: {path: string; text: string}): SqlText[] {
  const paths = made
    ? [made.path]
    : readdirSync(root, {recursive: true, encoding: 'utf8'})
        .filter((path) => path.endsWith('.ts'))
        .map((path) => join(root, path));
  const options: ts.CompilerOptions = {
    target: ts.ScriptTarget.ESNext,
    module: ts.ModuleKind.NodeNext,
    noLib: true,
    types: [],
  };
  const host = ts.createCompilerHost(options);
  const read = host.getSourceFile.bind(host);
  host.getSourceFile = (name, target) => {
    if (name === made?.path) return ts.createSourceFile(name, made.text, target, true);
    return name.startsWith(root) ? read(name, target) : undefined; // reading packages takes seconds
  };
  const program = ts.createProgram(paths, options, host);
  const own = underOwnPath(program);
  return program.getSourceFiles().flatMap((file) => textsOf(file, own));
}

type Literal = ts.StringLiteral | ts.NoSubstitutionTemplateLiteral | ts.TemplateExpression;

const isLiteral = (node: ts.Node): node is Literal =>
  ts.isStringLiteral(node) || ts.isNoSubstitutionTemplateLiteral(node) || ts.isTemplateExpression(node);

function textsOf(file: ts.SourceFile, own: ReadonlySet<ts.Node>): SqlText[] {
  const texts: SqlText[] = [];
  const visit = (node: ts.Node): void => {
    if (isLiteral(node) && isSql(node)) {
      const path = relative(root, file.fileName);
      texts.push({
        where: `${path}:${file.getLineAndCharacterOfPosition(node.getStart()).line + 1}`,
        file: path,
        source: node.getText(),
        tree: parseLiteral(node),
        searchPath: own.has(node) ? 'own' : 'empty',
      });
    }
    ts.forEachChild(node, visit);
  };
  visit(file);
  return texts;
}

/** Whether it is sent unchanged. */
function isWhole(node: Literal): boolean {
  return (
    ts.isCallExpression(node.parent) &&
    ts.isPropertyAccessExpression(node.parent.expression) &&
    ['query', 'execute'].includes(node.parent.expression.name.text) &&
    node.parent.arguments[0] === node
  );
}

function isSql(node: Literal): boolean {
  const text = node.getText().slice(1, -1);
  const isProse =
    /\/src\/(?:commands|lib\/(?:cli|encryption|progress|settings|storage|services\/(?:report|schedule|status)))\//.test(
      node.getSourceFile().fileName,
    );
  return isWhole(node) || keyword.test(text) || (!isProse && fragment.test(text));
}

/** Text around a part of a statement. */
const frames: readonly [string, string][] = [
  ['', ''],
  ['SELECT ', ''],
  ['SELECT 1 WHERE ', ''],
  ['SELECT 1 FROM ', ''],
  [`SELECT 1 FROM pg_temp.${placeholder} `, ''],
  ['SELECT 1 WHERE true ', ''],
  ['SELECT 1 ', ''],
  ['WITH ', ' SELECT 1'],
  [`CREATE TABLE pg_temp.${placeholder} (`, ')'],
  ['SELECT CASE ', ' END'],
  [`ALTER DATABASE ${placeholder} `, ''],
  [`ALTER TABLE pg_temp.${placeholder} `, ''],
  ['BEGIN ', ''],
  ['SELECT pg_catalog.json_build_object(', ')'],
  [`SELECT 1 FROM pg_temp.${placeholder} JOIN `, ''],
  [`SELECT ${placeholder} `, ''],
];

const anyValue = [
  placeholder,
  `${placeholder} = 1`,
  `${placeholder}.${placeholder}`,
  `'${placeholder}'`,
  'true',
  '1',
  '',
  `${placeholder} AS ${placeholder}`,
  `, ${placeholder}`,
  `AND true`,
  `=`,
  `, '${placeholder}'`,
  `WHERE true`,
  `JOIN pg_temp.${placeholder} ON true`,
  `${placeholder} AS (SELECT 1)`,
  'WHEN true THEN 1',
  'SELECT 1',
  `${placeholder} bigint`,
  `${placeholder} bigint, `,
  'DISABLE',
  'FOR UPDATE',
  'FROM pg_catalog.pg_class',
  'ASC',
  'ONLY',
  'ISOLATION LEVEL READ COMMITTED',
  'ACCESS SHARE',
  `DELETE FROM pg_temp.${placeholder}`,
  `pg_temp.${placeholder} x ON true`,
  `DATABASE ${placeholder}`,
  `ON DATABASE ${placeholder}`,
];

function candidatesFor(expression: ts.Expression): readonly string[] {
  const text = expression.getText();
  if (/^quoteQualified\(/.test(text)) return [`${placeholder}.${placeholder}`];
  if (/^quoteIdentifier\(/.test(text)) return [placeholder, `${placeholder}.${placeholder}`];
  if (/^quoteLiteral\(/.test(text)) return [`'${placeholder}'`];
  return anyValue;
}

/** Replaces placeholders until the parser accepts the text, changing the one before the position of the error. */
function parseLiteral(node: Literal): unknown {
  const spans = ts.isTemplateExpression(node) ? node.templateSpans : [];
  const head = ts.isTemplateExpression(node) ? node.head.text : node.text;
  const candidates = spans.map(({expression}) => candidatesFor(expression));
  const isStatement = keyword.test(head) || isWhole(node);
  for (const [before, after] of isStatement ? frames.slice(0, 1) : frames) {
    const choice = spans.map(() => 0);
    const limit = 40 + spans.length * 30;
    for (let attempt = 0; attempt < limit; attempt += 1) {
      const ends: number[] = [];
      let sql = before + head;
      for (const [index, span] of spans.entries()) {
        sql += candidates[index]?.[choice[index] ?? 0] ?? '';
        ends.push(sql.length);
        sql += span.literal.text;
      }
      sql += after;
      const {tree, errorAt} = parseSql(sql);
      if (tree !== undefined) return tree;
      let tokenEnd = errorAt ?? 0;
      while (/[\w.]/.test(sql.charAt(tokenEnd))) tokenEnd += 1;
      // The nearest placeholder before the error with another replacement to try; those after it start again.
      const starts = ends.map((end, index) => end - (candidates[index]?.[choice[index] ?? 0] ?? '').length);
      let at = -1;
      for (const [index, start] of starts.entries()) if (start <= tokenEnd) at = index;
      while (at >= 0 && (choice[at] ?? 0) + 1 >= (candidates[at]?.length ?? 0)) at -= 1;
      if (at < 0) break;
      choice[at] = (choice[at] ?? 0) + 1;
      for (let index = at + 1; index < choice.length; index += 1) choice[index] = 0;
    }
  }
  return undefined;
}

/** The literals that a call of withOwnSearchPath can send: in its argument, and in functions that it calls, at any distance. */
function underOwnPath(program: ts.Program): Set<ts.Node> {
  const checker = program.getTypeChecker();
  const literals = new Set<ts.Node>();
  const seen = new Set<ts.Node>();
  const follow = (node: ts.Node): void => {
    if (seen.has(node)) return;
    seen.add(node);
    const visit = (each: ts.Node): void => {
      if (isLiteral(each)) literals.add(each);
      if (ts.isIdentifier(each)) for (const declaration of declarationsOf(checker, each)) follow(declaration);
      ts.forEachChild(each, visit);
    };
    visit(node);
  };
  for (const file of program.getSourceFiles()) {
    const visit = (node: ts.Node): void => {
      if (ts.isCallExpression(node) && node.expression.getText(file) === 'withOwnSearchPath')
        for (const argument of node.arguments.slice(1)) follow(argument);
      ts.forEachChild(node, visit);
    };
    visit(file);
  }
  return literals;
}

/** Functions and constants; no types, and nothing of the driver. */
function declarationsOf(checker: ts.TypeChecker, node: ts.Identifier): ts.Node[] {
  let symbol = checker.getSymbolAtLocation(node);
  if (symbol && (symbol.flags & ts.SymbolFlags.Alias) !== 0) symbol = checker.getAliasedSymbol(symbol);
  return (symbol?.declarations ?? []).filter(
    (declaration) =>
      (ts.isFunctionDeclaration(declaration) || ts.isVariableDeclaration(declaration)) &&
      !declaration.getSourceFile().fileName.includes('/lib/postgres/client'),
  );
}
