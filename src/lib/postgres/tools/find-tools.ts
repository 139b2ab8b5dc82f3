/** Finds the client tools and the version that fits a server. */
import {access, constants, readdir, realpath} from 'node:fs/promises';
import {basename, delimiter, join} from 'node:path';
import {text} from 'node:stream/consumers';
import {AppError, type ErrorCode, messageOf} from '../../base/errors.js';
import type {Settings} from '../../settings/settings.js';
import {runTool} from './run-tool.js';

export type ToolName = 'pg_dump' | 'pg_restore' | 'psql' | 'pg_dumpall';

export interface Tool {
  readonly name: ToolName;
  readonly path: string;
  /** "15.18" */
  readonly version: string;
  readonly major: number;
}

const notFoundCodes: Readonly<Record<ToolName, ErrorCode>> = {
  pg_dump: 'PG_DUMP_NOT_FOUND',
  pg_dumpall: 'PG_DUMP_NOT_FOUND',
  pg_restore: 'PG_RESTORE_NOT_FOUND',
  psql: 'PSQL_NOT_FOUND',
};

const executableSuffix = process.platform === 'win32' ? '.exe' : '';

/**
 * All installed copies of `name`, oldest major version first: only from the folder of --pg-bin if given, else from PATH and the usual folders.
 * Debian's pg_wrapper chooses a version itself, so it is used only if nothing else is installed.
 */
export async function installedTools(name: ToolName, settings: Settings): Promise<readonly Tool[]> {
  return (await lookOnce(name, settings)).tools;
}

interface Found {
  readonly tools: readonly Tool[];
  /** Why existing copies could not be run, a sentence each. */
  readonly failures: readonly string[];
}

/** Cached, because each search runs every copy once, and a run that checks many backups searches for each of them. */
const findings = new WeakMap<Settings, Map<ToolName, Promise<Found>>>();

function lookOnce(name: ToolName, settings: Settings): Promise<Found> {
  const found = findings.get(settings) ?? new Map<ToolName, Promise<Found>>();
  findings.set(settings, found);
  const tools = found.get(name) ?? lookForTools(name, settings);
  found.set(name, tools);
  return tools;
}

/** Begins the search for tools, so that it is done beside what comes before `findTool`, which reports its failures. */
export function searchAhead(names: readonly ToolName[], settings: Settings): void {
  for (const name of names) lookOnce(name, settings).catch(() => undefined);
}

async function lookForTools(name: ToolName, settings: Settings): Promise<Found> {
  const folders =
    settings.pgBin === undefined
      ? [
          ...(settings.environment.get('PATH') ?? '').split(delimiter),
          ...(await usualFolders(settings.environment.get('ProgramFiles'))),
        ]
      : [settings.pgBin];
  // By real path, so that a tool reached through several links runs once.
  const paths = new Map<string, string>();
  const inFolder = async (folder: string): Promise<[string, string] | undefined> => {
    const path = join(folder, name + executableSuffix);
    try {
      await access(path, constants.X_OK);
    } catch {
      return undefined; // not in this folder
    }
    return [await realpath(path), path];
  };
  for (const found of await Promise.all(folders.filter((one) => one !== '').map(inFolder)))
    if (found && !paths.has(found[0])) paths.set(...found);
  const isWrapper = ([real]: [string, string]): boolean => basename(real) === 'pg_wrapper';
  const found = await askVersions(
    name,
    [...paths].filter((entry) => !isWrapper(entry)),
  );
  if (found.tools.length > 0) return found;
  const wrapped = await askVersions(name, [...paths].filter(isWrapper).slice(0, 1));
  return {tools: wrapped.tools, failures: [...found.failures, ...wrapped.failures]};
}

async function askVersions(name: ToolName, paths: [string, string][]): Promise<Found> {
  const answers = await Promise.all(paths.map(([, path]) => readVersion(name, path)));
  return {
    tools: answers
      .flatMap((answer) => (typeof answer === 'string' ? [] : [answer]))
      .sort((a, b) => a.major - b.major),
    failures: answers.flatMap((answer) => (typeof answer === 'string' ? [answer] : [])),
  };
}

/**
 * The copy of `name` for a server or an archive of major version `serverMajor`: the oldest that is not
 * older, so that archives stay readable by the tools of that version. Without a version, the newest.
 * @throws PG_DUMP_NOT_FOUND, PG_RESTORE_NOT_FOUND, PSQL_NOT_FOUND, TOOL_TOO_OLD, each with the command to install it
 */
export async function findTool(name: ToolName, settings: Settings, serverMajor?: number): Promise<Tool> {
  const {tools, failures} = await lookOnce(name, settings);
  const newest = tools.at(-1);
  if (!newest && failures.length > 0)
    throw new AppError('TOOL_FAILED', `${name} is installed but could not be run.`, {
      details: failures,
      hint: `Run it yourself to see why: ${name} --version`,
    });
  if (!newest) {
    const where = settings.pgBin === undefined ? 'in PATH or in the usual folders' : `in ${settings.pgBin}`;
    throw new AppError(notFoundCodes[name], `${name} was not found ${where}.`, {
      hint:
        settings.pgBin === undefined
          ? installHint(serverMajor)
          : 'Check --pg-bin, or pgBin in the config file; without either, PATH and the usual folders are searched.',
    });
  }
  if (serverMajor === undefined) return newest;
  const fitting = tools.find((tool) => tool.major >= serverMajor);
  if (fitting) return fitting;
  throw new AppError(
    'TOOL_TOO_OLD',
    `${name} ${newest.version} is older than the server (PostgreSQL ${serverMajor}); found: ${tools.map((tool) => tool.path).join(', ')}.`,
    {hint: installHint(serverMajor)},
  );
}

/** The command that installs the client tools on this platform. */
export function installHint(major?: number): string {
  const version = major === undefined ? '' : `-${major}`;
  if (process.platform === 'darwin')
    return `Install PostgreSQL's client tools: brew install postgresql${major === undefined ? '' : `@${major}`}`;
  if (process.platform === 'win32') {
    return `Install PostgreSQL's client tools: winget install PostgreSQL.PostgreSQL${major === undefined ? '' : `.${major}`}, or give their folder with --pg-bin.`;
  }
  const pgdg = major === undefined ? '' : ' (older distributions: from apt.postgresql.org)';
  return `Install PostgreSQL's client tools: apt-get install postgresql-client${version}${pgdg}, or give their folder with --pg-bin.`;
}

/** Folders where packages install the tools and the server's programs outside PATH. */
export async function usualFolders(programFiles = 'C:\\Program Files'): Promise<string[]> {
  const parents = [
    '/usr/lib/postgresql', // Debian, Ubuntu
    '/opt/homebrew/opt', '/usr/local/opt', '/home/linuxbrew/.linuxbrew/opt', // Homebrew
    '/Applications/Postgres.app/Contents/Versions',
    join(programFiles, 'PostgreSQL'),
  ]; // prettier-ignore
  const programs = async (parent: string, version: RegExp): Promise<string[]> =>
    (await namesIn(parent)).flatMap((child) => (version.test(child) ? [join(parent, child, 'bin')] : []));
  const found = await Promise.all([
    ...parents.map((parent) => programs(parent, /^(?:\d+(?:\.\d+)?|latest|libpq|postgresql(?:@\d+)?)$/)),
    programs('/usr', /^pgsql-\d+$/), // Red Hat
  ]);
  return ['/usr/local/pgsql/bin', ...found.flat()];
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch {
    return []; // missing or unreadable
  }
}

/** The tool with its version, or why it could not be run. */
async function readVersion(name: ToolName, path: string): Promise<Tool | string> {
  let output = '';
  try {
    await runTool({
      tool: name,
      path,
      args: ['--version'],
      environment: {},
      failureCode: 'TOOL_FAILED',
      readStdout: async (stdout) => {
        output = await text(stdout);
      },
    });
  } catch (error) {
    if (error instanceof AppError && error.code === 'TOO_MANY_OPEN_FILES') throw error;
    const lines = error instanceof AppError ? error.details : [];
    return `${path}: ${[messageOf(error), ...lines].join(' ')}`;
  }
  const match = /\(PostgreSQL\) (\d+)(\S*)/.exec(output);
  if (!match) return `${path}: "${output.trim().slice(0, 200)}" is not a version of PostgreSQL.`;
  return {name, path, version: `${match[1] ?? ''}${match[2] ?? ''}`, major: Number(match[1])};
}
