/** Shows the setup, the backups and the most urgent next steps. Reads only files. */
import {backupFolder} from '../../catalog/backup-name.js';
import {isSystemDatabase} from '../../catalog/replacing-flags.js';
import {describeConnection} from '../../postgres/connect/connection.js';
import {resolveConnection} from '../../postgres/connect/resolve-connection.js';
import {AppError} from '../../base/errors.js';
import type {RunContext} from '../../run/run-context.js';
import {allPlaces} from '../../settings/sources.js';
import {leftoversNote} from '../../run/journal.js';
import type {Finding} from './assess.js';
import {checkStatus} from './check-status.js';

export interface NextStep {
  /** The words after the program's name. */
  readonly command: string;
  readonly why: string;
}

export interface Overview {
  /** Whether `status` finds no problem in the backups folder. */
  readonly ok: boolean;
  readonly findings: readonly Finding[];
  /** Locations of copies in the config file, which only `status` reads. */
  readonly uncheckedPlaces: readonly string[];
  /** "user@host:port/database", never with the password, and the origin of the URL; null if no database is named. */
  readonly database: {readonly name: string; readonly origin: string} | null;
  /** The error in the database's URL; null if there is none. */
  readonly problem: {readonly code: string; readonly message: string; readonly hint: string | null} | null;
  readonly folder: string;
  /** Complete backups of all databases. */
  readonly backups: number;
  /** The newest usable one of all databases. */
  readonly newest: {readonly id: string; readonly createdAt: string; readonly proof: string | null} | null;
  readonly now: string;
  /** Most urgent first; never empty. */
  readonly next: readonly NextStep[];
}

/** @throws READ_FAILED if the backups folder exists and cannot be read */
export async function overview(
  context: Pick<RunContext, 'settings' | 'clock' | 'warn' | 'signal' | 'record'>,
): Promise<Overview> {
  const {settings, clock} = context;
  const {database, problem} = nameDatabase(context);
  const {ok, databases, findings} = await checkStatus(context, {hasPlaces: false});
  const [newest] = databases
    .flatMap((one) => (one.newest ? [{...one.newest, database: one.name}] : []))
    .sort((a, b) => (a.createdAt < b.createdAt ? 1 : -1));
  const backups = databases
    .flatMap((one) => Object.values(one.backups))
    .reduce((sum, count) => sum + count, 0);
  const found = new Set(findings.map(({code}) => code));
  const isTested = databases.some((one) => one.lastGoodRestoreTest !== null);
  const next: NextStep[] = [];
  const add = (isNeeded: boolean, command: string, why: string): void => {
    if (isNeeded) next.push({command, why});
  };
  add(
    (await leftoversNote({settings})) !== undefined,
    'recover --dry-run',
    'an interrupted run left unfinished work',
  );
  add(database === null, 'doctor', 'what is missing, and how to fix it');
  add(database === null && backups === 0, 'init', 'write a config file and package scripts');
  add(database !== null && backups === 0, 'doctor', 'whether a backup can be made');
  add(database !== null && backups === 0, 'backup', 'make the first backup');
  add(
    database !== null && newest !== undefined && found.has('TOO_OLD'),
    'backup',
    'the newest usable backup is too old',
  );
  add(backups > 0 && newest === undefined, 'list', 'no backup is usable');
  add(newest !== undefined && !isTested, 'verify --latest --level restore', 'test it by restoring it');
  add(backups > 0 && found.size > 0, 'status', 'every problem, copies in other locations too');
  add(newest !== undefined && settings.config.schedule?.plan === undefined, 'init', 'back up by a plan');
  const replacing = isSystemDatabase(newest?.database ?? '') ? '--clean' : '--drop-existing';
  add(newest !== undefined, `restore --latest ${replacing} --dry-run`, 'what a restore would do and lose');
  add(backups > 0 && newest !== undefined, 'list', 'all backups');
  return {
    ok,
    findings,
    uncheckedPlaces: allPlaces(settings.config),
    database,
    problem,
    folder: backupFolder(settings),
    backups,
    newest: newest ? {id: newest.id, createdAt: newest.createdAt, proof: newest.proof} : null,
    now: clock.now().toISOString(),
    next: next.slice(0, mostSteps),
  };
}

const mostSteps = 4;

/** This page reports a missing or invalid URL and does not fail. */
function nameDatabase({settings}: Pick<RunContext, 'settings'>): Pick<Overview, 'database' | 'problem'> {
  try {
    const connection = resolveConnection(settings);
    return {database: {name: describeConnection(connection), origin: connection.origin}, problem: null};
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    const {code, message, hint} = error;
    return {database: null, problem: {code, message, hint: hint ?? null}};
  }
}
