/** Writes a plan as a GitHub Actions workflow. */
import {AppError} from '../../base/errors.js';
import {schemeOf} from '../../base/place-name.js';
import {shellCommand} from '../../base/shell-quote.js';
import {cronTime} from './cron-block.js';
import type {Config} from '../../settings/config-schema.js';
import type {ScheduledCommand} from './scheduled-command.js';

export const workflowPath = '.github/workflows/destino-db.yml';

/** First line of the workflow, by which --install and --remove recognise their own file. */
export const workflowHeader = '# made by destino-db schedule --as github, which replaces it';

/** How a project installs its packages: from its lockfile, so that no other package can use this program's name. */
export interface PackageManager {
  readonly lockfile: string;
  /** Shell lines that install the versions of the lockfile. */
  readonly install: readonly string[];
  /** Words before `destino-db`; they run the installed program and never download anything. */
  readonly run: readonly string[];
}

export const packageManagers: readonly PackageManager[] = [
  {lockfile: 'package-lock.json', install: ['npm ci'], run: ['npm', 'exec', '--no', '--']},
  {
    lockfile: 'pnpm-lock.yaml',
    install: ['corepack enable', 'pnpm install --frozen-lockfile'],
    run: ['pnpm', 'exec'],
  },
];

/**
 * The text of the workflow. Each run gets a new machine, so backups are written to and read from the location in the repository variable
 * DESTINO_DB_PLACE. Secrets are set only in the steps that need them, never while packages are installed.
 * JSON strings are YAML strings (YAML 1.2, section 1.3).
 * @throws USAGE for a job that needs folders of the machine, which are always empty, or a missing key
 */
export function githubWorkflow(
  jobs: readonly ScheduledCommand[],
  manager: PackageManager,
  config: Config = {},
): string {
  const text = (value: string): string => JSON.stringify(value);
  const secrets = [
    ...urlVariables(config),
    'AWS_ACCESS_KEY_ID',
    'AWS_SECRET_ACCESS_KEY',
    ...addressVariables(config),
  ];
  const crons = [...new Set(jobs.flatMap(({times}) => times.map(cronTime)))];
  const steps = jobs.flatMap((job) => [
    `      - name: ${text(job.sentence)}`,
    `        if: ${text(["github.event_name == 'workflow_dispatch'", ...job.times.map((every) => `github.event.schedule == '${cronTime(every)}'`)].join(' || '))}`,
    '        env:',
    ...[...new Set(secrets)].map((name) => `          ${name}: \${{ secrets.${name} }}`),
    '          AWS_REGION: ${{ vars.AWS_REGION }}',
    '          DESTINO_DB_PLACE: ${{ vars.DESTINO_DB_PLACE }}',
    '        run: |',
    ...onNewMachine(job, config).map((command) => `          ${shellCommand(manager.run)} ${command}`),
  ]);
  return [
    workflowHeader,
    `# Secrets to set (Settings, Secrets and variables, Actions): ${[...new Set(secrets)].join(', ')}.`,
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
    '    steps:',
    '      - uses: actions/checkout@v4',
    '        with:',
    '          persist-credentials: false',
    '      - uses: actions/setup-node@v4',
    '        with:',
    '          node-version: 22',
    '      - name: Install the newest PostgreSQL client tools',
    '        run: |',
    '          sudo apt-get install -y postgresql-common',
    '          sudo /usr/share/postgresql-common/pgdg/apt.postgresql.org.sh -y',
    '          sudo apt-get install -y postgresql-client',
    `      - name: Install the versions of ${manager.lockfile}`,
    '        run: |',
    ...manager.install.map((line) => `          ${line}`),
    ...steps,
    '',
  ].join('\n');
}

const place = '"$DESTINO_DB_PLACE"';

/** Variables with addresses of notifications. GitHub does not allow other names for secrets. */
function addressVariables({notifications}: Config): string[] {
  return (notifications?.targets ?? [])
    .flatMap((target) => {
      if (target.type === 'mail') return target.passwordEnv ?? [];
      return 'urlEnv' in target ? [target.urlEnv] : [];
    })
    .filter((name) => /^(?!GITHUB_)[a-z_]\w*$/i.test(name));
}

/** Commands that read finished backups, and take their location in --from. */
const readers = ['verify', 'status', 'prune', 'list', 'restore'];

/** The shell words of a job on a machine without backups; one command or two. @throws USAGE */
function onNewMachine(job: ScheduledCommand, config: Config): string[] {
  const {words} = job;
  const [command = ''] = words;
  const valuesOf = (flag: string): string[] =>
    words.flatMap((word, index) => {
      if (word === flag) return words.slice(index + 1, index + 2);
      return word.startsWith(`${flag}=`) ? [word.slice(flag.length + 1)] : [];
    });
  const has = (flag: string): boolean => valuesOf(flag).length > 0;
  const places = [...valuesOf('--from'), ...valuesOf('--to')];
  const hasFolder = places.some((name) => schemeOf(name) === undefined);
  if (hasFolder || !(command === 'copy' ? has('--from') : canLeaveNothing(command, has)))
    throw refusal(job, `, and data that ${command} reads or writes there is lost`, lostHint);
  if (needsKey(command, valuesOf('--level'), has, config))
    throw refusal(job, ` without the secret key that ${command} needs`, keyHint);
  if (command === 'backup') {
    const keep = words.find((word) => word.startsWith('--retention-days='));
    const backup = line(
      words.filter((word) => word !== keep),
      has('--to') ? '' : ` --to ${place}`,
    );
    // Retention of the backups folder would see an empty one.
    const prune = `${line(['prune'], ` --from ${place}`)} --keep-days=${keep?.split('=')[1] ?? ''} --yes`;
    return keep === undefined ? [backup] : [backup, prune];
  }
  return [line(words, readers.includes(command) && !has('--from') ? ` --from ${place}` : '')];
}

function canLeaveNothing(command: string, has: (flag: string) => boolean): boolean {
  // The page of a report is a file of the machine, even if the backups are elsewhere.
  if (command === 'report') return false;
  return command === 'backup' || command === 'doctor' || readers.includes(command) || has('--from');
}

/** Whether a job decrypts backups. A backup tests the key of the config on its own files. */
function needsKey(
  command: string,
  levels: readonly string[],
  has: (flag: string) => boolean,
  {encryption = {}}: Config,
): boolean {
  const hasKeyFile = encryption.identityFile !== undefined || encryption.passphraseFile !== undefined;
  if (has('--identity') || has('--passphrase-file')) return true;
  if (command === 'backup') return hasKeyFile;
  const isOpening = command === 'restore' || (command === 'verify' && !levels.includes('checksum'));
  return isOpening && (hasKeyFile || (encryption.recipients ?? []).length > 0);
}

const lostHint =
  'Run this job by cron or systemd, give it a bucket ("run COMMAND --from s3://BUCKET/FOLDER"), or remove it from the plan.';
const keyHint =
  'Run this job by cron or systemd on the machine with the key. Backups need only "recipients": give the key file with --identity when you decrypt them, not in the config file.';

function refusal({sentence}: ScheduledCommand, reason: string, hint: string): AppError {
  return new AppError(
    'USAGE',
    `The job "${sentence}" cannot run under GitHub Actions: each run gets a new machine${reason}.`,
    {hint},
  );
}

function line(words: readonly string[], more = ''): string {
  return `${shellCommand(['destino-db', ...words])}${more}`;
}

/** Variables with the URLs of the databases. */
function urlVariables({databases = []}: Config): string[] {
  if (databases.length === 0) return ['DIRECT_URL'];
  return databases.flatMap(({urlEnv, directUrlEnv}) => [
    urlEnv,
    ...(directUrlEnv === undefined ? [] : [directUrlEnv]),
  ]);
}
