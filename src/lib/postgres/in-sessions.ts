/** Runs statements of one task list, or of several, in several sessions of a database. */
import {AppError} from '../base/errors.js';
import {type Session, withSession} from './client.js';
import type {Connection} from './connect/connection.js';

export interface Workers {
  readonly connection: Connection;
  /** Maximum number of sessions; fewer if the server has no more connections. */
  readonly sessions: number;
  readonly signal: AbortSignal;
  /** Opens the sessions; by default, each list has its own. */
  readonly use?: UseSession;
}

/** Passes a session to `work`. */
export type UseSession = <T>(work: (session: Session) => Promise<T>) => Promise<T>;

export type Task = (session: Session) => Promise<void>;

/**
 * Runs the tasks, started in their order; after an error the tasks that have not started do not run.
 * @param prepare runs first in each session
 * @throws the error of the first session that failed
 */
export async function inSessions(
  {connection, sessions, signal, use = (work) => withSession(connection, work, {signal})}: Workers,
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
    use(work).catch((error: unknown) => {
      if (!(error instanceof AppError && error.code === 'TOO_MANY_CONNECTIONS')) throw error;
    });
  let followers: Promise<PromiseSettledResult<void>[]> | undefined;
  const lead = use((session) => {
    // Not before: beside others, the server may refuse this session instead of them, or all of them.
    followers = Promise.allSettled(Array.from({length: Math.min(sessions, queue.length) - 1}, follow));
    return work(session);
  });
  const outcomes = [...(await Promise.allSettled([lead])), ...((await followers) ?? [])];
  const failed = outcomes.find((outcome) => outcome.status === 'rejected');
  if (failed) throw failed.reason;
}

/** The use of a session that stays open. */
interface Use {
  readonly work: (session: Session) => Promise<unknown>;
  readonly done: (result: unknown) => void;
  readonly failed: (error: unknown) => void;
}

/**
 * Keeps sessions open until the end of `work`, for several task lists: to open one takes several round trips, and the server's new process maps
 * each page of the shared buffers again that it reads. Settings of one list stay for the next; a session with an error is not used again.
 */
export async function withKeptSessions<T>(workers: Workers, work: (kept: Workers) => Promise<T>): Promise<T> {
  const {connection, signal} = workers;
  const idle: ((next: Use | undefined) => void)[] = [];
  const ends: Promise<void>[] = [];
  const open = async (first: Use): Promise<void> => {
    const present: {use: Use | undefined} = {use: first};
    const serve = async (session: Session): Promise<void> => {
      while (present.use) {
        const {work: task, done} = present.use;
        const result = await task(session);
        present.use = undefined;
        const next = new Promise<Use | undefined>((resolve) => idle.push(resolve));
        done(result);
        present.use = await next;
      }
    };
    try {
      await withSession(connection, serve, {signal});
    } catch (error) {
      if (!present.use) throw error;
      present.use.failed(error);
    }
  };
  const use: UseSession = (task) =>
    new Promise((resolve, failed) => {
      const one: Use = {work: task, done: resolve as (result: unknown) => void, failed};
      const next = idle.pop();
      if (next) next(one);
      else ends.push(open(one));
    });
  try {
    return await work({...workers, use});
  } finally {
    for (const next of idle) next(undefined);
    await Promise.all(ends);
  }
}
