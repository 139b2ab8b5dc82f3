/** The target of a refresh: a database of another environment, never production and never the backup's own source. */
import {z} from 'zod';
import {AppError} from '../../base/errors.js';
import {didYouMean} from '../../base/nearest.js';
import type {BackupRecord} from '../../catalog/backup-record.js';
import {serverOf} from '../../catalog/catalogue.js';
import {type Session, withSession} from '../../postgres/client.js';
import {type Connection, refuseTransactionPooler, withDatabase} from '../../postgres/connect/connection.js';
import {connectionOfVariable, resolveConnection} from '../../postgres/connect/resolve-connection.js';
import {supabaseProject} from '../../postgres/connect/supabase-project.js';
import {
  type DatabaseProperties,
  describeSetting,
  settingName,
} from '../../postgres/databases/database-properties.js';
import {withMaintenanceSession} from '../../postgres/databases/maintenance.js';
import {inspectSystemIdentifier, parseOnlyRow} from '../../postgres/inspect/inspect-database.js';
import type {RunContext} from '../../run/run-context.js';
import {isListedHost} from '../../settings/production.js';
import type {Settings} from '../../settings/settings.js';
import {isProductionDatabase} from '../guards/production.js';

export interface TargetRequest {
  /** Name of the environment variable with the URL. */
  readonly targetUrlEnv: string;
  /** The database of the URL by default. */
  readonly targetDb?: string;
}

/** @throws USAGE if the variable is not set, URL_INVALID, TRANSACTION_POOLER */
export function targetOf({settings}: RunContext, {targetUrlEnv, targetDb}: TargetRequest): Connection {
  const {environment} = settings;
  const url = environment.get(targetUrlEnv);
  if (url === undefined) {
    const names = environment.sources.flatMap(({values}) => Object.keys(values));
    throw new AppError(
      'USAGE',
      `The variable ${targetUrlEnv} is not set.${didYouMean(targetUrlEnv, names)}`,
      {
        hint: `Set ${targetUrlEnv} in the environment or in ${settings.cwd}/.env.local to the URL of the other environment.`,
      },
    );
  }
  const origin = environment.originOf(targetUrlEnv) ?? 'environment';
  const connection = connectionOfVariable(
    settings,
    url,
    origin === 'environment' ? targetUrlEnv : `${targetUrlEnv} from ${origin}`,
  );
  refuseTransactionPooler(connection);
  return withDatabase(connection, targetDb ?? connection.database);
}

/** Flags of `verify`, for the shell, that name a server where the settings name none. */
export function scratchFlagsFor(settings: Settings, variable: string): string {
  if (hasDatabase(settings)) return '';
  const isInShell = settings.environment.originOf(variable) === 'environment';
  return isInShell ? `--scratch-url "$${variable}"` : '--scratch local';
}

function hasDatabase(settings: Settings): boolean {
  try {
    resolveConnection(settings);
    return true;
  } catch {
    return false;
  }
}

/** The settings of a run for the target; nothing in them belongs to the database of the backups. */
export function settingsOfTarget(
  given: Settings,
  {targetUrlEnv}: TargetRequest,
  {database}: Connection,
): Settings {
  const settings = {...given};
  // Both are for DIRECT_URL alone.
  delete settings.commandPassword;
  delete settings.sshTunnel;
  const {environment} = given;
  const isOther = (name: string): boolean => /^PG[A-Z]/.test(name) && name !== 'PGPASSFILE';
  return {
    ...settings,
    databaseUrl: undefined,
    databaseName: database,
    urlPreference: [targetUrlEnv],
    environment: {
      ...environment,
      get: (name) => (isOther(name) ? undefined : environment.get(name)),
      originOf: (name) => environment.originOf(name),
    },
  };
}

/** @throws GUARD */
export async function refuseProduction(context: RunContext, target: Connection): Promise<void> {
  if (!(await isProductionDatabase(context, target))) return;
  const isByEnvironment = context.settings.environment.get('NODE_ENV') === 'production';
  throw new AppError(
    'GUARD',
    `"${target.database}" on ${target.host} is production${isByEnvironment ? ' (NODE_ENV=production)' : ''}, which refresh never replaces. Nothing was changed.`,
    {
      hint: isByEnvironment
        ? 'With NODE_ENV=production, every target counts as production. Unset it for this command.'
        : 'Name the database of another environment with --target-url-env and --target-db. The config lists production under "production".',
    },
  );
}

/** @param source the source in the backup's metadata @throws GUARD if the target is the database that the backup was taken from */
export async function refuseSource(
  context: RunContext,
  target: Connection,
  record: BackupRecord | null,
): Promise<void> {
  if (record && (await isBackedUp(context, target, record)))
    throw isSource(target, `the backup ${record.id}`);
  if (await isOwn(context, target)) throw isSource(target, 'the backups');
}

function isSource({database, host}: Connection, what: string): AppError {
  return new AppError(
    'GUARD',
    `"${database}" on ${host} is the database that ${what} was taken from, which refresh never replaces. Nothing was changed.`,
    {hint: 'Name the database of another environment with --target-url-env and --target-db.'},
  );
}

async function isBackedUp(
  {signal}: RunContext,
  target: Connection,
  {databaseName, source}: BackupRecord,
): Promise<boolean> {
  if (target.database !== databaseName) return false;
  const {host, port} = target;
  const project = supabaseProject(target);
  if (project !== undefined || source.project !== undefined) return project === source.project;
  const identifier = await withMaintenanceSession(target, inspectSystemIdentifier, {signal});
  if (identifier !== null && source.systemIdentifier !== null) return identifier === source.systemIdentifier;
  // Without the cluster's number, the address decides.
  return (
    serverOf({host, port}) === serverOf(source) ||
    (port === source.port && isListedHost([source.host], target))
  );
}

/** Whether the settings name the same database, maybe through another address. */
async function isOwn(context: RunContext, target: Connection): Promise<boolean> {
  let own: Connection;
  try {
    own = resolveConnection(context.settings);
  } catch (error) {
    if (error instanceof AppError && error.code === 'NO_DATABASE_URL') return false;
    throw error;
  }
  const isNamedAlike =
    own.database === target.database &&
    own.port === target.port &&
    own.host.toLowerCase() === target.host.toLowerCase() &&
    supabaseProject(own) === supabaseProject(target);
  if (isNamedAlike) return true;
  const [one, other] = await Promise.all([
    inspectPlace(context, {...own, options: {...own.options, connect_timeout: patience}}),
    inspectPlace(context, target),
  ]);
  if (!one || !other || one.oid !== other.oid) return false;
  // Two roles can differ in the right to read the cluster's number; a standby has the number and not the time.
  return one.startedAt === other.startedAt || (one.system !== null && one.system === other.system);
}

/** A production server that cannot be reached from here must not delay the run, s. */
const patience = '3';

interface DatabasePlace {
  readonly oid: string;
  readonly startedAt: string;
  readonly system: string | null;
}

const placeRow = z.object({oid: z.string(), started_at: z.string()});

/** @returns undefined if the database cannot be asked */
async function inspectPlace(
  {signal}: RunContext,
  connection: Connection,
): Promise<DatabasePlace | undefined> {
  const ask = async (session: Session): Promise<DatabasePlace> => {
    const rows = await session.query(
      `SELECT d.oid, pg_catalog.pg_postmaster_start_time() AS started_at
         FROM pg_catalog.pg_database d WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()`,
    );
    const {oid, started_at: startedAt} = parseOnlyRow(placeRow, rows);
    return {oid, startedAt, system: await inspectSystemIdentifier(session)};
  };
  try {
    return await withSession(connection, ask, {signal});
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof AppError) return undefined; // the command itself reports an unreachable target
    throw error;
  }
}

/**
 * The properties of the backup's database without settings of extensions and applications, such as `app.settings.jwt_secret`: they belong
 * to the environment of the backup, and may be its secrets.
 */
export function withoutForeignSettings(properties: DatabaseProperties): {
  readonly properties: DatabaseProperties;
  /** A phrase for each setting that is left out, without its value. */
  readonly left: readonly string[];
} {
  const isForeign = ({setting}: DatabaseProperties['databaseSettings'][number]): boolean =>
    settingName(setting).includes('.');
  const all = properties.databaseSettings;
  return {
    properties: {...properties, databaseSettings: all.filter((one) => !isForeign(one))},
    left: all.filter(isForeign).map(describeSetting),
  };
}
