// Build step: joins the modules, and the packages that they load, into few files in dist/program, which is what runs: opening
// some 300 files was half of the time of every start. Each command stays a file of its own, and what only some commands load stays
// in files of theirs. The AWS SDK is left out: only buckets need it, and it finds parts of its own by their names.
import {readdirSync, readFileSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {rolldown} from 'rolldown';

const root = fileURLToPath(new URL('..', import.meta.url));
const commands = readdirSync(join(root, 'src/commands'), {recursive: true})
  .filter((path) => path.endsWith('.ts'))
  .map((path) => `commands/${path.slice(0, -'.ts'.length)}`);
// What bin/run.js and oclif load by their paths.
const cli = ['oclif', 'help/help', 'help/command-not-found', 'show/show-error', 'help/write-page'];

const bundle = await rolldown({
  cwd: root,
  platform: 'node',
  input: Object.fromEntries([
    ...commands.map((name) => [name, `src/${name}.ts`]),
    ...cli.map((name) => [`cli/${name}`, `src/lib/cli/${name}.ts`]),
  ]),
  // "module" first: what jsonc-parser names as "main" looks for its parts while it runs.
  resolve: {extensionAlias: {'.js': ['.ts', '.js']}, mainFields: ['module', 'main']},
  external: [/^@aws-sdk\//, /^@smithy\//, 'pg-native', 'typescript'],
  transform: {define: {__dirname: 'import.meta.dirname', __filename: 'import.meta.filename'}},
});
const {output} = await bundle.write({
  dir: join(root, 'dist/program'),
  chunkFileNames: 'shared/[name]-[hash].js',
  // For the stacks that --verbose shows; without the sources, which the repository has.
  sourcemap: true,
  sourcemapExcludeSources: true,
  minify: true,
});

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
