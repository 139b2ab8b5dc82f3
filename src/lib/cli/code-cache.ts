/**
 * Keeps the compiled code of the program between runs: to compile is a quarter of a start. bin/run.js loads this before anything else.
 */
import {createHash} from 'node:crypto';
import {lstatSync, mkdirSync, readFileSync, renameSync, statSync, writeFileSync} from 'node:fs';
import nodeModule, {createRequire} from 'node:module';
import {basename, dirname, join, sep} from 'node:path';
import {setFlagsFromString} from 'node:v8';
import {Script} from 'node:vm';
import {cacheFolder} from '../base/cache-folder.js';

const digestBytes = 32;

/** Node.js puts this before a CommonJS module (manual of modules, "The module wrapper"). */
const wrapper = '(function (exports, require, module, __filename, __dirname) { ';

/**
 * Uses the code that earlier runs compiled, from `~/.cache/destino-db/code`, and adds what this run compiles; Node.js 22 and newer do so
 * themselves. If the folder is unusable, the program starts without it.
 * @param program the folder of the program's files, absolute
 * @param build changes with the content of these files
 */
export function keepCompiledCode(program: string, build: string): void {
  if (process.env['NODE_DISABLE_COMPILE_CACHE'] === '1') return;
  const folder = ownFolder();
  if (folder === undefined) return;
  const {enableCompileCache} = nodeModule as {enableCompileCache?: (folder: string) => unknown};
  if (enableCompileCache !== undefined) enableCompileCache(folder);
  else cacheModules(program, join(folder, `${build}-${process.version}-${process.arch}`));
}

/** Code in a folder that others can write would run with the rights of this user. */
function ownFolder(): string | undefined {
  const parent = cacheFolder(process.env['XDG_CACHE_HOME']);
  if (parent === undefined) return undefined;
  const folder = join(parent, 'code');
  try {
    for (const path of [dirname(parent), parent, folder]) {
      if (lstatSync(path, {throwIfNoEntry: false})) continue;
      // sudo may keep the home folder of another user, who could not use what root makes there; a missing home is not created.
      if (statSync(dirname(path)).uid !== process.getuid?.()) return undefined;
      mkdirSync(path, {mode: 0o700});
    }
    const status = lstatSync(folder);
    const isOwn = status.isDirectory() && status.uid === process.getuid?.() && (status.mode & 0o022) === 0;
    return isOwn ? folder : undefined;
  } catch {
    return undefined;
  }
}

function cacheModules(program: string, folder: string): void {
  // oxlint-disable-next-line typescript/no-deprecated -- Node.js 20 has no other way to compile its modules
  const {extensions} = createRequire(join(program, 'package.json'));
  const compileAsUsual = extensions['.js'];
  const compiled: {readonly script: Script; readonly path: string}[] = [];
  extensions['.js'] = (module, file) => {
    if (!file.startsWith(program + sep)) {
      compileAsUsual(module, file);
      return;
    }
    const path = join(folder, `${basename(dirname(file))}-${basename(file)}`);
    const cachedData = readCode(path);
    const source = `${wrapper}${readFileSync(file, 'utf8')}\n})`;
    const options = {filename: file, columnOffset: -wrapper.length};
    const script = withUsualSettings(
      () => new Script(source, cachedData === undefined ? options : {...options, cachedData}),
    );
    if (cachedData === undefined || script.cachedDataRejected === true) compiled.push({script, path});
    const run = script.runInThisContext() as (...names: unknown[]) => void;
    run.call(module.exports, module.exports, createRequire(file), module, file, dirname(file));
  };
  process.once('exit', () => {
    if (compiled.length === 0) return;
    try {
      mkdirSync(folder, {recursive: true, mode: 0o700});
      // Only now: the code of functions that have run is in it.
      for (const {script, path} of compiled)
        writeCode(
          path,
          withUsualSettings(() => script.createCachedData()),
        );
    } catch {
      // The disk is full or the home is not writable: the next start takes as long as this one.
    }
  });
}

const isNode20 = process.versions.node.startsWith('20.');

/**
 * V8's settings of a run that takes longer than a start, and their defaults. Memory comes first: rows and the buffers behind them are
 * collected early, and get no more room than at the start. Otherwise a backup takes up to 50 MB more in the same time, and `refresh` in
 * Node.js 24 up to 90 MB more for a second less. Node.js 20 counts the buffers of a dump as growth of its small heap, and looks through all
 * objects ten times a second, a tenth of the time of a backup, unless the heap may become three times as large before.
 */
const longRun = [
  '--optimize-for-size',
  '--semi-space-growth-factor=1',
  ...(isNode20 ? ['--heap-growing-percent=200'] : []),
];
const usual = [
  '--no-optimize-for-size',
  '--max-semi-space-size=0', // which the former sets to 1
  '--semi-space-growth-factor=2',
  ...(isNode20 ? ['--heap-growing-percent=0'] : []),
];

let isLong = false;

/** Sets how V8 collects objects, for the rest of the process. */
export function collectAsInLongRuns(): void {
  isLong = true;
  setV8(longRun);
  // Node.js 22 and newer store the compiled code after this.
  process.once('exit', () => setV8(usual));
}

function setV8(flags: readonly string[]): void {
  for (const flag of flags) setFlagsFromString(flag);
}

/** V8 refuses code that was compiled under other settings. */
function withUsualSettings<T>(compile: () => T): T {
  if (!isLong) return compile();
  setV8(usual);
  try {
    return compile();
  } finally {
    setV8(longRun);
  }
}

/** Code of an earlier run; V8 does not notice all damage itself. */
function readCode(path: string): Buffer | undefined {
  try {
    const bytes = readFileSync(path);
    const code = bytes.subarray(digestBytes);
    return digestOf(code).equals(bytes.subarray(0, digestBytes)) ? code : undefined;
  } catch {
    return undefined;
  }
}

function writeCode(path: string, code: Buffer): void {
  const draft = `${path}.${process.pid}`;
  writeFileSync(draft, Buffer.concat([digestOf(code), code]), {mode: 0o600});
  renameSync(draft, path);
}

function digestOf(code: Buffer): Buffer {
  return createHash('sha256').update(code).digest();
}
