/**
 * vitest global setup: the image of docs/containers.md, built by buildah on a base that debootstrap makes, without a registry.
 * DESTINO_TEST_CONTAINER_BASE names a tar file that keeps the base between runs.
 */
import {type ChildProcess, spawn} from 'node:child_process';
import {randomBytes} from 'node:crypto';
import {existsSync} from 'node:fs';
import {chmod, readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import type {TestProject} from 'vitest/node';
import {makeKey} from './age.js';
import {blocksOf} from './doc-page.js';
import {requirePrograms} from './require-programs.js';
import {runProgram, tempFolder} from './run-cli.js';

export interface ContainerHost {
  /** Where the commands of the page run: with the package, `image` and `bin/docker`. */
  readonly folder: string;
  /** Mounts of containers are visible only in the mount namespace of this process, and vanish with it. */
  readonly holder: number;
  /** A password and a key that are stored next to the package and in the environment of the build. */
  readonly secrets: readonly string[];
}

declare module 'vitest' {
  export interface ProvidedContext {
    containerHost: ContainerHost;
  }
}

const root = fileURLToPath(new URL('../../', import.meta.url));
const npmFlags = ['--prefer-offline', '--no-audit', '--no-fund', '--loglevel=error'];
/** Names of the base, which has Node.js alone, and of the image; the image's name is the page's. */
export const baseImage = 'localhost/node-base';
export const image = 'localhost/destino-db';
/** The first Debian whose Node.js is new enough. */
const suite = 'trixie';

let holder: ChildProcess | undefined;

export async function setup(project: TestProject): Promise<void> {
  if (process.getuid?.() !== 0)
    throw new Error('The tests of the container need root: they make root file systems, and mount in them.');
  requirePrograms('buildah', 'debootstrap', 'unshare');
  const folder = await tempFolder();
  const host = {
    folder,
    holder: await startHolder(),
    secrets: [randomBytes(12).toString('hex'), await secretKey(folder)],
  };
  const made = Date.now();
  const base = await makeBase(folder);
  const took = Date.now();
  await buildBase(host, base);
  await packProgram(host);
  const built = Date.now();
  await buildImage(host);
  const seconds = (from: number, to: number): string => `${Math.round((to - from) / 1000)} s`;
  process.stdout.write(
    `base ${seconds(made, took)}, package ${seconds(took, built)}, image ${seconds(built, Date.now())}\n`,
  );
  project.provide('containerHost', host);
}

/** Ends the process whose namespace contains the mounts; the run's folder is removed afterwards. */
export async function teardown(): Promise<void> {
  if (!holder || holder.exitCode !== null) return;
  const gone = new Promise((resolve) => holder?.once('close', resolve));
  holder.stdin?.end();
  await gone;
}

/** A process that ends with this one, whose mounts nobody else sees. */
async function startHolder(): Promise<number> {
  const started = spawn('unshare', ['--mount', '--propagation=private', 'sh', '-c', 'echo; exec cat'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  holder = started;
  await new Promise((resolve, reject) => {
    started.stdout.once('data', resolve);
    started.once('error', reject);
  });
  return started.pid ?? 0;
}

/** The words before a program that runs in the host's folder and sees the mounts. */
export function onHost({folder, holder: pid}: ContainerHost): string[] {
  return ['nsenter', `--mount=/proc/${pid}/ns/mnt`, '--', 'env', `--chdir=${folder}`];
}

/** The words of a buildah that keeps everything in the host's folder. */
export function buildahOf(host: ContainerHost): string[] {
  return [...onHost(host), 'buildah', `--root=${host.folder}/store`, `--runroot=${host.folder}/run`];
}

/** @throws with the program's output */
export async function must(words: readonly string[], env: Record<string, string> = {}): Promise<string> {
  const [program = '', ...args] = words;
  const {status, stdout, stderr} = await runProgram(program, args, {env});
  if (status !== 0) throw new Error(`${words.join(' ')}: status ${status}\n${stdout}${stderr}`.slice(-4000));
  return stdout;
}

async function makeBase(folder: string): Promise<string> {
  const tar = process.env['DESTINO_TEST_CONTAINER_BASE'] ?? join(folder, 'base.tar');
  if (existsSync(tar)) return tar;
  const tree = join(folder, 'base');
  await must(['debootstrap', '--variant=minbase', '--include=ca-certificates,nodejs', suite, tree]);
  await must(['tar', '--create', `--file=${tar}`, `--directory=${tree}`, '--exclude=*.deb', '.']);
  await must(['rm', '--recursive', '--force', tree]);
  return tar;
}

async function buildBase(host: ContainerHost, tar: string): Promise<void> {
  const buildah = buildahOf(host);
  const made = (await must([...buildah, 'from', 'scratch'])).trim();
  await must([...buildah, 'add', '--quiet', made, tar, '/']);
  await must([...buildah, 'commit', '--quiet', '--rm', made, baseImage]);
}

/** The secret half of a new age key. */
async function secretKey(folder: string): Promise<string> {
  const file = join(folder, 'key.txt');
  makeKey(file);
  return /AGE-SECRET-KEY-1\S+/.exec(await readFile(file, 'utf8'))?.[0] ?? '';
}

/** The package, and files with the secrets where a wrong instruction would copy them into the image. */
async function packProgram({folder, secrets}: ContainerHost): Promise<void> {
  await must(['npm', 'pack', root, '--ignore-scripts', `--pack-destination=${folder}`, ...npmFlags]);
  await must(['mkdir', '-p', join(folder, 'image'), join(folder, 'bin')]);
  for (const place of ['', 'image']) await writeFile(join(folder, place, '.env.local'), secrets.join('\n'));
}

/** Runs the page's block that builds the image, with a `docker` that is buildah. */
async function buildImage(host: ContainerHost): Promise<void> {
  const [block] = blocksOf(await readFile(join(root, 'docs/containers.md'), 'utf8'));
  if (block?.text.includes('docker build') !== true)
    throw new Error('docs/containers.md does not begin with a build');
  const docker = join(host.folder, 'bin/docker');
  const [program = '', ...words] = buildahOf(host);
  const build = [
    'build',
    '--isolation=chroot',
    ...Object.entries(distributionTools).map(([name, value]) => `--build-arg=${name}=${value}`),
  ];
  await writeFile(
    docker,
    `#!/bin/sh\n[ "$1" = build ] && shift && exec ${[program, ...words, ...build].join(' ')} "$@"\n`,
  );
  await chmod(docker, 0o755);
  await must(['env', `--chdir=${host.folder}`, 'sh', '-euc', block.text], {
    PATH: `${host.folder}/bin:${process.env['PATH'] ?? ''}`,
    ...npmEnvironment(),
    DIRECT_URL: `postgresql://u:${host.secrets.join('-')}@db/shop`,
  });
}

/** Debian's own client tools. */
const distributionTools = {
  BASE_IMAGE: baseImage,
  PGDG: 'no',
  CLIENT_PACKAGES: 'postgresql-client',
};

/** npm's way to its registry: certificates and proxies of this machine. */
export function npmEnvironment(): Record<string, string> {
  const isNeeded = /^(?:https?_proxy|no_proxy|node_extra_ca_certs|ssl_cert_(?:file|dir)|npm_config_.*)$/i;
  return Object.fromEntries(
    Object.entries(process.env).filter(
      (entry): entry is [string, string] => isNeeded.test(entry[0]) && entry[1] !== undefined,
    ),
  );
}
