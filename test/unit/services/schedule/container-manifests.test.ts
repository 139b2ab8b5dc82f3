/** Manifests for containers, checked with schemas of the fields in the references of Kubernetes (batch/v1, v1) and compose. */
import {expect, it} from 'vitest';
import {parse, parseAllDocuments} from 'yaml';
import {z} from 'zod';
import {planSchedule} from '../../../../src/lib/services/schedule/schedule.js';
import type {Config} from '../../../../src/lib/settings/config-schema.js';
import {testContext} from '../../../support/test-context.js';

const plan = [
  'daily custom at 02:00 keep 30 days',
  'cron 15 3 1,15 * 1-5 restore test',
  'weekly run copy --to "s3://b/it\'s $HOME"',
  'monthly run backup --exclude-table-data public.a_very_long_name_of_a_table',
  'monthly run backup --exclude-table-data public.a_very_long_name_of_a_tree',
];

function printed(as: 'kubernetes' | 'compose', config: Config = {}, sharedFlags: string[] = []) {
  const context = testContext('/srv/shop', {
    settings: {config: {schedule: {plan, timeZone: 'America/Los_Angeles'}, ...config}},
  });
  return planSchedule(context, {
    as,
    action: 'print',
    program: {node: '/usr/bin/node', script: '/opt/run.js'},
    image: 'localhost/destino-db',
    sharedFlags,
    checkCommandLine: () => Promise.resolve(undefined),
  }).then(({files}) => files.map(({text}) => text).join('\n'));
}

const name = z.string().regex(/^[a-z0-9]([-a-z0-9]{0,50}[a-z0-9])?$/);
const claim = z.strictObject({
  apiVersion: z.literal('v1'),
  kind: z.literal('PersistentVolumeClaim'),
  metadata: z.strictObject({name}),
  spec: z.strictObject({
    accessModes: z.array(z.enum(['ReadWriteOnce', 'ReadWriteMany', 'ReadWriteOncePod'])),
    resources: z.strictObject({requests: z.strictObject({storage: z.string().regex(/^\d+Gi$/)})}),
  }),
});
const cronJob = z.strictObject({
  apiVersion: z.literal('batch/v1'),
  kind: z.literal('CronJob'),
  metadata: z.strictObject({name}),
  spec: z.strictObject({
    schedule: z.string().regex(/^(\S+ ){4}\S+$/),
    timeZone: z.literal('America/Los_Angeles'),
    concurrencyPolicy: z.literal('Forbid'),
    jobTemplate: z.strictObject({
      spec: z.strictObject({
        backoffLimit: z.literal(0),
        template: z.strictObject({
          spec: z.strictObject({
            restartPolicy: z.literal('Never'),
            automountServiceAccountToken: z.literal(false),
            terminationGracePeriodSeconds: z.int().min(30),
            securityContext: z.strictObject({
              runAsNonRoot: z.literal(true),
              runAsUser: z.int().min(1),
              runAsGroup: z.int().min(1),
              fsGroup: z.int().min(1),
              seccompProfile: z.strictObject({type: z.literal('RuntimeDefault')}),
            }),
            containers: z.tuple([
              z.strictObject({
                name,
                image: z.literal('localhost/destino-db'),
                args: z.array(z.string()).min(1),
                envFrom: z.tuple([z.strictObject({secretRef: z.strictObject({name})})]),
                securityContext: z.strictObject({
                  allowPrivilegeEscalation: z.literal(false),
                  readOnlyRootFilesystem: z.literal(true),
                  capabilities: z.strictObject({drop: z.tuple([z.literal('ALL')])}),
                }),
                volumeMounts: z.array(
                  z.strictObject({
                    name,
                    mountPath: z.string().startsWith('/'),
                    subPath: z.string().optional(),
                    readOnly: z.boolean().optional(),
                  }),
                ),
              }),
            ]),
            volumes: z.array(
              z.union([
                z.strictObject({name, configMap: z.strictObject({name})}),
                z.strictObject({name, persistentVolumeClaim: z.strictObject({claimName: name})}),
                z.strictObject({name, emptyDir: z.strictObject({})}),
              ]),
            ),
          }),
        }),
      }),
    }),
  }),
});

const bind = z.strictObject({
  type: z.literal('bind'),
  source: z.string(),
  target: z.string().startsWith('/'),
  read_only: z.boolean(),
});
const compose = z.strictObject({
  services: z.strictObject({
    'destino-db': z.strictObject({
      image: z.literal('localhost/destino-db'),
      command: z.array(z.string()),
      user: z.string().regex(/^[1-9]\d*:\d+$/),
      environment: z.strictObject({TZ: z.literal('America/Los_Angeles')}),
      secrets: z.tuple([z.literal('destino-db')]),
      volumes: z.array(bind),
      tmpfs: z.tuple([z.literal('/tmp')]),
      read_only: z.literal(true),
      init: z.literal(true),
      cap_drop: z.tuple([z.literal('ALL')]),
      security_opt: z.tuple([z.literal('no-new-privileges:true')]),
      stop_grace_period: z.string().regex(/^\d+m$/),
      restart: z.literal('unless-stopped'),
    }),
  }),
  secrets: z.strictObject({'destino-db': z.strictObject({file: z.string()})}),
});

it('a CronJob for each job has its time, zone and words, and may write only backups and /tmp', async () => {
  const [volume, ...rest] = parseAllDocuments(await printed('kubernetes')).map((document) => {
    expect(document.errors).toEqual([]);
    return document.toJS() as unknown;
  });
  const {metadata} = claim.parse(volume);
  const jobs = rest.map((document) => cronJob.parse(document));
  expect(jobs.map(({spec}) => spec.schedule)).toEqual([
    '0 2 * * *',
    '15 3 1,15 * 1-5',
    '0 4 * * 0',
    '30 4 1 * *',
    '0 5 1 * *',
  ]);
  expect(new Set(jobs.map((job) => job.metadata.name)).size).toBe(5);
  const pods = jobs.map(({spec}) => spec.jobTemplate.spec.template.spec);
  expect(pods.map(({containers: [{args}]}) => args)).toEqual([
    ['backup', '--format=custom', '--retention-days=30', '--wait=21600'],
    ['verify', '--latest', '--level=restore', '--wait=21600'],
    ['copy', '--to', "s3://b/it's $HOME"],
    ['backup', '--exclude-table-data', 'public.a_very_long_name_of_a_table', '--wait=21600'],
    ['backup', '--exclude-table-data', 'public.a_very_long_name_of_a_tree', '--wait=21600'],
  ]);
  for (const {containers, volumes} of pods) {
    const mounts = containers[0].volumeMounts;
    expect(mounts.map((mount) => mount.name)).toEqual(volumes.map((found) => found.name));
    expect(mounts.filter((mount) => mount.readOnly !== true).map((mount) => mount.mountPath)).toEqual([
      '/data/backups',
      '/tmp',
    ]);
    expect(JSON.stringify(volumes)).toContain(`"claimName":"${metadata.name}"`);
  }
});

it('the service of the compose file runs the plan, and may write only backups and /tmp', async () => {
  const {services, secrets} = compose.parse(parse(await printed('compose')));
  const service = services['destino-db'];
  expect(service.command).toEqual(['schedule', '--run', '--env-file', '/run/secrets/destino-db']);
  expect(service.volumes.map(({source, target, read_only}) => [source, target, read_only])).toEqual([
    ['./destino-db.config.json', '/data/destino-db.config.json', true],
    ['./backups', '/data/backups', false],
  ]);
  expect(secrets['destino-db'].file).toBe('./.env.local');
});

it('an absolute backups folder has the same path in the container, and "$" is not a variable of compose', async () => {
  const {services} = compose.parse(parse(await printed('compose', {backupsDir: '/mnt/a$b'})));
  expect(services['destino-db'].volumes[1]).toMatchObject({source: '/mnt/a$$b', target: '/mnt/a$$b'});
  expect(await printed('kubernetes', {backupsDir: '/mnt/a$b'})).toContain('mountPath: "/mnt/a$b"');
});

it('flags with paths of this machine are refused', async () => {
  await expect(printed('compose', {}, ['--env-file=/srv/.env'])).rejects.toMatchObject({code: 'USAGE'});
});
