/** The workflow for GitHub: each run gets a new machine, so that whatever is not written elsewhere is lost. */
import {expect, it} from 'vitest';
import {parse} from 'yaml';
import {z} from 'zod';
import {githubWorkflow, packageManagers} from '../../../../src/lib/services/schedule/github-workflow.js';
import {parsePlan} from '../../../../src/lib/services/schedule/plan.js';

const [npm, pnpm] = packageManagers;
if (!npm || !pnpm) throw new Error('no package managers');

const workflow = (plan: string, manager = npm): string =>
  githubWorkflow(
    parsePlan([plan]).map((job) => ({...job, words: job.args})),
    manager,
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

it('writes backups to the location of the repository, and tests, watches and prunes those that are there', () => {
  expect(linesOf(workflow(plan)).slice(-3)).toEqual([
    [
      'npm exec --no -- destino-db backup --format=custom --to "$DESTINO_DB_PLACE"',
      'npm exec --no -- destino-db prune --from "$DESTINO_DB_PLACE" --keep-days=30 --yes',
    ],
    ['npm exec --no -- destino-db verify --latest --level=restore --from "$DESTINO_DB_PLACE"'],
    ['npm exec --no -- destino-db status --from "$DESTINO_DB_PLACE"'],
  ]);
});

it.each(['daily report', 'daily run history', 'daily run orders:clean --execute --yes'])(
  'refuses a job that would work on an empty folder: %s',
  (sentence) => {
    expect(() => workflow(sentence)).toThrow(/cannot run under GitHub Actions/);
  },
);

it('installs from the lockfile alone, and never downloads a package by its name', () => {
  for (const manager of [npm, pnpm]) {
    const lines = linesOf(workflow(plan, manager)).flatMap((step) => step ?? []);
    expect(lines).toEqual(expect.arrayContaining([...manager.install]));
    for (const command of lines.filter((line) => line.includes('destino-db')))
      expect(command.startsWith(`${manager.run.join(' ')} destino-db `), command).toBe(true);
    expect(lines.join('\n')).not.toMatch(/npx|\bnpm install|pnpm (?:add|dlx)/);
  }
});

it('runs each job at its own time alone, one run at a time, with rights to read alone', () => {
  const text = workflow(plan);
  const times = ['0 2 * * *', '0 4 1 * *', '0 3 * * 0'];
  expect([...text.matchAll(/- cron: "(.*)"/g)].map(([, time]) => time)).toEqual(times);
  expect([...text.matchAll(/event\.schedule == '(.*)'/g)].map(([, time]) => time)).toEqual(times);
  expect(text).toMatch(/^concurrency: destino-db$/m);
  expect(text).toMatch(/^permissions:\n {2}contents: read$/m);
});

it('gives secrets to no step that installs something', () => {
  const text = workflow(plan);
  expect(text.slice(0, text.indexOf('steps:'))).not.toContain('secrets.');
  for (const {run, env} of stepsOf(text))
    expect(env !== undefined, run).toBe(run?.includes('destino-db ') === true);
});
