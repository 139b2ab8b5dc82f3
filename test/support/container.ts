/** Runs containers of the image: by `buildah run`, and as Docker does, with the program as process 1 and a read-only root. */
import type {ChildProcess} from 'node:child_process';
import {randomBytes} from 'node:crypto';
import {existsSync, readdirSync, readFileSync, readlinkSync} from 'node:fs';
import {chown, mkdir} from 'node:fs/promises';
import {join} from 'node:path';
import {inject} from 'vitest';
import {z} from 'zod';
import {buildahOf, image, must, onHost} from './container-image.js';
import {type CliResult, runProgram, tempFolder} from './run-cli.js';

export const host = inject('containerHost');
const buildah = buildahOf(host);

/** The image's user. */
export const imageUser = 10_001;

/** The parts of this machine that a container may see. */
export interface ContainerOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Folder or file of this machine, path in the container, and "ro" if it may not be written. */
  readonly volumes?: readonly (readonly [string, string, 'ro'?])[];
  /** Called with the container when it starts, and after each output with everything printed so far. */
  readonly onOutput?: (text: string, container: Container) => void;
}

/** A folder that belongs to the image's user. */
export async function userFolder(): Promise<string> {
  const folder = await tempFolder();
  await mkdir(join(folder, 'backups'));
  for (const path of [folder, join(folder, 'backups')]) await chown(path, imageUser, imageUser);
  return folder;
}

/** Runs a command in a container of its own: `buildah run --isolation chroot`. */
export async function buildahRun(
  words: readonly string[],
  options: ContainerOptions = {},
): Promise<CliResult> {
  const container = (await must([...buildah, 'from', image])).trim();
  const env = Object.entries(options.env ?? {}).map(([name, value]) => `--env=${name}=${value}`);
  const volumes = (options.volumes ?? []).map((volume) => `--volume=${volume.join(':')}`);
  const run = [...buildah, 'run', '--isolation=chroot', ...env, ...volumes, container, '--', ...words];
  try {
    return await watched(run, options);
  } finally {
    await must([...buildah, 'rm', container]);
  }
}

async function watched(
  [program = '', ...args]: readonly string[],
  {onOutput}: ContainerOptions,
): Promise<CliResult> {
  return runProgram(program, args, {
    onStart: (child: ChildProcess) => {
      let text = '';
      const container = new Container(child.pid ?? -1);
      onOutput?.(text, container);
      for (const stream of [child.stdout, child.stderr])
        stream?.on('data', (chunk: string) => onOutput?.((text += chunk), container));
    },
  });
}

/** A running container. */
export class Container {
  #mounts: string | undefined;

  /** @param runtime the process that started it */
  constructor(private readonly runtime: number) {}

  /** Sends a signal to the program alone and once, as `docker stop` does. */
  signal(name: NodeJS.Signals): void {
    if (this.#mounts !== undefined) return;
    const program = programBelow(this.runtime);
    if (program === -1) throw new Error('the program does not run in the container');
    this.#mounts = mountsOf(program);
    process.kill(program, name);
  }

  /** Processes that still share the mounts of the program that got a signal. */
  left(): string[] {
    if (this.#mounts === undefined) throw new Error('the program got no signal');
    return readdirSync('/proc').filter((pid) => /^\d+$/.test(pid) && mountsOf(Number(pid)) === this.#mounts);
  }
}

/** The first process of the program below a runtime; -1 if it has ended. */
function programBelow(pid: number): number {
  if (read(`/proc/${pid}/comm`) === 'destino-db') return pid;
  const threads = existsSync(`/proc/${pid}/task`) ? readdirSync(`/proc/${pid}/task`) : [];
  const children = threads.flatMap((thread) => read(`/proc/${pid}/task/${thread}/children`).split(' '));
  for (const child of children.filter((name) => name !== '')) {
    const found = programBelow(Number(child));
    if (found !== -1) return found;
  }
  return -1;
}

/** "" when the process has ended. */
function read(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return '';
  }
}

function mountsOf(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/mnt`);
  } catch {
    return undefined; // it has ended
  }
}

const inspected = z.object({
  OCIv1: z.object({
    config: z.object({
      User: z.string().default(''),
      Env: z.array(z.string()),
      Entrypoint: z.array(z.string()),
      WorkingDir: z.string(),
    }),
  }),
});

/** The image's settings: user, variables, entry point and working folder. */
export async function imageSettings(): Promise<z.infer<typeof inspected>['OCIv1']['config']> {
  return inspected.parse(JSON.parse(await must([...buildah, 'inspect', '--type=image', image]))).OCIv1.config;
}

/**
 * Runs the image's entry point as Docker and Kubernetes do with a read-only root folder and no capabilities: in its own mounts and processes,
 * as process 1.
 */
export async function dockerRun(
  args: readonly string[],
  options: ContainerOptions & {readonly user?: string; readonly tmpfs: readonly string[]},
): Promise<CliResult> {
  const {User, Env, Entrypoint, WorkingDir} = await imageSettings();
  const [uid = '0', gid = uid] = (options.user ?? (User === '' ? '0' : User)).split(':');
  const container = (await must([...buildah, 'from', image])).trim();
  const tree = (await must([...buildah, 'mount', container])).trim();
  const quoted = (words: readonly string[]): string =>
    words.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(' ');
  const mounts = (options.volumes ?? []).flatMap(([source, target, mode]) => [
    `[ -d ${quoted([source])} ] && mkdir -p ${quoted([tree + target])} || { mkdir -p "$(dirname ${quoted([tree + target])})"; touch ${quoted([tree + target])}; }`,
    `mount --bind ${quoted([source, tree + target])}`,
    ...(mode === undefined ? [] : [`mount -o remount,bind,ro ${quoted([tree + target])}`]),
  ]);
  const setUp = [
    'set -eu',
    // Every container has a name of its own.
    `echo ${randomBytes(6).toString('hex')} > /proc/sys/kernel/hostname`,
    `mount --bind ${tree} ${tree}`,
    `mount -t proc proc ${tree}/proc`,
    `mount --rbind /dev ${tree}/dev`,
    ...options.tmpfs.map((path) => `mount -t tmpfs -o mode=1777 tmpfs ${tree}${path}`),
    ...mounts,
    `mount -o remount,bind,ro ${tree}`,
    `cd ${tree}`,
  ];
  const environment = [
    ...Env,
    ...Object.entries(options.env ?? {}).map(([name, value]) => `${name}=${value}`),
  ];
  const program = [
    'chroot', tree, 'setpriv', `--reuid=${uid}`, `--regid=${gid}`, '--clear-groups', '--bounding-set=-all', '--inh-caps=-all', '--no-new-privs',
    'env', '--ignore-environment', `--chdir=${WorkingDir}`, ...environment, ...Entrypoint, ...args,
  ]; // prettier-ignore
  const script = [...setUp, `exec ${quoted(program)}`].join('\n');
  const runtime = ['unshare', '--mount', '--uts', '--pid', '--fork', '--kill-child', 'sh', '-c', script];
  try {
    return await watched([...onHost(host), ...runtime], options);
  } finally {
    await must([...buildah, 'rm', container]);
  }
}
