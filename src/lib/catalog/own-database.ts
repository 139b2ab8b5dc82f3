/** The database of the settings, for --latest and --at. */
import type {OwnDatabase} from './catalogue.js';
import {defined} from '../base/defined.js';
import {AppError} from '../base/errors.js';
import {withSession} from '../postgres/client.js';
import {type Connection, withDatabase} from '../postgres/connect/connection.js';
import {inspectSystemIdentifier} from '../postgres/inspect/inspect-database.js';
import {resolveConnection} from '../postgres/connect/resolve-connection.js';
import type {RunContext} from '../run/run-context.js';
import {supabaseProject} from '../postgres/connect/supabase-project.js';

/** A server that does not answer must not delay commands that need no server; its number is then unknown, s. */
const patience = '3';

/**
 * With the cluster's number if the server reports it; undefined if no database is configured.
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
  return defined({database, host, port, project: supabaseProject(connection), systemIdentifier});
}

async function askSystemIdentifier(connection: Connection, signal: AbortSignal): Promise<string | null> {
  const options = {...connection.options, connect_timeout: patience};
  // The database itself may be missing before a restore.
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
