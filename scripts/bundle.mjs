// Build step: joins the modules, and the packages that they load, into few files in dist/program, which is what runs: opening
// some 300 files was half of the time of every start. Each command stays a file of its own, and what only some commands load stays
// in files of theirs. The AWS SDK is left out: only buckets need it, and it finds parts of its own by their names.
import {createHash} from 'node:crypto';
import {readdirSync, readFileSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {rolldown} from 'rolldown';

const root = fileURLToPath(new URL('..', import.meta.url));
const commands = readdirSync(join(root, 'src/commands'), {recursive: true})
  .filter((path) => path.endsWith('.ts'))
  .map((path) => `commands/${path.slice(0, -'.ts'.length)}`);
// What bin/run.js and oclif load by their paths.
const cli = [
  'code-cache',
  'oclif',
  'help/help',
  'help/command-not-found',
  'show/show-error',
  'help/write-page',
];

/**
 * What a start needs not of oclif, in milliseconds of CPU: its check of Node.js, whose versions it allows are older than those that this
 * program runs on (8); a collator, which sorts ids as their bytes do (8); a language of file patterns for the full name of a plugin (6).
 */
const replaced = {
  'index.js': ['checkNodeVersion();\nexports', ';\nexports'],
  'config/plugin.js': ['a.id.localeCompare(b.id)', 'a.id < b.id ? -1 : 1'],
  // Code that is kept cannot call import() in Node.js 20, and require() loads modules of both kinds.
  'module-loader.js': ['await import((0, node_url_1.pathToFileURL)(filePath).href)', 'require(filePath)'],
  'config/plugin-loader.js': ['(0, minimatch_1.minimatch)(p, w)', 'p === w'],
};
/**
 * Loads the parts of oclif on first use: a command that succeeds needs half of what they load at once (help, templates, file patterns).
 * TypeScript compiles an import to a variable "name_1" that occurs nowhere else; here it becomes a property that loads when it is read.
 */
const lazyOclif = {
  name: 'lazy-oclif',
  transform(code, id) {
    const [, file] = id.split('/node_modules/@oclif/core/lib/');
    if (file === undefined) return null;
    const [old, replacement] = replaced[file] ?? ['', ''];
    if (!code.includes(old)) throw new Error(`${id} lacks ${old}`);
    const lazy = (on, name, load) =>
      `Object.defineProperty(${on}, "${name}", {configurable: true, enumerable: true, get() { const value = ${load};` +
      ` Object.defineProperty(${on}, "${name}", {value}); return value; }});`;
    const names = new Set();
    const changed = code
      .replaceAll(old, replacement)
      .replace(/^(?:const|var) (\w+_\d+) = (.*\brequire\("[^"]+"\)+);$/gm, (_, name, load) => {
        names.add(name);
        return lazy('lazily', name, load);
      })
      .replace(/^exports\.(\w+) = (__importStar\(require\("[^"]+"\)\));$/gm, (_, name, load) =>
        lazy('exports', name, load),
      )
      .replace(/(?<!["\w])\w+_\d+\b(?!["\w])/g, (name) => (names.has(name) ? `lazily.${name}` : name));
    // One line stays one line, so that the lines of stacks are right.
    return {code: `const lazily = {}; ${changed}`, map: null};
  },
};

/** Zod's setting `jitless`, before any schema is made: to compile a parser for each of them takes longer than the parsers save. */
const interpretedZod = {
  name: 'interpreted-zod',
  transform(code, id) {
    if (!id.endsWith('/zod/v4/core/core.js')) return null;
    const changed = code.replace('__zod_globalConfig = {}', '__zod_globalConfig = {jitless: true}');
    if (changed === code) throw new Error(`${id} lacks the configuration of zod`);
    return {code: changed, map: null};
  },
};

const bundle = await rolldown({
  cwd: root,
  platform: 'node',
  input: Object.fromEntries([
    ...commands.map((name) => [name, `src/${name}.ts`]),
    ...cli.map((name) => [`cli/${name}`, `src/lib/cli/${name}.ts`]),
  ]),
  // "module" first: what jsonc-parser names as "main" looks for its parts while it runs.
  resolve: {extensionAlias: {'.js': ['.ts', '.js']}, mainFields: ['module', 'main']},
  plugins: [lazyOclif, interpretedZod],
  external: [/^@aws-sdk\//, /^@smithy\//, 'pg-native', 'typescript'],
});
const {output} = await bundle.write({
  dir: join(root, 'dist/program'),
  // Node.js 20 opens two dozen of these a twentieth of a start sooner than modules of the other kind.
  format: 'cjs',
  exports: 'named',
  // Compiled code that an earlier run kept cannot call import() in Node.js 20; the packages that are left out are CommonJS too.
  dynamicImportInCjs: false,
  chunkFileNames: 'shared/[name]-[hash].js',
  // For the stacks that --verbose shows; without the sources, which the repository has.
  sourcemap: true,
  sourcemapExcludeSources: true,
  minify: true,
  codeSplitting: {
    groups: [
      // Opened before compiled code is used, so that nothing else may be in this file.
      {name: 'code-cache', test: /cli.code-cache/, priority: 1},
      // One file of what most commands load, instead of the many that differ by one command.
      {name: 'common', minShareCount: 20},
    ],
  },
});

// The build's digest tells cached code of another build apart.
const digest = createHash('sha256');
for (const {fileName, code = ''} of output) {
  digest.update(`${fileName}\n${code}\n`);
  if (/\bimport\([^)]/.test(code) && fileName.endsWith('.js')) throw new Error(`${fileName} calls import()`);
}
const build = digest.digest('hex').slice(0, 16);
writeFileSync(join(root, 'dist/program/package.json'), `${JSON.stringify({type: 'commonjs', build})}\n`);

// The licences of the packages ask for their texts to go with every copy.
const packages = new Map();
for (const id of output.flatMap(({moduleIds}) => moduleIds ?? [])) {
  const [, folder] = /^(.*\/node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(id) ?? [];
  if (folder !== undefined) packages.set(folder.slice(folder.lastIndexOf('node_modules/') + 13), folder);
}
const notices = [...packages]
  .sort(([a], [b]) => (a < b ? -1 : 1))
  .map(([name, folder]) => {
    const {license, version} = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
    const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
    const text = file === undefined ? '' : readFileSync(join(folder, file), 'utf8').trim();
    return `${name} ${version} (${license})\n\n${text}\n`;
  });
writeFileSync(join(root, 'dist/program/LICENSES.txt'), notices.join(`\n${'-'.repeat(80)}\n\n`));
