/** The database of the settings, for --latest and --at. */
import type {OwnDatabase} from './catalogue.js';
import {defined} from '../base/defined.js';
import {AppError} from '../base/errors.js';
import {withSession} from '../postgres/client.js';
import {type Connection, withDatabase} from '../postgres/connect/connection.js';
import {inspectSystemIdentifier} from '../postgres/inspect/inspect-database.js';
import {inspectComment, parseMaskedComment} from '../postgres/inspect/masked-comment.js';
import {resolveConnection} from '../postgres/connect/resolve-connection.js';
import type {RunContext} from '../run/run-context.js';
import {isProduction} from '../settings/production.js';
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
  const {systemIdentifier, comment} = await askServer(connection, context.signal);
  const isMasked =
    parseMaskedComment(comment) !== undefined && !(await isProduction(context.settings, connection));
  return defined({database, host, port, project: supabaseProject(connection), systemIdentifier, isMasked});
}

interface Answer {
  readonly systemIdentifier: string | null;
  /** The database's comment. */
  readonly comment: string | null;
}

async function askServer(connection: Connection, signal: AbortSignal): Promise<Answer> {
  const options = {...connection.options, connect_timeout: patience};
  // The database itself may be missing before a restore.
  for (const name of new Set([connection.database, 'postgres', 'template1'])) {
    try {
      return await withSession(
        {...withDatabase(connection, name), options},
        async (session) => ({
          systemIdentifier: await inspectSystemIdentifier(session),
          comment: await inspectComment(session, connection.database),
        }),
        {signal},
      );
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof AppError)) throw error;
      if (error.code !== 'DATABASE_NOT_FOUND') return unknown;
    }
  }
  return unknown;
}

const unknown: Answer = {systemIdentifier: null, comment: null};
