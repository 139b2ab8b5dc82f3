/** Writes a plan as manifests for containers: CronJobs of Kubernetes, or a compose file with one service that runs the plan. */
import {createHash} from 'node:crypto';
import {isAbsolute, posix} from 'node:path';
import {cronTime} from './cron-block.js';
import type {ScheduledCommand} from './scheduled-command.js';

interface ContainerOptions {
  readonly image: string;
  /** Time zone of the plan. */
  readonly zone: string;
  /** `backupsDir` of the config file. */
  readonly backupsDir: string;
}

/** The image's working directory, with the config file in it. */
const workFolder = '/data';
const configName = 'destino-db.config.json';
/** The user of the image. */
const imageUser = 10_001;

type Yaml = string | number | boolean | readonly Yaml[] | {readonly [key: string]: Yaml};

/** A CronJob for each job, and the claim of the volume for backups. */
export function kubernetesManifests(jobs: readonly ScheduledCommand[], options: ContainerOptions): string {
  const claim: Yaml = {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: {name: 'destino-db-backups'},
    spec: {accessModes: ['ReadWriteOnce'], resources: {requests: {storage: '20Gi'}}},
  };
  const cronJobs = jobs.map((job) => ({
    apiVersion: 'batch/v1',
    kind: 'CronJob',
    metadata: {name: `destino-db-${shortName(job.name)}`},
    spec: {
      schedule: job.times.map(cronTime)[0] ?? '',
      timeZone: options.zone,
      concurrencyPolicy: 'Forbid',
      jobTemplate: {spec: {backoffLimit: 0, template: {spec: podOf(job, options)}}},
    },
  }));
  return [
    '# made by destino-db schedule --as kubernetes. Before the first run:',
    `#   kubectl create configmap destino-db --from-file=${configName}`,
    '#   kubectl create secret generic destino-db --from-env-file=FILE   (DIRECT_URL=..., values without quotes)',
    ...[claim, ...cronJobs].flatMap((manifest) => ['---', ...yamlLines(manifest)]),
    '',
  ].join('\n');
}

/** The name of a CronJob has at most 52 characters. Digits distinguish names that begin alike. */
function shortName(name: string): string {
  if (name.length <= 41) return name;
  return `${name.slice(0, 34)}-${createHash('sha256').update(name).digest('hex').slice(0, 6)}`;
}

function podOf(job: ScheduledCommand, {image, backupsDir}: ContainerOptions): Yaml {
  return {
    restartPolicy: 'Never',
    automountServiceAccountToken: false,
    terminationGracePeriodSeconds: 120,
    securityContext: {
      runAsNonRoot: true,
      runAsUser: imageUser,
      runAsGroup: imageUser,
      fsGroup: imageUser,
      seccompProfile: {type: 'RuntimeDefault'},
    },
    containers: [
      {
        name: 'destino-db',
        image,
        args: job.words,
        envFrom: [{secretRef: {name: 'destino-db'}}],
        securityContext: {
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: {drop: ['ALL']},
        },
        volumeMounts: [
          {
            name: 'config',
            mountPath: `${workFolder}/${configName}`,
            subPath: configName,
            readOnly: true,
          },
          {name: 'backups', mountPath: inContainer(backupsDir)},
          {name: 'tmp', mountPath: '/tmp'},
        ],
      },
    ],
    volumes: [
      {name: 'config', configMap: {name: 'destino-db'}},
      {name: 'backups', persistentVolumeClaim: {claimName: 'destino-db-backups'}},
      {name: 'tmp', emptyDir: {}},
    ],
  };
}

/**
 * The secrets are a file for the service alone, and not variables, which `docker inspect` would show.
 * @param user who owns the files on this machine; the user of the image without one, as for root
 */
export function composeFile(
  options: ContainerOptions,
  user: {readonly uid: number; readonly gid: number} | undefined,
): string {
  const {uid, gid} = user ?? {uid: imageUser, gid: imageUser};
  const host = isAbsolute(options.backupsDir)
    ? options.backupsDir
    : `./${posix.normalize(options.backupsDir)}`;
  const service: Yaml = {
    image: options.image,
    command: ['schedule', '--run', '--env-file', '/run/secrets/destino-db'],
    user: `${uid}:${gid}`,
    environment: {TZ: options.zone},
    secrets: ['destino-db'],
    volumes: [
      bind(`./${configName}`, `${workFolder}/${configName}`, true),
      bind(host, inContainer(options.backupsDir), false),
    ],
    tmpfs: ['/tmp'],
    read_only: true,
    init: true,
    cap_drop: ['ALL'],
    security_opt: ['no-new-privileges:true'],
    stop_grace_period: '2m',
    restart: 'unless-stopped',
  };
  return [
    '# made by destino-db schedule --as compose. .env.local has the secrets (DIRECT_URL=...).',
    `# The user ${uid}:${gid} reads .env.local and writes ${host}: both have to exist, and belong to it.`,
    ...yamlLines({services: {'destino-db': service}, secrets: {'destino-db': {file: './.env.local'}}}),
    '',
  ].join('\n');
}

/** A "$" in a compose file begins a variable. */
function bind(source: string, target: string, isReadOnly: boolean): Yaml {
  const literal = (path: string): string => path.replaceAll('$', '$$$$');
  return {type: 'bind', source: literal(source), target: literal(target), read_only: isReadOnly};
}

function inContainer(folder: string): string {
  return isAbsolute(folder) ? folder : posix.join(workFolder, folder);
}

/** Strings are quoted as in JSON, which YAML reads alike (YAML 1.2, section 1.3); keys are plain words. */
function yamlLines(value: Yaml): string[] {
  if (Array.isArray(value)) return value.flatMap((item: Yaml) => indented(yamlLines(item), '- '));
  if (typeof value !== 'object') return [JSON.stringify(value)];
  return Object.entries(value as Readonly<Record<string, Yaml>>).flatMap(([key, item]) => {
    const lines = yamlLines(item);
    if (lines.length === 0) return [`${key}: {}`];
    return typeof item === 'object' ? [`${key}:`, ...indented(lines, '  ')] : [`${key}: ${lines[0] ?? ''}`];
  });
}

function indented(lines: readonly string[], first: string): string[] {
  return lines.map((line, index) => `${index === 0 ? first : '  '}${line}`);
}
