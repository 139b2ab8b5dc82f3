/** Finds a database to connect to while others are created or renamed. */
import {AppError} from '../../base/errors.js';
import {withSession} from '../client.js';
import {type Connection, withDatabase} from '../connect/connection.js';

/** A database to connect to other than the target: a database cannot be created or renamed from within. @throws NOT_SUPPORTED_HERE */
export async function findMaintenance(
  connection: Connection,
  target: Connection,
  signal: AbortSignal,
): Promise<Connection> {
  const names = [...new Set(['postgres', connection.database, 'template1'])].filter(
    (name) => name !== target.database,
  );
  let failure: unknown;
  for (const name of names) {
    const candidate = withDatabase(connection, name);
    try {
      await withSession(candidate, async (session) => session.query('SELECT 1'), {signal});
      return candidate;
    } catch (error) {
      failure ??= error;
      const isOfThisDatabase =
        error instanceof AppError &&
        ['DATABASE_NOT_FOUND', 'PERMISSION_DENIED', 'AUTHENTICATION_FAILED'].includes(error.code);
      if (!isOfThisDatabase) throw error;
    }
  }
  throw failure instanceof AppError && failure.code === 'AUTHENTICATION_FAILED'
    ? failure
    : new AppError(
        'NOT_SUPPORTED_HERE',
        `A connection to another database than "${target.database}" is needed, and this role cannot connect to ${names.join(', ')}.`,
        {hint: 'Restore into an empty database, or over this one with --clean.', cause: failure},
      );
}
