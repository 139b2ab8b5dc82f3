/** A session on the server in any database: to list, drop and change databases. */
import {AppError, type ErrorCode} from '../../base/errors.js';
import {type Session, type SessionOptions, withSession} from '../client.js';
import {type Connection, withDatabase} from '../connect/connection.js';

/** Every server has them unless they were dropped; then the named database is used. */
const candidates = ['postgres', 'template1'];
/** Errors after which another database may work. */
const closedDoors = new Set<ErrorCode>(['DATABASE_NOT_FOUND', 'PERMISSION_DENIED', 'AUTHENTICATION_FAILED']);

/**
 * Runs `work` in a session on `postgres`, else `template1`, else the connection's own database.
 * @throws the error of the last connection attempt; the errors of `work`
 */
export async function withMaintenanceSession<T>(
  connection: Connection,
  work: (session: Session) => Promise<T>,
  options: SessionOptions = {},
): Promise<T> {
  const progress = {isConnected: false};
  for (const database of candidates) {
    try {
      return await withSession(
        withDatabase(connection, database),
        (session) => {
          progress.isConnected = true;
          return work(session);
        },
        options,
      );
    } catch (error) {
      if (progress.isConnected || !(error instanceof AppError) || !closedDoors.has(error.code)) throw error;
    }
  }
  return withSession(connection, work, options);
}
