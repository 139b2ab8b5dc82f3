/** Writes the project files for this program: config file, .gitignore lines, package scripts. */
import {existsSync} from 'node:fs';
import {readFile, realpath, stat} from 'node:fs/promises';
import {dirname, isAbsolute, join, relative, resolve, sep} from 'node:path';
import type {BackupFormat} from '../../base/formats.js';
import {explainFileError, writeFileSafely} from '../../base/safe-file.js';
import {systemErrorCode} from '../../base/errors.js';
import type {RunContext} from '../../run/run-context.js';
import type {Config} from '../../settings/config-schema.js';
import {addPackageScripts} from './package-scripts.js';
import {parseConfig} from '../../settings/parse-config.js';
import {defaultConfigName} from '../../settings/read-config.js';
import {checkRecipients} from '../../encryption/age-keys.js';
import {splitPlan} from '../schedule/plan.js';
import {type CheckCommandLine, readPlan, requireCommands} from '../schedule/schedule.js';

/** Package scripts with the names of the old scripts; the flags of each match its name. */
export const packageScripts: Readonly<Record<string, string>> = {
  'backup-db': 'destino-db backup',
  'backup-db:sql': 'destino-db backup --format=sql --compress',
  'backup-db:dir': 'destino-db backup --format=directory',
  'backup-db:schema': 'destino-db backup --schema-only --format=sql',
  'restore-db': 'destino-db restore',
  'restore-orders': 'destino-db orders:restore',
  'clean-orders': 'destino-db orders:clean',
  'clean-orders:preview': 'destino-db orders:clean --dry-run',
  'clean-orders:execute': 'destino-db orders:clean --execute --confirm',
  'clean-orders:test-emails': 'destino-db orders:clean --test-emails-only --execute',
  'safe-cleanup': 'destino-db workflow:safe-cleanup',
  'safe-cleanup:preview': 'destino-db workflow:safe-cleanup --preview',
  'safe-cleanup:execute': 'destino-db workflow:safe-cleanup --execute',
  'safe-cleanup:test-emails': 'destino-db workflow:safe-cleanup --execute --test-emails-only',
};

export interface InitAnswers {
  readonly backupsDir: string;
  readonly format: BackupFormat;
  /** Days that backups are kept; undefined keeps all. */
  readonly keepDays: number | undefined;
  readonly productionHosts: readonly string[];
  readonly productionDatabases: readonly string[];
  readonly plan: readonly string[];
  readonly timeZone: string | undefined;
  /** Locations that every backup is copied to. */
  readonly places?: readonly string[];
  /** Public keys of age that every backup is encrypted to. */
  readonly recipients?: readonly string[];
}

export const defaultAnswers: InitAnswers = {
  backupsDir: 'backups',
  format: 'custom',
  keepDays: undefined,
  productionHosts: [],
  productionDatabases: [],
  plan: ['daily custom at 02:00', 'weekly sql', 'monthly restore test'],
  timeZone: undefined,
};

export interface InitOptions {
  readonly answers: InitAnswers;
  readonly isDryRun: boolean;
  /** Whether to replace an existing config file and scripts that differ. */
  readonly isForced: boolean;
  readonly checkCommandLine: CheckCommandLine;
}

export interface InitResult {
  readonly mode: 'dry-run' | 'execute';
  readonly files: readonly {
    path: string;
    state: 'created' | 'changed' | 'unchanged';
    /** The changes to the file, or the reason for none, one line each. */
    notes: readonly string[];
    /** Added ("+ ") and removed ("- ") lines, in order. */
    changes: readonly string[];
  }[];
}

interface Change {
  path: string;
  before: string | undefined;
  after: string | undefined;
  notes: string[];
}

/** @throws USAGE for an invalid recipient, CONFIG_INVALID, FOLDER_NOT_WRITABLE; nothing is written before all checks passed */
export async function initProject(context: RunContext, options: InitOptions): Promise<InitResult> {
  const {cwd} = context.settings;
  await checkRecipients(options.answers.recipients ?? []);
  const config = await planConfig(cwd, options);
  const inForce = parseConfig(config.after ?? config.before ?? '{}', config.path);
  const planned = [
    config,
    await planGitignore(cwd, inForce.backupsDir ?? defaultAnswers.backupsDir),
    await planScripts(cwd, options.isForced),
  ].filter((change) => change !== undefined);
  const files = [];
  for (const {path, before, after, notes} of planned) {
    const isChanged = after !== undefined && after !== before;
    if (isChanged && !options.isDryRun) await writeProjectFile(path, after);
    const state = !isChanged ? 'unchanged' : before === undefined ? 'created' : 'changed';
    const changes = isChanged ? changedLines(before, after) : [];
    files.push({path, state, notes, changes} as const);
  }
  return {mode: options.isDryRun ? 'dry-run' : 'execute', files};
}

/** The lines between the common beginning and the common end of both texts. */
function changedLines(before: string | undefined, after: string): string[] {
  const [old, now] = [before ?? '', after].map((text) =>
    text === '' ? [] : text.replace(/\r?\n$/, '').split(/\r?\n/),
  );
  if (!old || !now) return [];
  const most = Math.min(old.length, now.length);
  let same = 0;
  while (same < most && old[same] === now[same]) same += 1;
  let sameEnd = 0;
  while (sameEnd < most - same && old.at(-1 - sameEnd) === now.at(-1 - sameEnd)) sameEnd += 1;
  return [
    ...old.slice(same, old.length - sameEnd).map((line) => `- ${line}`),
    ...now.slice(same, now.length - sameEnd).map((line) => `+ ${line}`),
  ];
}

async function planConfig(cwd: string, {answers, isForced, checkCommandLine}: InitOptions): Promise<Change> {
  const path = join(cwd, defaultConfigName);
  const before = await readIfPresent(path);
  const after = `${JSON.stringify(configOf(cwd, answers), null, 2)}\n`;
  const config = parseConfig(after, path);
  await requireCommands(readPlan(config, false).jobs, checkCommandLine);
  if (before === undefined || before === after || isForced) return {path, before, after, notes: []};
  return {
    path,
    before,
    after: undefined,
    notes: ['already exists and was kept; --force replaces it'],
  };
}

function configOf(cwd: string, answers: InitAnswers): Config {
  const {productionHosts: hosts, productionDatabases: databases, keepDays, timeZone, plan} = answers;
  const {places = [], recipients = []} = answers;
  const sentences = splitPlan(plan);
  // The schema lets editors explain the keys; it exists if the program is installed in the project.
  const schema = 'node_modules/destino-db/dist/config.schema.json';
  return {
    ...(existsSync(join(cwd, schema)) ? {$schema: `./${schema}`} : {}),
    backupsDir: answers.backupsDir,
    production: {hosts: [...hosts], databases: [...databases]},
    backup: {format: answers.format},
    ...(keepDays === undefined ? {} : {retention: {keepDays, keepMin: 2}}),
    ...(places.length === 0 ? {} : {storage: {places: [...places]}}),
    ...(recipients.length === 0 ? {} : {encryption: {recipients: [...recipients]}}),
    ...(sentences.length === 0
      ? {}
      : {schedule: {plan: sentences, ...(timeZone === undefined ? {} : {timeZone})}}),
  };
}

/** Backups contain customer data and environment files contain passwords, so neither may get into the repository. */
async function planGitignore(cwd: string, backupsDir: string): Promise<Change | undefined> {
  const path = join(cwd, '.gitignore');
  const before = await readIfPresent(path);
  if (before === undefined && !isInRepository(cwd)) return undefined;
  const lines = (before ?? '').split(/\r?\n/).map((line) => line.trim());
  const inside = relative(cwd, resolve(cwd, backupsDir)).split(sep).join('/');
  const isOutside = inside === '' || isAbsolute(inside) || /^\.\.(?:\/|$)/.test(inside);
  const wanted = [
    ...(isOutside || isIgnored(lines, inside, true) ? [] : [`${inside}/`]),
    ...['.env', '.env.local'].filter((name) => !isIgnored(lines, name, false)),
  ];
  if (wanted.length === 0) return {path, before, after: before, notes: []};
  const eol = before?.includes('\r\n') === true ? '\r\n' : '\n';
  const gap = before === undefined || before === '' || before.endsWith('\n') ? '' : eol;
  const after = `${before ?? ''}${gap}${wanted.map((line) => `${line}${eol}`).join('')}`;
  return {path, before, after, notes: [`Git ignores ${wanted.join(', ')}`]};
}

/** Whether a line ignores the path or a folder above it; lines with special syntax ([a-z], !) do not count. */
function isIgnored(lines: readonly string[], path: string, isFolder: boolean): boolean {
  const names = path.split('/');
  return names.some((name, index) => {
    const upTo = names.slice(0, index + 1).join('/');
    const isFile = !isFolder && index === names.length - 1;
    return lines.some((line) => {
      if (line === '' || (isFile && line.endsWith('/'))) return false;
      const bare = line.replace(/^\*\*\//, '').replace(/\/(?:\*\*?)?$/, '');
      const texts = bare.replace(/^\//, '').split('*');
      const pattern = new RegExp(
        `^${texts.map((text) => text.replace(/[.+?^${}()|[\]\\]/g, '\\$&')).join('[^/]*')}$`,
      );
      // A pattern without a slash matches a name at any depth.
      return pattern.test(bare.includes('/') ? upTo : name);
    });
  });
}

async function planScripts(cwd: string, isForced: boolean): Promise<Change | undefined> {
  const path = join(cwd, 'package.json');
  const before = await readIfPresent(path);
  if (before === undefined) return undefined;
  const {text, added, differing} = await addPackageScripts(before, packageScripts, isForced);
  const notes = [
    ...(added.length === 0 ? [] : [`scripts added: ${added.join(', ')}`]),
    ...differing.map(({name, command}) =>
      isForced
        ? `script ${name} replaced; it was: ${command}`
        : `script ${name} kept: ${command}; --force replaces it`,
    ),
  ];
  return {path, before, after: text, notes};
}

/** Follows links and keeps the permissions of the file. */
async function writeProjectFile(path: string, text: string): Promise<void> {
  const doesExist = existsSync(path);
  const real = doesExist ? await realpath(path) : path;
  await writeFileSafely(real, text, doesExist ? (await stat(real)).mode & 0o777 : 0o644);
}

function isInRepository(folder: string): boolean {
  return existsSync(join(folder, '.git')) || (dirname(folder) !== folder && isInRepository(dirname(folder)));
}

async function readIfPresent(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    throw explainFileError(error, path);
  }
}
