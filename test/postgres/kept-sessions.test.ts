/** Sessions that stay open between lists of tasks. */
import {afterAll, beforeAll, expect, it} from 'vitest';
import type {Session} from '../../src/lib/postgres/client.js';
import {inSessions, withKeptSessions} from '../../src/lib/postgres/in-sessions.js';
import {createTempDatabase, type TempDatabase} from '../support/temp-database.js';

let database: TempDatabase;
beforeAll(async () => {
  database = await createTempDatabase('template0');
});
afterAll(() => database.drop());

const workers = (signal = new AbortController().signal) => ({
  connection: database.connection,
  sessions: 2,
  signal,
});

async function pidOf(session: Session): Promise<string> {
  const [row] = await session.query('SELECT pg_catalog.pg_backend_pid() AS pid');
  return row?.['pid'] ?? '';
}

/** Two tasks that wait for each other, so that each has its own session. */
async function twoPids(kept: Parameters<typeof inSessions>[0]): Promise<string[]> {
  const pids: string[] = [];
  let meet = (): void => undefined;
  const met = new Promise<void>((resolve) => (meet = resolve));
  const task = async (session: Session): Promise<void> => {
    pids.push(await pidOf(session));
    if (pids.length === 2) meet();
    await met;
  };
  await inSessions(kept, [task, task]);
  return pids.sort();
}

const openSessions = async (): Promise<string | null | undefined> => {
  const [row] = await database.query(
    `SELECT count(*) AS open FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`,
  );
  return row?.['open'];
};

it('are the same for each list, and end with the work', async () => {
  const [first, second] = await withKeptSessions(workers(), async (kept) => [
    await twoPids(kept),
    await twoPids(kept),
  ]);
  expect(new Set(first).size).toBe(2);
  expect(second).toEqual(first);
  await expect.poll(openSessions).toBe('0');
});

it('pass the error of a task on, with its code, and do not use its session again', async () => {
  const outcome = await withKeptSessions(workers(), async (kept) => {
    let pid = '';
    const failing = inSessions(kept, [
      async (session) => {
        pid = await pidOf(session);
        await session.query('SELECT 1 / 0');
      },
    ]);
    await expect(failing).rejects.toMatchObject({code: 'QUERY_FAILED'});
    const pids: string[] = [];
    await inSessions(kept, [async (session) => void pids.push(await pidOf(session))]);
    return {pid, pids};
  });
  expect(outcome.pids).toHaveLength(1);
  expect(outcome.pids).not.toContain(outcome.pid);
});

it('end after an error of the work, and after an interruption', async () => {
  const failing = withKeptSessions(workers(), async (kept) => {
    await twoPids(kept);
    throw new Error('of the work');
  });
  await expect(failing).rejects.toThrow('of the work');
  await expect.poll(openSessions).toBe('0');
  const controller = new AbortController();
  const interrupted = withKeptSessions(workers(controller.signal), async (kept) => {
    await twoPids(kept);
    const sleeping = inSessions(kept, [async (session) => void (await session.query('SELECT pg_sleep(60)'))]);
    controller.abort(new Error('interrupted'));
    await sleeping;
  });
  await expect(interrupted).rejects.toThrow('interrupted');
  await expect.poll(openSessions).toBe('0');
});

it('report a session that was ended while it was idle', async () => {
  const lost = withKeptSessions(workers(), async (kept) => {
    const pids = await twoPids(kept);
    await database.run(
      `SELECT pg_terminate_backend(pid) FROM unnest(ARRAY[${pids.join(', ')}]) AS ended (pid)`,
    );
    await twoPids(kept);
  });
  await expect(lost).rejects.toMatchObject({code: 'CONNECTION_LOST'});
});
