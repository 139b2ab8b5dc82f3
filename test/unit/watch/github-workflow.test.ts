/** The workflow for GitHub: its runner is thrown away, so that what is not copied is lost. */
import {expect, it} from 'vitest';
import {githubWorkflow} from '../../../src/lib/watch/github-workflow.js';
import {parsePlan} from '../../../src/lib/watch/schedule-plan.js';

const jobs = parsePlan(['daily custom at 02:00 keep 30 days; monthly restore test; weekly status']);
const text = githubWorkflow(jobs.map((job) => ({...job, words: job.args})));

it('copies what a backup made to the place, and makes a backup before it tests the latest', () => {
  const steps = text.split('      - name: ').slice(2);
  expect(
    steps.map((step) =>
      step
        .split('\n')
        .slice(2)
        .map((line) => line.trim())
        .filter((line) => line !== ''),
    ),
  ).toEqual([
    [
      'run: |',
      'npx destino-db backup --format=custom --retention-days=30',
      'npx destino-db copy --from backups --to "$DESTINO_DB_PLACE"',
    ],
    ['run: |', 'npx destino-db backup', 'npx destino-db verify --latest --level=restore'],
    ['run: |', 'npx destino-db status'],
  ]);
});

it('runs each job at its own time alone, one run at a time, with rights to read alone', () => {
  const times = ['0 2 * * *', '0 4 1 * *', '0 3 * * 0'];
  expect([...text.matchAll(/- cron: "(.*)"/g)].map(([, time]) => time)).toEqual(times);
  expect([...text.matchAll(/event\.schedule == '(.*)'/g)].map(([, time]) => time)).toEqual(times);
  expect(text).toMatch(/^concurrency: destino-db$/m);
  expect(text).toMatch(/^permissions:\n {2}contents: read$/m);
});

it('takes every secret from the secrets of the repository', () => {
  for (const name of ['DIRECT_URL', 'AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY'])
    expect(text).toContain(`      ${name}: \${{ secrets.${name} }}\n`);
});
