/** The installed package: the packed program, in its own folder, without the project around it. */
import {execFile} from 'node:child_process';
import {existsSync, readFileSync} from 'node:fs';
import {mkdir, readdir, rm, stat, symlink, writeFile} from 'node:fs/promises';
import {join, posix} from 'node:path';
import {fileURLToPath, pathToFileURL} from 'node:url';
import {promisify} from 'node:util';
import {afterAll, beforeAll, describe, expect, it} from 'vitest';
import {cases} from '../support/long-form.js';
import {tempFolder} from '../support/run-cli.js';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../../', import.meta.url));
const readJson = (path: string): unknown => JSON.parse(readFileSync(join(root, path), 'utf8'));
const {version} = readJson('package.json') as {version: string};
const npmFlags = ['--prefer-offline', '--no-audit', '--no-fund', '--loglevel=error'];

let folder: string;
let packed: string[];

beforeAll(async () => {
  folder = await tempFolder();
  await mkdir(join(folder, 'work'));
  // Without scripts, because packing would build again during other tests.
  const pack = ['pack', '--json', '--ignore-scripts', `--pack-destination=${folder}`, ...npmFlags];
  const [tarball] = JSON.parse((await run('npm', pack, {cwd: root})).stdout) as [
    {filename: string; files: {path: string}[]},
  ];
  packed = tarball.files.map(({path}) => path);
  await run('npm', [
    'install',
    '--global',
    `--prefix=${folder}/installed`,
    join(folder, tarball.filename),
    ...npmFlags,
  ]);
}, 300_000);
afterAll(() => rm(folder, {recursive: true, force: true}));

interface Outcome {
  status: number;
  stdout: string;
  stderr: string;
}

/** Runs the installed program in an empty folder, with an environment as small as cron's. */
async function installed(args: readonly string[], node = process.execPath): Promise<Outcome> {
  const program = join(folder, 'installed/bin/destino-db');
  const options = {cwd: join(folder, 'work'), env: {PATH: '/usr/bin:/bin', HOME: folder}};
  return outcomeOf(run(node, [program, ...args], options));
}

async function outcomeOf(running: Promise<{stdout: string; stderr: string}>): Promise<Outcome> {
  try {
    return {status: 0, ...(await running)};
  } catch (error) {
    const {code, stdout, stderr} = error as {code: number; stdout: string; stderr: string};
    return {status: code, stdout, stderr};
  }
}

interface InstalledPackage {
  readonly name: string;
  /** Whether npm runs a script of it during the installation; a binding.gyp is compiled automatically. */
  readonly runsScript: boolean;
}

async function installedPackages(): Promise<InstalledPackage[]> {
  const entries = await readdir(join(folder, 'installed'), {withFileTypes: true, recursive: true});
  const isPackage = /\/node_modules\/(?:@[^/]+\/)?[^/]+$/;
  return entries
    .filter((entry) => entry.name === 'package.json' && isPackage.test(entry.parentPath))
    .map(({parentPath, name: file}) => {
      const {name, scripts = {}} = JSON.parse(readFileSync(join(parentPath, file), 'utf8')) as {
        name: string;
        scripts?: Record<string, string>;
      };
      const runsScript =
        ['preinstall', 'install', 'postinstall'].some((script) => script in scripts) ||
        existsSync(join(parentPath, 'binding.gyp'));
      return {name, runsScript};
    });
}

async function sizeOfTree(path: string): Promise<{size: number; files: number}> {
  const entries = await readdir(path, {withFileTypes: true, recursive: true});
  const files = entries.filter((entry) => entry.isFile());
  const sizes = await Promise.all(files.map((entry) => stat(join(entry.parentPath, entry.name))));
  return {size: sizes.reduce((sum, {size}) => sum + size, 0), files: files.length};
}

describe('the package', () => {
  it('contains the program, its documents, and the types of its results, and nothing else', () => {
    const expected =
      /^(?:bin\/(?:run\.js|package\.json)|dist\/program\/[\w/-]+\.js(?:\.map)?|dist\/program\/(?:LICENSES\.txt|package\.json)|dist\/config\.schema\.json|dist\/help\/[a-z -]+\.txt|dist\/completion\/[a-z]+|dist\/results\.d\.ts|docs\/[a-z0-9-]+\.(?:md|svg)|docs\/alerts\/[a-z-]+\.rules\.yml|oclif\.manifest\.json|package\.json|README\.md|CHANGELOG\.md|CONTRIBUTING\.md|LICENSE|Containerfile)$/;
    expect(packed.filter((path) => !expected.test(path))).toEqual([]);
    for (const page of packed.filter((path) => /^(?:[A-Z]+|docs\/[a-z0-9-]+)\.md$/.test(path))) {
      const links = readFileSync(join(root, page), 'utf8').matchAll(/\]\((?!https?:|#)([^)#]+)/g);
      for (const [, link = ''] of links)
        expect(packed, `${page} links to ${link}`).toContain(posix.join(posix.dirname(page), link));
    }
    for (const path of [
      'bin/run.js',
      'bin/package.json',
      'oclif.manifest.json',
      'README.md',
      'LICENSE',
      'dist/program/commands/backup.js',
      'dist/program/LICENSES.txt',
      'dist/results.d.ts',
      'dist/help/backup --help.txt',
      'docs/errors.md',
    ])
      expect(packed).toContain(path);
  });

  it('does not depend on packages that run a script when they are installed', async () => {
    const {packages} = readJson('package-lock.json') as {
      packages: Record<string, {dev?: boolean; hasInstallScript?: boolean}>;
    };
    const running = Object.entries(packages).filter(([, entry]) => !entry.dev && entry.hasInstallScript);
    expect(running.map(([name]) => name)).toEqual([]);
    const found = await installedPackages();
    expect(found.filter(({runsScript}) => runsScript).map(({name}) => name)).toEqual([]);
  });

  it('reports the number of its packages and bytes', async () => {
    const found = await installedPackages();
    const {size, files} = await sizeOfTree(join(folder, 'installed'));
    process.stdout.write(
      `installed: ${found.length - 1} dependencies, ${files} files, ${(size / 2 ** 20).toFixed(1)} MiB\n`,
    );
    // A generous limit, but a new heavy dependency exceeds it.
    expect(found.length).toBeLessThan(200);
    expect(size).toBeLessThan(80 * 2 ** 20);
  });
});

describe('the installed program', () => {
  it('prints its version', async () => {
    const {stdout} = await installed(['--version']);
    expect(stdout).toBe(
      `destino-db/${version} ${process.platform}-${process.arch} node-${process.version}\n`,
    );
  });

  it('lists every command in its help, without a warning', async () => {
    const {stdout, stderr} = await installed(['--help']);
    const {commands} = readJson('oclif.manifest.json') as {commands: Record<string, {hidden?: boolean}>};
    for (const [id, {hidden}] of Object.entries(commands))
      expect(new RegExp(`^  ${id} `, 'm').test(stdout), id).toBe(hidden !== true);
    expect(stderr).toBe('');
  });

  it('prints the help that its build wrote, equal to the help that oclif creates from the commands', async () => {
    const modules = join(folder, 'installed/lib/node_modules/destino-db');
    const made = `
      const {execute} = await import('${join(modules, 'node_modules/@oclif/core/lib/index.js')}');
      await execute({dir: '${pathToFileURL(join(modules, 'package.json')).href}', args: JSON.parse(process.argv[1])});`;
    const pages = [
      ['--help'],
      ['orders:clean', '-h'],
      ['help', 'verify'],
      ['help', 'exit-codes'],
      ['-h'],
      ['backup', '--help'],
      ['backup', '-h'],
      ['orders:clean', '--help'],
      ['orders', '--help'],
      ['help'],
      ['help', 'config'],
    ];
    for (const words of cases(pages, 4)) {
      const direct = await run(
        process.execPath,
        ['--input-type=module', '--eval', made, JSON.stringify(words)],
        {env: {PATH: '/usr/bin:/bin', HOME: folder}},
      );
      expect((await installed(words)).stdout).toBe(direct.stdout);
    }
  });

  it('has types of its results for a program in TypeScript', async () => {
    const work = join(folder, 'typed');
    await mkdir(join(work, 'node_modules'), {recursive: true});
    await symlink(
      join(folder, 'installed/lib/node_modules/destino-db'),
      join(work, 'node_modules/destino-db'),
    );
    const check = async (expression: string): Promise<Outcome> => {
      const text = `import type {BackupResult, ErrorResult, ListResult} from 'destino-db';
        export const size = (list: ListResult, made: BackupResult, failed: ErrorResult): number => ${expression};`;
      await writeFile(join(work, 'reads.mts'), text);
      const compiler = join(root, 'node_modules/typescript/bin/tsc');
      const args = [compiler, '--noEmit', '--strict', '--module', 'nodenext', 'reads.mts'];
      return outcomeOf(run(process.execPath, args, {cwd: work}));
    };
    expect(await check('list.backups.length + made.size + failed.error.exitCode')).toMatchObject({
      status: 0,
      stdout: '',
    });
    expect((await check('list.nothing')).stdout).toContain("Property 'nothing' does not exist");
  });

  it('accepts a topic with a colon and with a space', async () => {
    const [colon, space] = await Promise.all([
      installed(['orders:clean', '--help']),
      installed(['orders', 'clean', '--help']),
    ]);
    expect(colon.status).toBe(0);
    expect(colon.stdout).toMatch(/^ {2}(?:\$ )?destino-db orders:clean /m);
    expect(space).toEqual(colon);
  });

  it('accepts "restore rows" for restore:rows, though "restore" is a command', async () => {
    const [colon, space] = await Promise.all([
      installed(['restore:rows', '--json', '--database-url', 'nothing']),
      installed(['restore', 'rows', '--json', '--database-url', 'nothing']),
    ]);
    expect(colon.status).toBe(2);
    expect(space).toEqual(colon);
  });

  it('answers an unknown command with a suggestion and exit status 2', async () => {
    const {status, stdout, stderr} = await installed(['bakcup']);
    expect([status, stdout]).toEqual([2, '']);
    expect(stderr).toContain('Did you mean "backup"?');
    const asJson = await installed(['bakcup', '--json']);
    expect(asJson.status).toBe(2);
    expect(JSON.parse(asJson.stdout)).toMatchObject({error: {code: 'USAGE', exitCode: 2}});
  });

  it('lists no backups in an empty folder, as one JSON document', async () => {
    const {status, stdout, stderr} = await installed(['list', '--json']);
    expect([status, stderr]).toEqual([0, '']);
    expect(JSON.parse(stdout)).toMatchObject({schemaVersion: 1, backups: []});
  });
});

/** `npm run test:nodes` sets the oldest supported version and others; "latest" is the newest one. */
const nodes = (process.env['DESTINO_TEST_NODES'] ?? '24').split(',');

it.each(nodes)(
  'runs on Node %s too',
  async (version) => {
    const name = `node-${process.platform}-${process.arch}`;
    const home = join(folder, `node-${version}`);
    await run('npm', ['install', `--prefix=${home}`, `${name}@${version}`, ...npmFlags]);
    const node = join(home, 'node_modules', name, 'bin/node');
    const own = (await run(node, ['--version'])).stdout.trim();
    if (version !== 'latest') expect(own).toMatch(new RegExp(`^v${version}\\b`));
    expect((await installed(['--version'], node)).stdout).toContain(`node-${own}\n`);
    for (const words of [['backup', '--help'], ['orders', 'clean', '--help'], []]) {
      const {status, stdout, stderr} = await installed(words, node);
      expect([words, status, stderr]).toEqual([words, 0, '']);
      expect(stdout).toContain('destino-db');
    }
    const {status, stdout, stderr} = await installed(['list', '--json'], node);
    expect([status, stderr]).toEqual([0, '']);
    expect(JSON.parse(stdout)).toMatchObject({backups: []});
  },
  300_000,
);
