/** Shows, prints, installs or removes the backup plan of the config. */
import {createHash} from 'node:crypto';
import {existsSync} from 'node:fs';
import {readFile} from 'node:fs/promises';
import {basename, join} from 'node:path';
import {defined} from '../../base/defined.js';
import {AppError} from '../../base/errors.js';
import {homeFolder} from '../../base/home-folder.js';
import {runTool} from '../../postgres/tools/run-tool.js';
import type {RunContext} from '../../run/run-context.js';
import type {Config} from '../../settings/config-schema.js';
import {shellCommand} from '../../base/shell-quote.js';
import {isTimeZone} from '../../base/time-zone.js';
import {composeFile, kubernetesManifests} from './container-manifests.js';
import {cronBlock, withCronBlock} from './cron-block.js';
import {readCrontab, writeCrontab} from './crontab.js';
import {
  githubWorkflow,
  type PackageManager,
  packageManagers,
  workflowHeader,
  workflowPath,
} from './github-workflow.js';
import {findInstalled, type Installed} from './installed.js';
import {installUnits} from './install-units.js';
import {replaceOwnFile} from './own-file.js';
import {startTogether} from './due-time.js';
import {canWait} from '../../base/recorded-commands.js';
import {nextRuns} from './next-runs.js';
import {chooseSources} from '../../settings/sources.js';
import type {Job} from './plan.js';
import {isOfSources, plannedJobs} from './source-jobs.js';
import type {ScheduledCommand} from './scheduled-command.js';
import {shiftToZone} from './shift-zone.js';
import {systemdUnits} from './systemd-units.js';
import {machineZone} from './zoned-time.js';

export const schedulers = ['cron', 'systemd', 'github', 'kubernetes', 'compose'] as const;
/** The name that docs/containers.md gives the image; no registry is assumed to have it. */
export const defaultImage = 'localhost/destino-db';
export type Scheduler = (typeof schedulers)[number];

/** The error in the words of a command line; undefined if there is none. */
export type CheckCommandLine = (words: readonly string[]) => Promise<AppError | undefined>;

export interface ScheduleOptions {
  readonly checkCommandLine: CheckCommandLine;
  readonly as: Scheduler | undefined;
  readonly action: 'show' | 'print' | 'install' | 'remove';
  /** Absolute paths of node and of this program. */
  readonly program: {readonly node: string; readonly script: string};
  /** Flags that every scheduled command gets, so that it uses the same settings as this one. */
  readonly sharedFlags: readonly string[];
  /** Only jobs for these databases of the config file. */
  readonly databases?: readonly string[];
  /** Only jobs for databases of the config file. */
  readonly isAllDatabases?: boolean;
  /** Folder for units instead of systemd's own. */
  readonly unitFolder?: string;
  /** Name of the image in manifests for containers. */
  readonly image?: string;
}

export interface ScheduleResult {
  readonly timeZone: string;
  readonly jobs: readonly {name: string; sentence: string; command: string; nextRuns: string[]}[];
  readonly as: Scheduler | null;
  /** Where the plan is installed on this machine; null unless the plan is shown. */
  readonly installed: readonly Installed[] | null;
  readonly action: ScheduleOptions['action'];
  /** Files that are or would be written; `path` is null for the crontab and for manifests, which are only printed. */
  readonly files: readonly {path: string | null; text: string}[];
  /** Whether anything had to be changed. */
  readonly isChanged: boolean;
  /** Commands that remain to be run. */
  readonly next: readonly string[];
}

/** The jobs of the config's plan and their time zone. @throws CONFIG_INVALID; USAGE if a plan is needed and missing */
export function readPlan(config: Config, isNeeded = true): {jobs: Job[]; zone: string} {
  const jobs = plannedJobs(config);
  const zone = config.schedule?.timeZone ?? machineZone();
  if (!isTimeZone(zone)) {
    throw new AppError('CONFIG_INVALID', `The schedule's time zone "${zone}" is not known.`, {
      hint: 'Zones are named like "America/Los_Angeles" or "UTC".',
    });
  }
  if (isNeeded && jobs.length === 0) {
    throw new AppError('USAGE', 'There is no backup plan in the config file.', {
      hint: 'Write one: destino-db init, or add "schedule": {"plan": ["daily custom at 02:00 keep 30 days"]}.',
    });
  }
  return {jobs, zone};
}

/** @throws USAGE for an unknown name, or if no job is left */
export function chooseJobs(
  settings: RunContext['settings'],
  jobs: readonly Job[],
  {databases, isAllDatabases = false}: Pick<ScheduleOptions, 'databases' | 'isAllDatabases'>,
): Job[] {
  if (databases === undefined && !isAllDatabases) return [...jobs];
  const names = chooseSources(settings, defined({names: databases, isAll: isAllDatabases})).map(
    ({name}) => name,
  );
  const chosen = jobs.filter(
    (job) =>
      isOfSources(job) &&
      (isAllDatabases ||
        job.args.includes('--all-databases') ||
        names.some((name) => job.args.includes(`--database=${name}`))),
  );
  if (chosen.length > 0) return chosen;
  throw new AppError('USAGE', `No job of the plan is for ${names.join(', ')}.`, {
    hint: 'Add "plan" to the database in the config file, or sentences to schedule.plan.',
  });
}

/** @throws CONFIG_INVALID with the first sentence whose command or flags do not exist */
export async function requireCommands(jobs: readonly Job[], check: CheckCommandLine): Promise<void> {
  for (const {sentence, args} of jobs) {
    const problem = await check(args);
    if (problem === undefined) continue;
    throw new AppError('CONFIG_INVALID', `The schedule's "${sentence}" cannot run: ${problem.message}`, {
      hint: problem.hint ?? 'Correct the sentence.',
      cause: problem,
    });
  }
}

/** @throws CONFIG_INVALID, USAGE, GUARD, TOOL_FAILED, FOLDER_NOT_WRITABLE */
export async function planSchedule(context: RunContext, options: ScheduleOptions): Promise<ScheduleResult> {
  const {settings, clock} = context;
  const {jobs: all, zone} = readPlan(settings.config, options.action !== 'remove');
  const jobs = chooseJobs(settings, all, options);
  if (
    /[\r\n]/.test(
      [settings.cwd, options.program.node, options.program.script, ...options.sharedFlags].join(''),
    )
  ) {
    throw new AppError('USAGE', 'A path with a line break cannot be written into a schedule.');
  }
  if (options.action !== 'remove') {
    await requireCommands(jobs, options.checkCommandLine);
    collisionWarnings(jobs).forEach(context.warn);
  }
  const done =
    options.as === undefined || options.action === 'show'
      ? {files: [], isChanged: false, next: []}
      : await {
          cron: asCron,
          systemd: asSystemd,
          github: asGithub,
          kubernetes: asManifests,
          compose: asManifests,
        }[options.as](context, jobs, zone, options);
  return {
    timeZone: zone,
    jobs: jobs.map((job) => ({
      name: job.name,
      sentence: job.sentence,
      command: shellCommand(['destino-db', ...job.args]),
      nextRuns: nextRuns(job.every, zone, clock.now(), 3).map((run) => run.toISOString()),
    })),
    as: options.as ?? null,
    installed:
      options.action === 'show'
        ? await findInstalled(
            jobs.map(({sentence}) => sentence),
            {
              folder: settings.cwd,
              unitFolder: unitFolderOf(context, options),
              workflow: join(settings.cwd, workflowPath),
            },
            context.signal,
          )
        : null,
    action: options.action,
    ...done,
  };
}

type Done = Pick<ScheduleResult, 'files' | 'isChanged' | 'next'>;

function inZone(
  context: RunContext,
  jobs: readonly (Job & Pick<ScheduledCommand, 'words'>)[],
  from: string,
  to: string,
): ScheduledCommand[] {
  const shifted = jobs.map((job) => ({job, ...shiftToZone(job.every, from, to, context.clock.now())}));
  const moving = shifted.filter(({isExact}) => !isExact).map(({job}) => `"${job.sentence}"`);
  if (moving.length > 0) {
    context.warn(
      `The plan's times are in ${from}, but this scheduler uses ${to}: at other times of the year ${moving.join(', ')} may run at another hour or day. systemd supports time zones.`,
    );
  }
  return shifted.map(({job, times}) => ({...job, times}));
}

/** How long a job waits for another run in the same folder, in seconds: a late job is better than a refused one. */
const waitSeconds = 6 * 3600;

/** The arguments of a job, which waits for another run instead of failing. */
export function patientArgs({args}: Job): string[] {
  const [command = ''] = args;
  const hasWait = args.some((word) => word === '--wait' || word.startsWith('--wait='));
  return [...args, ...(canWait(command) && !hasWait ? [`--wait=${waitSeconds}`] : [])];
}

function programWords(job: Job, {program, sharedFlags}: ScheduleOptions): Job & ScheduledCommand {
  // Without "--" Node.js would read --env-file itself, and fail with its own message if the file is missing.
  const dashes = sharedFlags.some((flag) => flag.startsWith('--env-file')) ? ['--'] : [];
  const start = [program.node, ...dashes, program.script];
  return {...job, times: [job.every], words: [...start, ...patientArgs(job), '--quiet', ...sharedFlags]};
}

/** @returns warnings about jobs that start in the same minute */
export function collisionWarnings(jobs: readonly Job[]): string[] {
  const pairs = jobs.flatMap((job, index) =>
    jobs
      .slice(0, index)
      .filter((other) => startTogether(job.every, other.every))
      .map((other) => `"${other.sentence}" and "${job.sentence}"`),
  );
  if (pairs.length === 0) return [];
  return [
    `Jobs of the plan start in the same minute, and one waits for the other: ${pairs.join('; ')}. Omit "at" to get times that do not collide.`,
  ];
}

async function asCron(
  context: RunContext,
  jobs: Job[],
  zone: string,
  options: ScheduleOptions,
): Promise<Done> {
  const {cwd} = context.settings;
  const commands = jobs.map((job) => programWords(job, options));
  const block = cronBlock(inZone(context, commands, zone, machineZone()), cwd);
  const files = [{path: null, text: block}];
  if (options.action === 'print') return {files, isChanged: false, next: []};
  const before = await readCrontab(context.signal);
  const after = withCronBlock(before, cwd, options.action === 'install' ? block : undefined);
  if (after !== before) await writeCrontab(after, context.signal);
  return {
    files: options.action === 'install' ? files : [],
    isChanged: after !== before,
    next: ['crontab -l'],
  };
}

/**
 * In a workflow, "keep 30 days" becomes a prune with a rule in a flag, which requires the name of a production database.
 * @throws USAGE
 */
function refuseGuardedRetention({settings}: RunContext, jobs: readonly Job[]): void {
  const {hosts = [], databases = []} = settings.config.production ?? {};
  const job = jobs.find(
    ({args}) => args[0] === 'backup' && args.some((word) => word.startsWith('--retention-days=')),
  );
  if (job === undefined || hosts.length + databases.length === 0) return;
  throw new AppError(
    'USAGE',
    `The job "${job.sentence}" would have to prune backups of production by a rule in a flag, which requires a confirmation.`,
    {
      hint: 'Write the rule into "retention" in the config file, remove "keep ... days" from the job, and add a job "weekly prune".',
    },
  );
}

async function asGithub(
  context: RunContext,
  jobs: Job[],
  zone: string,
  options: ScheduleOptions,
): Promise<Done> {
  const commands = jobs.map((job) => ({...job, words: patientArgs(job)}));
  const isRemoving = options.action === 'remove';
  if (!isRemoving) refuseGuardedRetention(context, jobs);
  const text = isRemoving
    ? ''
    : githubWorkflow(
        inZone(context, commands, zone, 'UTC'),
        await findPackageManager(context.settings.cwd),
        context.settings.config,
      );
  const path = join(context.settings.cwd, workflowPath);
  if (options.action === 'print') return {files: [{path, text}], isChanged: false, next: []};
  const isChanged = await replaceOwnFile(path, workflowHeader, isRemoving ? undefined : text);
  const next = isChanged
    ? [`git add ${workflowPath}`, 'git commit -m "Schedule database backups"', 'git push']
    : [];
  return {files: options.action === 'install' ? [{path, text}] : [], isChanged, next};
}

/** @throws USAGE for flags with paths of this machine, and for --install and --remove */
function asManifests(
  {settings: {config}}: RunContext,
  jobs: Job[],
  zone: string,
  {action, as, image = defaultImage, sharedFlags}: ScheduleOptions,
): Promise<Done> {
  if (action !== 'print')
    throw new AppError('USAGE', `--as ${as ?? ''} only prints manifests.`, {
      hint: 'Write them into a file, and apply it with kubectl or docker compose.',
    });
  if (sharedFlags.length > 0)
    throw new AppError('USAGE', `A container does not get this flag: ${sharedFlags.join(' ')}.`, {
      hint: 'Write the setting into the config file, which the container mounts.',
    });
  const options = {image, zone, backupsDir: config.backupsDir ?? 'backups'};
  const commands = jobs.map((job) => ({...job, times: [job.every], words: patientArgs(job)}));
  const [uid = 0, gid = 0] = [process.getuid?.(), process.getgid?.()];
  const text =
    as === 'compose'
      ? composeFile(options, uid === 0 ? undefined : {uid, gid})
      : kubernetesManifests(commands, options);
  return Promise.resolve({files: [{path: null, text}], isChanged: false, next: []});
}

/**
 * How the project in the folder installs this program: only from a lockfile that contains it, because the name in the registry may belong to
 * nobody.
 * @throws USAGE without such a lockfile
 */
async function findPackageManager(folder: string): Promise<PackageManager> {
  for (const manager of packageManagers) {
    const text = await readFile(join(folder, manager.lockfile), 'utf8').catch(() => undefined);
    // A key of package-lock.json ("node_modules/destino-db") or of pnpm-lock.yaml (destino-db: or destino-db@version:).
    if (text !== undefined && /"node_modules\/destino-db"|^ +'?destino-db(?:@[^:]*)?'?:/m.test(text))
      return manager;
  }
  throw new AppError(
    'USAGE',
    'The workflow cannot install destino-db: no lockfile in this folder contains it. Nothing was changed.',
    {
      hint: 'Add the package to the project: npm install --save-dev ./destino-db-0.1.0.tgz (npm pack creates the file), and commit it.',
    },
  );
}

/** systemd's own folder for the units of this user, unless another one is given. */
function unitFolderOf(
  {settings: {cwd, environment}}: RunContext,
  {unitFolder}: Pick<ScheduleOptions, 'unitFolder'>,
): string {
  if (unitFolder !== undefined) return unitFolder;
  if (process.getuid?.() === 0) return '/etc/systemd/system';
  return join(environment.get('XDG_CONFIG_HOME') ?? join(homeFolder() ?? cwd, '.config'), 'systemd/user');
}

async function asSystemd(
  context: RunContext,
  jobs: Job[],
  zone: string,
  options: ScheduleOptions,
): Promise<Done> {
  const {cwd, environment, config} = context.settings;
  const isRoot = process.getuid?.() === 0;
  const folder = unitFolderOf(context, options);
  const commands = jobs.map((job) => programWords(job, options));
  const units = systemdUnits(
    commands,
    cwd,
    projectName(cwd),
    config.schedule?.timeZone === undefined ? '' : zone,
  );
  const files = units.map((unit) => ({path: join(folder, unit.name), text: unit.text}));
  if (options.action === 'print') return {files, isChanged: false, next: []};

  const {isChanged, removed} = await installUnits(folder, cwd, options.action === 'install' ? units : []);
  const scope = isRoot ? [] : ['--user'];
  const timersOf = (names: readonly string[]): string[] => names.filter((name) => name.endsWith('.timer'));
  const started = options.action === 'install' ? timersOf(units.map((unit) => unit.name)) : [];
  const stopped = timersOf(removed);
  const steps = [
    ['systemctl', ...scope, 'daemon-reload'],
    ...(stopped.length > 0 ? [['systemctl', ...scope, 'stop', ...stopped]] : []),
    ...(started.length > 0 ? [['systemctl', ...scope, 'enable', '--now', ...started]] : []),
  ];
  const linger = isRoot || options.action === 'remove' ? [] : ['loginctl enable-linger'];
  // sd_booted(3): this folder exists if systemd is the init system.
  const canStart = options.unitFolder === undefined && existsSync('/run/systemd/system');
  if (!canStart) {
    return {
      files: options.action === 'install' ? files : [],
      isChanged,
      next: [...steps.map(shellCommand), ...linger],
    };
  }
  for (const [tool = '', ...args] of steps) {
    await runTool({
      tool,
      path: tool,
      args,
      environment: {XDG_RUNTIME_DIR: environment.get('XDG_RUNTIME_DIR') ?? ''},
      signal: context.signal,
      failureCode: 'TOOL_FAILED',
    });
  }
  return {files: options.action === 'install' ? files : [], isChanged, next: linger};
}

/** The folder's name as part of unit names, with a few digits that distinguish folders of the same name. */
function projectName(folder: string): string {
  const name = basename(folder)
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-|-$/g, '');
  return `${name === '' ? 'project' : name}-${createHash('sha256').update(folder).digest('hex').slice(0, 6)}`;
}
