/** Disables the triggers of all tables in the open transaction, including foreign keys, if the role may do that. */
import {AppError} from '../base/errors.js';
import type {Session} from './client.js';

/** @returns whether they are disabled; a hosting service may allow it without a visible grant */
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

/** Sets the mode until the transaction ends: as on a replica, as usual, or as in the session. */
export async function setTriggers(session: Session, mode: 'replica' | 'origin' | 'DEFAULT'): Promise<void> {
  await session.query(`SET LOCAL session_replication_role TO ${mode}`);
}
