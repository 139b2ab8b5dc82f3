/** Decides whether a database or a backup is production: by name and host, and by the servers that earlier runs found on these hosts. */
import {backupFolder} from '../../catalog/backup-name.js';
import {type Backup, readCatalogue} from '../../catalog/catalogue.js';
import {AppError} from '../../base/errors.js';
import {withSession} from '../../postgres/client.js';
import type {Connection} from '../../postgres/connect/connection.js';
import {type DatabaseIdentity, inspectIdentity} from '../../postgres/inspect/inspect-database.js';
import {withMaintenanceSession} from '../../postgres/databases/maintenance.js';
import type {RunContext} from '../../run/run-context.js';
import {isListedHost, isProduction} from '../../settings/production.js';
import {readHistory} from '../../run/read-history.js';

type GuardContext = Pick<RunContext, 'settings' | 'signal'>;

/**
 * Asks the server itself if its names are not decisive: a tunnel, a pooler's alias or another host name may lead to the same
 * database. If the server does not answer, its names decide.
 */
export async function isProductionDatabase(ctx: GuardContext, connection: Connection): Promise<boolean> {
  const {settings} = ctx;
  if (await isProduction(settings, connection)) return true;
  const {hosts = [], databases = []} = settings.config.production ?? {};
  const systems = await productionSystems(ctx);
  if (systems.size === 0 && databases.length === 0) return false;
  const identity = await identify(ctx, connection);
  if (identity === undefined) return false;
  const {systemIdentifier, database} = identity;
  if (database !== null && databases.includes(database)) return true;
  return hosts.length > 0 && systemIdentifier !== null && systems.has(systemIdentifier);
}

/** Whether a backup is of a production database. */
export async function isProductionBackup(ctx: GuardContext, backup: Backup): Promise<boolean> {
  const {database, record} = backup;
  if (await isProduction(ctx.settings, {host: record?.source.host ?? '', database})) return true;
  const system = record?.source.systemIdentifier ?? null;
  return system !== null && (await productionSystems(ctx)).has(system);
}

/** The system identifiers that runs and backups found on the listed hosts. */
async function productionSystems({settings}: GuardContext): Promise<ReadonlySet<string>> {
  const {hosts = []} = settings.config.production ?? {};
  if (hosts.length === 0) return new Set();
  const seen = new Map<string, Set<string>>();
  const note = (host: string, system: string | null): void => {
    if (system !== null) seen.set(host, (seen.get(host) ?? new Set()).add(system));
  };
  try {
    const {runs} = await readHistory(settings.backupsDir, ({database}) => database !== null);
    for (const {database} of runs) if (database) note(database.host, database.systemIdentifier);
    const {backups} = await readCatalogue(backupFolder(settings));
    for (const {record} of backups) if (record) note(record.source.host, record.source.systemIdentifier);
  } catch (error) {
    if (!(error instanceof AppError)) throw error; // the commands that need these files report the error
  }
  const systems = new Set<string>();
  for (const [host, found] of seen) {
    if (await isListedHost(hosts, {host})) for (const system of found) systems.add(system);
  }
  return systems;
}

async function identify(
  {signal}: GuardContext,
  connection: Connection,
): Promise<{systemIdentifier: string | null; database: string | null} | undefined> {
  try {
    return await withSession(connection, inspectIdentity, {signal});
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof AppError)) throw error;
  }
  try {
    // The database may not exist yet.
    const identity: DatabaseIdentity = await withMaintenanceSession(connection, inspectIdentity, {signal});
    return {systemIdentifier: identity.systemIdentifier, database: null};
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof AppError)) throw error;
    return undefined; // the command itself reports the same error
  }
}
