/**
 * Manifests of several plans, checked by those that read them: Debian's docker-compose, and the schemas of the Kubernetes API, which the npm
 * package kubernetes-models has compiled from its OpenAPI document. The commands of docs/containers.md then run with them.
 */
import {mkdir, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {pathToFileURL} from 'node:url';
import {beforeAll, describe, expect, it} from 'vitest';
import {parseAllDocuments} from 'yaml';
import {baseImage, buildahOf, must, npmEnvironment} from '../support/container-image.js';
import {host, userFolder} from '../support/container.js';
import {runCli} from '../support/run-cli.js';

const models = 'kubernetes-models@5.1.0';
const buildah = buildahOf(host);

interface Validator {
  (data: unknown): boolean;
  readonly errors: unknown;
}
const validators = new Map<string, Validator>();

const configs: Readonly<Record<string, unknown>> = {
  'one database': {schedule: {plan: ['daily custom at 02:00 keep 30 days', 'weekly restore test']}},
  'several databases, a bucket, encryption and mail': {
    databases: [
      {name: 'shop', urlEnv: 'SHOP_URL', plan: ['every 6 hours custom']},
      {
        name: 'cluster',
        urlEnv: 'CLUSTER_URL',
        include: ['blog*'],
        exclude: ['*_old'],
        plan: ['daily custom at 03:00'],
      },
    ],
    storage: {places: ['s3://backups/shops']},
    encryption: {recipients: ['age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p']},
    notifications: {
      targets: [
        {
          type: 'mail',
          host: 'smtp.example.com',
          user: 'a@example.com',
          passwordEnv: 'MAIL_PASSWORD',
          from: 'a@example.com',
          to: ['b@example.com'],
        },
      ],
    },
    schedule: {
      plan: ['cron 15 3 1,15 * 1-5 restore test', 'monthly run prune --keep-daily 7'],
      timeZone: 'Europe/Berlin',
    },
  },
  'an absolute folder, and words with quotes and dollars': {
    backupsDir: '/mnt/a$b',
    schedule: {
      plan: ['daily run backup --exclude-table-data "public.it\'s $HOME"', 'every 15 minutes custom'],
    },
  },
};

beforeAll(async () => {
  const tree = join(host.folder, 'readers');
  await mkdir(tree);
  await must(
    [
      'npm',
      'install',
      '--prefix',
      tree,
      '--no-audit',
      '--no-fund',
      '--loglevel=error',
      '--engine-strict=false',
      models,
    ],
    npmEnvironment(),
  );
  for (const name of ['CoreV1PersistentVolumeClaim', 'BatchV1CronJob']) {
    const path = join(tree, `node_modules/kubernetes-models/_schemas/IoK8sApi${name}.js`);
    const {validate} = (await import(/* @vite-ignore */ pathToFileURL(path).href)) as {validate: Validator};
    validators.set(name.replace(/^.*V1/, ''), validate);
  }
  const container = (await must([...buildah, 'from', baseImage])).trim();
  await must([
    ...buildah,
    'run',
    '--isolation=chroot',
    container,
    '--',
    'sh',
    '-euc',
    'apt-get update -qq; apt-get install -y -qq --no-install-recommends docker-compose',
  ]);
  const root = (await must([...buildah, 'mount', container])).trim();
  // The mount is visible to the holder's namespace alone.
  await must([
    'nsenter',
    `--mount=/proc/${host.holder}/ns/mnt`,
    'cp',
    `${root}/usr/libexec/docker/cli-plugins/docker-compose`,
    tree,
  ]);
  await must([...buildah, 'rm', container]);
}, 600_000);

/** Remembers which members of an object the validator asked for: it asks for all that it knows. */
function watchReads(value: unknown, path: string, unknown: Set<string>): unknown {
  if (typeof value !== 'object' || value === null) return value;
  const members = new Map<PropertyKey, unknown>();
  for (const [key, member] of Object.entries(value)) {
    unknown.add(`${path}.${key}`);
    members.set(key, watchReads(member, `${path}.${key}`, unknown));
  }
  return new Proxy(value, {
    get: (target, key) => {
      unknown.delete(`${path}.${String(key)}`);
      return members.has(key) ? members.get(key) : (Reflect.get(target, key) as unknown);
    },
  });
}

/** The problems of a manifest: errors of the schema, and members that the schema does not have. */
function problemsOf(manifest: {kind: string}): unknown[] {
  const validate = validators.get(manifest.kind);
  if (!validate) return [`no schema of ${manifest.kind}`];
  const unknown = new Set<string>();
  const isValid = validate(watchReads(manifest, '', unknown));
  return [...(isValid ? [] : [validate.errors]), ...unknown];
}

describe.each(Object.entries(configs))('%s', (_name, config) => {
  let folder = '';
  beforeAll(async () => {
    folder = await userFolder();
    await writeFile(join(folder, 'destino-db.config.json'), JSON.stringify(config));
    await writeFile(join(folder, '.env.local'), 'DIRECT_URL=postgresql://u:p@db/shop\n');
  });

  it('Kubernetes knows every field', async () => {
    const {status, stdout, stderr} = await runCli(['schedule', '--as', 'kubernetes'], {cwd: folder});
    expect([status, stderr]).toEqual([0, '']);
    const manifests = parseAllDocuments(stdout).map((document) => document.toJS() as {kind: string});
    expect(manifests.length).toBeGreaterThan(2);
    expect(manifests.flatMap(problemsOf)).toEqual([]);
    const [claim, job] = manifests;
    expect(problemsOf({...claim, kind: 'CronJob'})).not.toEqual([]);
    expect(problemsOf({...job, kind: 'CronJob', more: 1} as {kind: string})).toEqual(['.more']);
  });

  it('docker-compose reads the file', async () => {
    const {status, stdout, stderr} = await runCli(['schedule', '--as', 'compose'], {cwd: folder});
    expect([status, stderr]).toEqual([0, '']);
    const file = join(folder, 'compose.yaml');
    await writeFile(file, stdout);
    const compose = join(host.folder, 'readers/docker-compose');
    const read = JSON.parse(await must([compose, '--file', file, 'config', '--format', 'json'])) as unknown;
    const {backupsDir = join(folder, 'backups')} = config as {backupsDir?: string};
    // The output is a compose file again, so its dollars are doubled.
    const source = backupsDir.replaceAll('$', '$$$$');
    expect(read).toMatchObject({
      services: {
        'destino-db': {
          command: ['schedule', '--run', '--env-file', '/run/secrets/destino-db'],
          read_only: true,
          volumes: [{}, {source}],
        },
      },
      secrets: {'destino-db': {file: join(folder, '.env.local')}},
    });
    await writeFile(file, `${stdout}more: 1\n`);
    await expect(must([compose, '--file', file, 'config'])).rejects.toThrow(/additional propert/i);
  });
});
