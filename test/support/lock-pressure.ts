/** An application whose statements are timed. */
import {withAppSession} from './app-session.js';
import type {Connection} from '../../src/lib/postgres/connection.js';

export interface Application {
  /** Of all statements so far, ms. */
  longestMs(): number;
  stop(): Promise<void>;
}

/** Runs each statement again and again, in a session each; resolves when each has run once. */
export async function startApplication(
  connection: Connection,
  statements: readonly string[],
): Promise<Application> {
  let longest = 0;
  let isOver = false;
  const running: Promise<void>[] = [];
  const begun = statements.map(
    (sql) =>
      new Promise<void>((resolve, reject) => {
        const loop = withAppSession(connection, async (session) => {
          while (!isOver) {
            const since = performance.now();
            await session.query(sql);
            longest = Math.max(longest, performance.now() - since);
            resolve();
          }
        });
        loop.catch(reject);
        running.push(loop);
      }),
  );
  await Promise.all(begun);
  return {
    longestMs: () => longest,
    stop: async () => {
      isOver = true;
      await Promise.all(running);
    },
  };
}
