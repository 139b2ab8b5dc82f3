/** The database that the settings name, as --latest and --at mean it. */
import type {OwnDatabase} from './catalogue.js';
import {AppError} from '../base/errors.js';
import {withSession} from '../postgres/client.js';
import {type Connection, withDatabase} from '../postgres/connect/connection.js';
import {inspectSystemIdentifier} from '../postgres/inspect/inspect-database.js';
import {resolveConnection} from '../postgres/connect/resolve-connection.js';
import type {RunContext} from '../run/run-context.js';
import {supabaseProject} from '../postgres/connect/supabase-project.js';

/** A server that does not answer must not hold up what needs no server; its number is unknown then, s. */
const patience = '3';

/**
 * With the cluster's number where the server tells it; undefined where no database is named.
 * @throws URL_INVALID, INTERRUPTED
 */
export async function findOwnDatabase(
  context: Pick<RunContext, 'settings' | 'signal'>,
): Promise<OwnDatabase | undefined> {
  let connection: Connection;
  try {
    connection = resolveConnection(context.settings);
  } catch (error) {
    if (error instanceof AppError && error.code === 'NO_DATABASE_URL') return undefined;
    throw error;
  }
  const {database, host, port} = connection;
  const systemIdentifier = await askSystemIdentifier(connection, context.signal);
  return {database, host, port, project: supabaseProject(connection), systemIdentifier};
}

async function askSystemIdentifier(connection: Connection, signal: AbortSignal): Promise<string | null> {
  const options = {...connection.options, connect_timeout: patience};
  // The database itself may be what is to be restored.
  for (const name of new Set([connection.database, 'postgres', 'template1'])) {
    try {
      return await withSession({...withDatabase(connection, name), options}, inspectSystemIdentifier, {
        signal,
      });
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof AppError)) throw error;
      if (error.code !== 'DATABASE_NOT_FOUND') return null;
    }
  }
  return null;
}
