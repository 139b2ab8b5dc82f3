/** Keeps the triggers of all tables from firing in the open transaction, foreign keys among them, where the role may ask for that. */
import {AppError} from '../base/errors.js';
import type {Session} from './client.js';

/** @returns whether they are silent; a service may allow it without a grant that could be looked up */
export async function silenceTriggers(session: Session): Promise<boolean> {
  await session.query('SAVEPOINT destino_triggers');
  try {
    await setTriggers(session, 'replica');
    await session.query('RELEASE SAVEPOINT destino_triggers');
    return true;
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== 'PERMISSION_DENIED') throw error;
    await session.query('ROLLBACK TO SAVEPOINT destino_triggers');
    return false;
  }
}

/** Until the transaction ends: as on a replica, as usual, or as the session had it. */
export async function setTriggers(session: Session, mode: 'replica' | 'origin' | 'DEFAULT'): Promise<void> {
  await session.query(`SET LOCAL session_replication_role TO ${mode}`);
}
