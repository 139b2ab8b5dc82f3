/** Checks the direction of dependencies and the owners of heavy packages from docs/architecture.md in every source file. */
import {readdirSync, readFileSync} from 'node:fs';
import {dirname, join, relative} from 'node:path';
import {fileURLToPath} from 'node:url';
import ts from 'typescript-api';
import {describe, expect, it} from 'vitest';
import {floors, roomOf, withinRooms} from '../support/rooms.js';

const src = fileURLToPath(new URL('../../src/', import.meta.url));

interface Import {
  /** Package name, or the path of a source file below src. */
  target: string;
  kind: 'value' | 'type' | 'lazy';
}

interface Source {
  /** Below src: "lib/postgres/client.ts" */
  path: string;
  room: string;
  imports: Import[];
  /** Every a.b in the code, without comments. */
  members: Set<string>;
  /** "Date" of every `new Date()` without arguments. */
  created: Set<string>;
}

const sources = readdirSync(src, {recursive: true, encoding: 'utf8'})
  .filter((path) => path.endsWith('.ts'))
  .map(readSource);

function readSource(path: string): Source {
  const file = ts.createSourceFile(path, readFileSync(join(src, path), 'utf8'), ts.ScriptTarget.Latest, true);
  const found: Source = {path, room: roomOf(path), imports: [], members: new Set(), created: new Set()};
  const add = (specifier: string, kind: Import['kind']): void => {
    const target = specifier.startsWith('.')
      ? relative(src, join(src, dirname(path), specifier)).replace(/\.js$/, '.ts')
      : specifier.split('/').slice(0, specifier.startsWith('@') ? 2 : 1).join('/'); // prettier-ignore
    found.imports.push({target, kind});
  };
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node) && ts.isStringLiteral(node.moduleSpecifier)) {
      const isType = node.importClause?.phaseModifier === ts.SyntaxKind.TypeKeyword;
      add(node.moduleSpecifier.text, isType ? 'type' : 'value');
    } else if (
      ts.isExportDeclaration(node) &&
      node.moduleSpecifier &&
      ts.isStringLiteral(node.moduleSpecifier)
    ) {
      add(node.moduleSpecifier.text, node.isTypeOnly ? 'type' : 'value');
    } else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      const [specifier] = node.arguments;
      if (specifier && ts.isStringLiteral(specifier)) add(specifier.text, 'lazy');
    } else if (ts.isPropertyAccessExpression(node)) {
      found.members.add(node.getText());
    } else if (ts.isNewExpression(node) && node.arguments?.length === 0) {
      found.created.add(node.expression.getText());
    }
    ts.forEachChild(node, visit);
  };
  visit(file);
  return found;
}

const topOf = (room: string): string => room.split('/')[0] ?? room;
const floorOf = (room: string): number => floors.findIndex((floor) => floor.includes(topOf(room)));

function mayImport(from: string, to: string): boolean {
  if (from === to) return true;
  if (topOf(from) === topOf(to)) return withinRooms[from]?.includes(to) ?? false;
  return floorOf(from) < floorOf(to);
}

const owners: Readonly<Record<string, RegExp>> = {
  execa: /^lib\/postgres\/tools\/run-tool\.ts$/,
  pg: /^lib\/postgres\/client\.ts$/,
  'pg-copy-streams': /^lib\/postgres\/copy-[a-z-]+\.ts$/,
  listr2: /^lib\/progress\/listr-progress\.ts$/,
  '@aws-sdk/client-s3': /^lib\/storage\/s3\/s3-[a-z]+\.ts$/,
  '@smithy/node-http-handler': /^lib\/storage\/s3\/s3-client\.ts$/,
  nodemailer: /^lib\/services\/status\/send-mail\.ts$/,
  'age-encryption': /^lib\/encryption\/age-(?:keys|passphrase)\.ts$/,
  chalk: /^lib\/cli\/show\/style\.ts$/,
  'fastest-levenshtein': /^lib\/base\/nearest\.ts$/,
  '@oclif/core': /^(?:commands|lib\/cli)\//,
  'node:readline': /^lib\/cli\//,
};

/** Loaded on first use, because each would slow down every start of the program by tens of milliseconds. */
const lazyPackages = [
  'execa',
  'pg',
  'pg-copy-streams',
  'listr2',
  '@aws-sdk/client-s3',
  '@smithy/node-http-handler',
  'age-encryption',
  'nodemailer',
];

const globals: readonly {name: string; what: RegExp; where: RegExp}[] = [
  {
    name: 'the environment in settings, cli and where PATH is passed on',
    what: /^process\.env$/,
    where: /^lib\/(?:settings|cli)\/|^lib\/postgres\/tools\/(?:run-tool|local-cluster)\.ts$/,
  },
  {
    name: 'the standard streams in cli and commands',
    what: /^process\.std(?:in|out|err)$/,
    where: /^(?:lib\/cli|commands)\//,
  },
  {
    name: 'the exit of the process in cli and commands',
    what: /^process\.(?:exit|exitCode|abort)$/,
    where: /^(?:lib\/cli|commands)\//,
  },
  {
    name: 'the working directory and the arguments in cli and commands',
    what: /^process\.(?:cwd|argv|title)$/,
    where: /^(?:lib\/cli|commands)\//,
  },
  {name: 'the console nowhere', what: /^console\./, where: /^$/},
];

describe('the source files', () => {
  it('exist', () => {
    expect(sources.length).toBeGreaterThan(40);
    expect(sources.filter((source) => floorOf(source.room) === -1).map(({path}) => path)).toEqual([]);
  });

  it('import only from their own room and the rooms in the table', () => {
    const wrong = sources.flatMap((source) =>
      source.imports
        .filter(({target}) => target.endsWith('.ts') && !mayImport(source.room, roomOf(target)))
        .map(({target}) => `${source.path} -> ${target}`),
    );
    expect(wrong).toEqual([]);
  });

  it('need every line of the table', () => {
    const given = Object.entries(withinRooms).flatMap(([from, rooms]) =>
      rooms.map((to) => `${from} -> ${to}`),
    );
    const used = new Set(
      sources.flatMap(({room, imports}) => imports.map(({target}) => `${room} -> ${roomOf(target)}`)),
    );
    expect(given.filter((arrow) => !used.has(arrow))).toEqual([]);
  });

  it.each(Object.entries(owners))('leave %s to its owner', (name, owner) => {
    const users = sources.filter((source) => source.imports.some(({target}) => target === name));
    expect(users.map(({path}) => path).filter((path) => !owner.test(path))).toEqual([]);
  });

  it('load heavy packages only on first use', () => {
    const eager = sources.flatMap((source) =>
      source.imports
        .filter(({target, kind}) => kind === 'value' && lazyPackages.includes(target))
        .map(({target}) => `${source.path} -> ${target}`),
    );
    expect(eager).toEqual([]);
  });

  it.each(globals)('use $name', ({what, where}) => {
    const users = sources.filter((source) => [...source.members].some((member) => what.test(member)));
    expect(users.map(({path}) => path).filter((path) => !where.test(path))).toEqual([]);
  });

  it('of services take the time from the given clock', () => {
    const users = sources.filter(
      (source) =>
        topOf(source.room) === 'services' &&
        (source.created.has('Date') ||
          source.members.has('Date.now') ||
          source.members.has('performance.now')),
    );
    expect(users.map(({path}) => path)).toEqual([]);
  });

  it('do not import one another in a circle, not even types', () => {
    const graph = new Map(
      sources.map(({path, imports}) => [
        path,
        imports.map(({target}) => target).filter((target) => target.endsWith('.ts')),
      ]),
    );
    const done = new Set<string>();
    const circles: string[] = [];
    const walk = (path: string, trail: readonly string[]): void => {
      if (trail.includes(path)) circles.push([...trail.slice(trail.indexOf(path)), path].join(' -> '));
      if (done.has(path)) return;
      done.add(path);
      for (const next of graph.get(path) ?? []) walk(next, [...trail, path]);
    };
    for (const path of graph.keys()) walk(path, []);
    expect(circles).toEqual([]);
  });

  it('are named after their purpose: no barrels, no catch-alls', () => {
    const vague = /(?:^|\/)(?:index|.*(?:utils?|helpers?|common|manager|handler|misc))\.ts$/;
    expect(sources.map(({path}) => path).filter((path) => vague.test(path))).toEqual([]);
  });
});
