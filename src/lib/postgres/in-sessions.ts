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
  const follow = (): Promise<void> =>
    withSession(connection, work, {signal}).catch((error: unknown) => {
      if (!(error instanceof AppError && error.code === 'TOO_MANY_CONNECTIONS')) throw error;
    });
  let followers: Promise<PromiseSettledResult<void>[]> | undefined;
  const lead = withSession(
    connection,
    (session) => {
      // Not before: beside others, the server may refuse this session instead of them, or all of them.
      followers = Promise.allSettled(Array.from({length: Math.min(sessions, queue.length) - 1}, follow));
      return work(session);
    },
    {signal},
  );
  const outcomes = [...(await Promise.allSettled([lead])), ...((await followers) ?? [])];
  const failed = outcomes.find((outcome) => outcome.status === 'rejected');
  if (failed) throw failed.reason;
}
