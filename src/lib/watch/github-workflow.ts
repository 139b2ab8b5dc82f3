/** A plan as a GitHub Actions workflow. */
import type {ScheduledCommand} from './scheduled-command.js';
import {cronTime} from './cron-block.js';
import {shellCommand} from '../shell-quote.js';

export const workflowPath = '.github/workflows/destino-db.yml';

/** First line of the workflow: what --install and --remove recognise as theirs. */
export const workflowMark = '# made by destino-db schedule --as github, which replaces it';

/**
 * The text of the workflow. The runner is thrown away afterwards, so what it made is copied to the place in the
 * repository variable DESTINO_DB_PLACE. A test of the latest backup makes one first, as the runner has none.
 * JSON strings are YAML strings (YAML 1.2, section 1.3).
 */
export function githubWorkflow(jobs: readonly ScheduledCommand[]): string {
  const text = (value: string): string => JSON.stringify(value);
  const crons = [...new Set(jobs.map(cronTime))];
  const steps = jobs.flatMap((job) => {
    const command = shellCommand(['npx', 'destino-db', ...job.words]);
    const makesBackup = job.words[0] === 'backup';
    const needsBackup = job.words[0] === 'verify';
    return [
      `      - name: ${text(job.sentence)}`,
      `        if: ${text(`github.event_name == 'workflow_dispatch' || github.event.schedule == '${cronTime(job)}'`)}`,
      '        run: |',
      ...(needsBackup ? ['          npx destino-db backup'] : []),
      `          ${command}`,
      ...(makesBackup ? ['          npx destino-db copy --from backups --to "$DESTINO_DB_PLACE"'] : []),
    ];
  });
  return [
    workflowMark,
    '# Secrets to set (Settings, Secrets and variables, Actions): DIRECT_URL, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY.',
    '# Variables to set: DESTINO_DB_PLACE (s3://BUCKET/FOLDER), AWS_REGION. Times are UTC, and GitHub may start late.',
    'name: Database backups',
    'on:',
    '  workflow_dispatch:',
    '  schedule:',
    ...crons.map((cron) => `    - cron: ${text(cron)}`),
    'permissions:',
    '  contents: read',
    'concurrency: destino-db',
    'jobs:',
    '  backup:',
    '    runs-on: ubuntu-latest',
    '    env:',
    '      DIRECT_URL: ${{ secrets.DIRECT_URL }}',
    '      AWS_ACCESS_KEY_ID: ${{ secrets.AWS_ACCESS_KEY_ID }}',
    '      AWS_SECRET_ACCESS_KEY: ${{ secrets.AWS_SECRET_ACCESS_KEY }}',
    '      AWS_REGION: ${{ vars.AWS_REGION }}',
    '      DESTINO_DB_PLACE: ${{ vars.DESTINO_DB_PLACE }}',
    '    steps:',
    '      - uses: actions/checkout@v4',
    '      - uses: actions/setup-node@v4',
    '        with:',
    '          node-version: 22',
    '      - name: Install the newest PostgreSQL client tools',
    '        run: |',
    '          sudo apt-get install -y postgresql-common',
    '          sudo /usr/share/postgresql-common/pgdg/apt.postgresql.org.sh -y',
    '          sudo apt-get install -y postgresql-client',
    '      - run: npm install --no-save destino-db',
    ...steps,
    '',
  ].join('\n');
}
