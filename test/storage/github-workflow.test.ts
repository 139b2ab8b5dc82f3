/** The workflow for GitHub, run step by step: the shell lines of the file itself, on a clone of a project with this program in its lockfile. */
import {execFile} from 'node:child_process';
import {mkdir, readFile, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {promisify} from 'node:util';
import {afterAll, beforeAll, expect, it} from 'vitest';
import {parse} from 'yaml';
import {z} from 'zod';
import {createBucket, keysIn, storeEnvironment} from '../support/bucket.js';
import {requirePrograms} from '../support/require-programs.js';
import {runCli, runProgram, tempFolder} from '../support/run-cli.js';
import {createTempDatabase, type TempDatabase} from '../support/temp-database.js';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../../', import.meta.url));
const quiet = ['--prefer-offline', '--no-audit', '--no-fund', '--loglevel=error'];

const workflowSchema = z.object({
  jobs: z.object({
    backup: z.object({
      steps: z.array(
        z.object({
          name: z.string().optional(),
          run: z.string().optional(),
          env: z.record(z.string(), z.string()).optional(),
        }),
      ),
    }),
  }),
});

let folder: string;
let shop: TempDatabase;

beforeAll(async () => {
  requirePrograms('git');
  folder = await tempFolder();
  shop = await createTempDatabase();
});
afterAll(async () => {
  await shop.drop();
  await rm(folder, {recursive: true, force: true});
});

it('a workflow does what its plan says on a new machine, with secrets only in its own steps', async () => {
  const project = join(folder, 'project');
  await mkdir(project);
  const plan = [
    'daily custom at 02:00 keep 30 days',
    'weekly restore test',
    'weekly status',
    'monthly run prune --keep-last 2 --yes',
  ];
  await writeFile(
    join(project, 'destino-db.config.json'),
    JSON.stringify({schedule: {plan, timeZone: 'UTC'}}),
  );
  await writeFile(join(project, 'package.json'), '{"name": "shop", "private": true}\n');
  const schedule = ['schedule', '--as', 'github', '--install'];

  const without = await runCli([...schedule, '--json'], {cwd: project});
  expect(without.json()).toMatchObject({
    error: {code: 'USAGE', message: expect.stringContaining('no lockfile') as string},
  });

  await run('npm', ['pack', '--ignore-scripts', `--pack-destination=${project}`, ...quiet], {cwd: root});
  const add = ['install', '--package-lock-only', '--save-dev', './destino-db-0.1.0.tgz', ...quiet];
  await run('npm', add, {cwd: project});
  expect((await runCli(schedule, {cwd: project})).status).toBe(0);
  for (const args of [
    ['init', '--quiet'],
    ['add', '.'],
    ['-c', 'user.name=t', '-c', 'user.email=t@t', 'commit', '--quiet', '-m', 'all'],
  ])
    await run('git', args, {cwd: project});
  await run('git', ['clone', '--quiet', project, join(folder, 'clone')]);

  const bucket = await createBucket();
  const {AWS_ACCESS_KEY_ID = '', AWS_SECRET_ACCESS_KEY = '', ...store} = storeEnvironment();
  const values: Readonly<Record<string, string>> = {
    '${{ secrets.DIRECT_URL }}': shop.url,
    '${{ secrets.AWS_ACCESS_KEY_ID }}': AWS_ACCESS_KEY_ID,
    '${{ secrets.AWS_SECRET_ACCESS_KEY }}': AWS_SECRET_ACCESS_KEY,
    '${{ vars.AWS_REGION }}': 'us-east-1',
    '${{ vars.DESTINO_DB_PLACE }}': `s3://${bucket}/shop`,
  };
  const text = await readFile(join(folder, 'clone/.github/workflows/destino-db.yml'), 'utf8');
  // The client tools are on this machine; PostgreSQL's package repository is not reachable from here.
  const steps = workflowSchema
    .parse(parse(text))
    .jobs.backup.steps.filter((step) => step.run !== undefined && !step.run.includes('apt-get'));
  expect(steps).toHaveLength(1 + plan.length);
  for (const step of steps) {
    const env = Object.fromEntries(
      Object.entries(step.env ?? {}).map(([name, value]) => [name, values[value] ?? 'unknown']),
    );
    // As the runner calls it: bash -e, in the clone.
    const result = await runProgram('bash', ['-e', '-c', step.run ?? ''], {
      cwd: join(folder, 'clone'),
      env: {
        PATH: process.env['PATH'] ?? '',
        HOME: process.env['HOME'] ?? '',
        npm_config_prefer_offline: 'true',
        ...store,
        ...env,
      },
    });
    expect(result.status, `${step.name ?? ''}: ${result.stdout}${result.stderr}`).toBe(0);
  }
  const keys = await keysIn(bucket);
  expect(keys.filter((key) => key.endsWith('.dump'))).toHaveLength(1);
  const listed = await runCli(['list', '--from', `s3://${bucket}/shop`, '--json'], {
    cwd: folder,
    env: storeEnvironment(),
  });
  expect(listed.json()).toMatchObject({backups: [{verification: {level: 'restore', ok: true}}]});
});
