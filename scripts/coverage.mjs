// Measures which lines of src/lib the tests run, in the tests' own processes and in every program they start.
// usage: coverage.mjs [PROJECT...]; without names all of vitest's projects run, with names only these are measured again.
// Prints the share of lines and, by file, the lines that nothing runs. COVERAGE_AT_LEAST=95 makes a smaller share a failure.
import {mergeProcessCovs} from '@bcoe/v8-coverage';
import {parse} from 'acorn';
import {convert} from 'ast-v8-to-istanbul';
import coverage from 'istanbul-lib-coverage';
import {spawnSync} from 'node:child_process';
import {existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {join, relative} from 'node:path';
import {fileURLToPath, pathToFileURL} from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const folder = join(root, 'coverage');
const allProjects = ['unit', 'fuzz', 'postgres', 'e2e', 'faults', 'storage'];
const named = process.argv.slice(2);
const projects = named.length > 0 ? named : allProjects;
if (named.length === 0) rmSync(folder, {recursive: true, force: true});

const run = (program, args, env = {}) =>
  spawnSync(program, args, {cwd: root, stdio: 'inherit', env: {...process.env, ...env}}).status ?? 1;

run('npm', ['run', 'build', '--silent']);
let failed = false;
for (const project of projects) {
  const own = join(folder, project);
  const children = join(own, 'children');
  rmSync(own, {recursive: true, force: true});
  mkdirSync(children, {recursive: true});
  const status = run(
    'npx',
    [
      'vitest', 'run', `--project=${project}`, '--reporter=dot', '--coverage.enabled', '--coverage.provider=v8',
      '--coverage.include=src/lib/**', '--coverage.reporter=json', `--coverage.reportsDirectory=${join(own, 'tests')}`,
      '--coverage.reportOnFailure',
      '--exclude=**/packed-program.test.ts', // looks at the package as it ships, without source maps
    ],
    {DESTINO_TEST_COVERAGE: children},
  ); // prettier-ignore
  failed ||= status !== 0;
  writeFileSync(join(own, 'children.json'), JSON.stringify(await coverageOfChildren(children)));
  rmSync(children, {recursive: true});
}
failed = !report() || failed;
process.exit(failed ? 1 : 0);

/** What the started programs ran of dist/program, told in lines of src/lib. */
async function coverageOfChildren(children) {
  const dist = pathToFileURL(join(root, 'dist/program/')).href;
  let merged = {result: []};
  for (const name of readdirSync(children)) {
    let result;
    try {
      ({result} = JSON.parse(readFileSync(join(children, name), 'utf8')));
    } catch {
      continue; // a process that was killed while it wrote
    }
    merged = mergeProcessCovs([merged, {result: result.filter(({url}) => url.startsWith(dist))}]);
  }
  const map = coverage.createCoverageMap({});
  for (const script of merged.result) {
    const path = fileURLToPath(script.url);
    const code = readFileSync(path, 'utf8');
    const ast = parse(code, {ecmaVersion: 'latest', sourceType: 'module', locations: true});
    const sourceMap = JSON.parse(readFileSync(`${path}.map`, 'utf8'));
    map.merge(await convert({code, ast, coverage: script, sourceMap, wrapperLength: 0}));
  }
  return map;
}

function report() {
  /** Line numbers by file: those that can run, and those that did. */
  const lines = new Map();
  const measured = allProjects.filter((project) => existsSync(join(folder, project, 'children.json')));
  for (const project of measured) {
    for (const file of ['tests/coverage-final.json', 'children.json']) {
      const map = coverage.createCoverageMap(JSON.parse(readFileSync(join(folder, project, file), 'utf8')));
      for (const path of map.files()) {
        const known = lines.get(path) ?? new Map();
        lines.set(path, known);
        for (const [line, count] of Object.entries(map.fileCoverageFor(path).getLineCoverage()))
          known.set(Number(line), (known.get(Number(line)) ?? 0) + count);
      }
    }
  }
  let [total, covered] = [0, 0];
  const rest = [];
  for (const [path, known] of [...lines].sort()) {
    const missed = [...known].filter(([, count]) => count === 0).map(([line]) => line);
    total += known.size;
    covered += known.size - missed.length;
    if (missed.length > 0)
      rest.push({path: relative(root, path), missed: missed.sort((a, b) => a - b), size: known.size});
  }
  rest.sort((a, b) => b.missed.length - a.missed.length);
  const share = (100 * covered) / total;
  for (const {path, missed, size} of rest)
    process.stdout.write(
      `${String(missed.length).padStart(4)} of ${String(size).padStart(4)}  ${path}: ${ranges(missed)}\n`,
    );
  process.stdout.write(`measured: ${measured.join(', ')}\n`);
  process.stdout.write(
    `lines of src/lib that ran: ${covered} of ${total} (${share.toFixed(2)} %), in ${lines.size} files\n`,
  );
  return share >= Number(process.env.COVERAGE_AT_LEAST ?? 0);
}

/** [1, 2, 3, 7] -> "1-3, 7" */
function ranges(numbers) {
  const parts = [];
  for (const number of numbers) {
    const last = parts.at(-1);
    if (last && number === last[1] + 1) last[1] = number;
    else parts.push([number, number]);
  }
  return parts.map(([from, to]) => (from === to ? from : `${from}-${to}`)).join(', ');
}
