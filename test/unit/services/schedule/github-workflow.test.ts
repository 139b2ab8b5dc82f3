/** The workflow for GitHub: each run gets a new machine, so local files are lost. */
import {expect, it} from 'vitest';
import {parse} from 'yaml';
import {z} from 'zod';
import {githubWorkflow, packageManagers} from '../../../../src/lib/services/schedule/github-workflow.js';
import type {Config} from '../../../../src/lib/settings/config-schema.js';
import {parsePlan} from '../../../../src/lib/services/schedule/plan.js';

const [npm, pnpm] = packageManagers;
if (!npm || !pnpm) throw new Error('no package managers');

const workflow = (plan: string, manager = npm, config: Config = {}): string =>
  githubWorkflow(
    parsePlan([plan]).map((job) => ({...job, times: [job.every], words: job.args})),
    manager,
    config,
  );
const plan = 'daily custom at 02:00 keep 30 days; monthly restore test; weekly status';

const stepSchema = z.object({
  name: z.string().optional(),
  if: z.string().optional(),
  run: z.string().optional(),
  env: z.record(z.string(), z.string()).optional(),
});
const stepsOf = (text: string) =>
  z.object({jobs: z.object({backup: z.object({steps: z.array(stepSchema)})})}).parse(parse(text)).jobs.backup
    .steps;
const linesOf = (text: string) => stepsOf(text).map(({run}) => run?.trim().split('\n'));

it('writes backups to the location of the repository variable, and tests, watches and prunes those in it', () => {
  expect(linesOf(workflow(plan)).slice(-3)).toEqual([
    [
      'npm exec --no -- destino-db backup --format=custom --to "$DESTINO_DB_PLACE"',
      'npm exec --no -- destino-db prune --from "$DESTINO_DB_PLACE" --keep-days=30 --yes',
    ],
    ['npm exec --no -- destino-db verify --latest --level=restore --from "$DESTINO_DB_PLACE"'],
    ['npm exec --no -- destino-db status --from "$DESTINO_DB_PLACE"'],
  ]);
});

it.each([
  'daily report',
  'daily run report --from s3://shop/db',
  'daily run history',
  'daily run orders:clean --execute --yes',
  'daily run copy --to s3://shop/db',
  'daily run copy --from backups/database --to s3://shop/db',
  'daily run copy --from=s3://shop/db --to=/mnt/disk',
  'daily run backup --to /mnt/disk',
  'daily run status --from /mnt/disk',
])('refuses a job whose files are on the machine: %s', (sentence) => {
  expect(() => workflow(sentence)).toThrow(/cannot run under GitHub Actions: .* is lost/);
});

it('accepts a copy from one bucket to another', () => {
  const copy = 'copy --from s3://shop/db --to s3://other/db';
  expect(linesOf(workflow(`daily run ${copy}`)).at(-1)).toEqual([`npm exec --no -- destino-db ${copy}`]);
});

it.each([
  ['daily restore test', {recipients: ['age1']}],
  ['daily archive test', {recipients: ['age1']}],
  ['daily run restore --latest --yes', {recipients: ['age1']}],
  ['daily custom', {recipients: ['age1'], identityFile: 'key.txt'}],
  ['daily custom', {passphraseFile: 'phrase.txt'}],
  ['daily run verify --latest --identity key.txt', {}],
])('refuses %s with the encryption %j, because the machine has no secret key', (sentence, encryption) => {
  expect(() => workflow(sentence, npm, {encryption})).toThrow(/without the secret key/);
});

it.each(['daily custom', 'daily checksum test', 'daily status', 'daily prune'])(
  'accepts %s of encrypted backups, which needs no key',
  (sentence) => {
    expect(stepsOf(workflow(sentence, npm, {encryption: {recipients: ['age1']}}))).toHaveLength(5);
  },
);

it('passes the addresses of notifications as secrets, only in the steps of the jobs', () => {
  const targets: NonNullable<Config['notifications']>['targets'] = [
    {type: 'ping', urlEnv: 'PING_URL'},
    {type: 'webhook', urlEnv: 'PING_URL'},
    {type: 'webhook', urlEnv: 'no name: x'},
  ];
  const text = workflow('daily status', npm, {notifications: {targets}});
  expect(stepsOf(text).flatMap(({env}) => (env === undefined ? [] : [env]))).toEqual([
    expect.objectContaining({PING_URL: '${{ secrets.PING_URL }}'}),
  ]);
  expect(text).toContain('AWS_SECRET_ACCESS_KEY, PING_URL.\n');
  expect(text).not.toContain('no name');
});

it('installs only from the lockfile, and never downloads a package by its name', () => {
  for (const manager of [npm, pnpm]) {
    const lines = linesOf(workflow(plan, manager)).flatMap((step) => step ?? []);
    expect(lines).toEqual(expect.arrayContaining([...manager.install]));
    for (const command of lines.filter((line) => line.includes('destino-db')))
      expect(command.startsWith(`${manager.run.join(' ')} destino-db `), command).toBe(true);
    expect(lines.join('\n')).not.toMatch(/npx|\bnpm install|pnpm (?:add|dlx)/);
  }
});

it('runs each job at its own time, one run at a time, with read-only rights', () => {
  const text = workflow(plan);
  const times = ['0 2 * * *', '0 4 1 * *', '0 3 * * 0'];
  expect([...text.matchAll(/- cron: "(.*)"/g)].map(([, time]) => time)).toEqual(times);
  expect([...text.matchAll(/event\.schedule == '(.*)'/g)].map(([, time]) => time)).toEqual(times);
  expect(text).toMatch(/^concurrency: destino-db$/m);
  expect(text).toMatch(/^permissions:\n {2}contents: read$/m);
});

it('gives no secrets to steps that install packages', () => {
  const text = workflow(plan);
  expect(text.slice(0, text.indexOf('steps:'))).not.toContain('secrets.');
  for (const {run, env} of stepsOf(text))
    expect(env !== undefined, run).toBe(run?.includes('destino-db ') === true);
});
