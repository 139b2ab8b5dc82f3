/** Runs statements of one task list in several sessions of a database. */
import {AppError} from '../base/errors.js';
import {type Session, withSession} from './client.js';
import type {Connection} from './connect/connection.js';

export interface Workers {
  readonly connection: Connection;
  /** Maximum number of sessions; fewer if the server has no more connections. */
  readonly sessions: number;
  readonly signal: AbortSignal;
}

export type Task = (session: Session) => Promise<void>;

/**
 * Runs the tasks, started in their order; after an error the tasks that have not started do not run.
 * @param prepare runs first in each session
 * @throws the error of the first session that failed
 */
export async function inSessions(
  {connection, sessions, signal}: Workers,
  tasks: readonly Task[],
  prepare: Task = () => Promise.resolve(),
): Promise<void> {
  const queue = [...tasks];
  let isOver = false;
  const work = async (session: Session): Promise<void> => {
    try {
      if (queue.length > 0) await prepare(session);
      for (let task = queue.shift(); task && !isOver; task = queue.shift()) await task(session);
    } catch (error) {
      isOver = true;
      throw error;
    }
  };
  const lead = withSession(connection, work, {signal});
  const follow = (): Promise<void> =>
    withSession(connection, work, {signal}).catch((error: unknown) => {
      if (!(error instanceof AppError && error.code === 'TOO_MANY_CONNECTIONS')) throw error;
    });
  const followers = Array.from({length: Math.min(sessions, queue.length) - 1}, follow);
  const outcomes = await Promise.allSettled([lead, ...followers]);
  const failed = outcomes.find((outcome) => outcome.status === 'rejected');
  if (failed) throw failed.reason;
}
