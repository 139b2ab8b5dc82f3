// Build step: writes dist/results.d.ts, the types of the JSON documents that --json prints, spelled out, so that the package brings no other types.
import {readdirSync, writeFileSync} from 'node:fs';
import {basename, join} from 'node:path';
import {fileURLToPath} from 'node:url';
import ts from 'typescript-api';

const root = fileURLToPath(new URL('..', import.meta.url));
const folder = join(root, 'src/commands');
const files = readdirSync(folder, {recursive: true})
  .filter((name) => name.endsWith('.ts'))
  .sort();
const config = ts.getParsedCommandLineOfConfigFile(join(root, 'tsconfig.json'), {}, ts.sys);
const program = ts.createProgram(
  files.map((name) => join(folder, name)),
  config.options,
);
const checker = program.getTypeChecker();

const blocks = files.map((name) => {
  const source = program.getSourceFile(join(folder, name));
  const exported = checker
    .getExportsOfModule(checker.getSymbolAtLocation(source))
    .find((symbol) => symbol.name === 'default');
  const instance = checker.getDeclaredTypeOfSymbol(exported);
  const [call] = checker.getTypeOfSymbol(instance.getProperty('run')).getCallSignatures();
  const result = checker.getAwaitedType(call.getReturnType());
  const id = name.replace(/\.ts$/, '').replaceAll('/', ':');
  const title = id.replace(/(?:^|[:-])(\w)/g, (_, letter) => letter.toUpperCase());
  const [one, several] = [false, true].map((isOfEach) =>
    partsOf(result, isOfEach)
      .map((part) => spell(part, ''))
      .join(' | '),
  );
  const ofEach =
    several === ''
      ? ''
      : `\n/** destino-db ${id} --json, with --all-databases or --database */\nexport type ${title}OfEachResult = ${several} & {readonly schemaVersion: 1};\n`;
  return `/** destino-db ${id} --json */\nexport type ${title}Result = ${one} & {readonly schemaVersion: 1};\n${ofEach}`;
});
const error = `/** Any command with --json that fails */
export interface ErrorResult {
  readonly schemaVersion: 1;
  readonly error: {
    readonly code: string;
    readonly message: string;
    readonly hint?: string;
    readonly exitCode: number;
    readonly details?: readonly string[];
  };
}
`;
const head =
  '// What the commands print with --json. Sizes are bytes, durations ms, times ISO 8601 in UTC. Fields may be added, none goes.\n';
writeFileSync(join(root, 'dist/results.d.ts'), [head, ...blocks, error].join('\n'));

/** The parts of a result that are of several databases, or all others. */
function partsOf(type, isOfEach) {
  const parts = type.isUnion() ? type.types : [type];
  return parts.filter((part) => (part.symbol?.name === 'SeveralResult') === isOfEach);
}

/** The type without names, as JSON.stringify leaves it. */
function spell(type, indent) {
  if (type.isUnion()) {
    const parts = type.types.filter((part) => !(part.flags & ts.TypeFlags.Undefined));
    return [...new Set(parts.map((part) => spell(part, indent)))]
      .join(' | ')
      .replace('false | true', 'boolean');
  }
  if (type.isIntersection()) return type.types.map((part) => spell(part, indent)).join(' & ');
  if (checker.isArrayType(type) || checker.isTupleType(type)) {
    const [element] = checker.getTypeArguments(type);
    const text = spell(element, indent);
    const isJoined = element.isIntersection() || (/ [|&] /.test(text) && !text.startsWith('{'));
    return `readonly ${isJoined ? `(${text})` : text}[]`;
  }
  if (!(type.flags & ts.TypeFlags.Object)) return checker.typeToString(type);
  if (type.symbol?.name === 'Date') return 'string';
  if (type.getCallSignatures().length > 0)
    throw new Error(
      `${basename(folder)}: a function in a result, which JSON leaves out: ${checker.typeToString(type)}`,
    );
  const lines = type.getProperties().map((property) => {
    const value = checker.getTypeOfSymbol(property);
    const isOptional =
      property.flags & ts.SymbolFlags.Optional ||
      (value.isUnion() && value.types.some((part) => part.flags & ts.TypeFlags.Undefined));
    const comment = ts.displayPartsToString(property.getDocumentationComment(checker)).replace(/\s+/g, ' ');
    return `${comment === '' ? '' : `${indent}  /** ${comment} */\n`}${indent}  readonly ${/^\w+$/.test(property.name) ? property.name : JSON.stringify(property.name)}${isOptional ? '?' : ''}: ${spell(value, `${indent}  `)};\n`;
  });
  for (const {keyType, type: value} of checker.getIndexInfosOfType(type))
    lines.push(
      `${indent}  readonly [key: ${checker.typeToString(keyType)}]: ${spell(value, `${indent}  `)};\n`,
    );
  return `{\n${lines.join('')}${indent}}`;
}
