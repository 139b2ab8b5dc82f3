/**
 * Commands beside sessions that lock their tables: nothing hangs, the blocking session is named, and nobody waits for
 * this program longer than the limit.
 */
import {afterEach, beforeEach, describe, expect, it, vi} from 'vitest';
import type {Session} from '../../src/lib/postgres/client.js';
import {backupDatabase} from '../../src/lib/services/backup/local-backup.js';
import {cleanOrders} from '../../src/lib/services/orders/clean/execute.js';
import {restoreDatabase} from '../../src/lib/services/restore/execute.js';
import {restoreOrders} from '../../src/lib/services/orders/restore/execute.js';
import {undoRestore} from '../../src/lib/services/restore/undo.js';
import type {Config} from '../../src/lib/settings/config-schema.js';
import {withAppSession} from '../support/app-session.js';
import {cleanRequest} from '../support/clean-request.js';
import {startApplication} from '../support/lock-pressure.js';
import {tempFolder} from '../support/run-cli.js';
import {createTempDatabase, dropDatabase, onServer, type TempDatabase} from '../support/temp-database.js';
import {testContext} from '../support/test-context.js';

const lockWaitMs = 500;
/** Added to the limit: the time for a start, a rollback and a busy machine. Shorter than the program's own limit of 10 s. */
const overheadMs = 6000;

let shop: TempDatabase;
let folder: string;
beforeEach(async () => {
  shop = await createTempDatabase();
  folder = await tempFolder();
});
afterEach(async () => {
  for (const {gid} of await shop.query(
    'SELECT gid FROM pg_prepared_xacts WHERE database = current_database()',
  ))
    await shop.run(`ROLLBACK PREPARED '${gid ?? ''}'`);
  await shop.drop();
});

const contextOf = (config: Config = {}) =>
  testContext(folder, {env: {DIRECT_URL: shop.url}, settings: {config}});

/** @param at functions to call at checkpoints */
function clean(at: Readonly<Record<string, () => Promise<void>>> = {}, limitMs = lockWaitMs) {
  const checkpoint = async (point: string): Promise<void> => at[point]?.();
  return cleanOrders({...contextOf(), checkpoint}, cleanRequest({lockWaitMs: limitMs}));
}

async function until(sql: string): Promise<void> {
  await vi.waitFor(async () => expect(await shop.query(sql)).not.toEqual([]), {
    timeout: 20_000,
    interval: 20,
  });
}

const untilBlocked = (session: Session) =>
  until(`SELECT 1 FROM pg_locks WHERE pid = ${session.backendPid} AND NOT granted`);

/** Resolves when another session waits for a lock of `holder`. */
const untilWaitedFor = (holder: Session) =>
  until(`SELECT 1 FROM pg_stat_activity WHERE ${holder.backendPid} = ANY (pg_blocking_pids(pid))`);

/** Runs `work` while another session holds the locks of `sql`. */
async function beside<T>(sql: string, work: (holder: Session) => Promise<T>): Promise<T> {
  return withAppSession(shop.connection, async (holder) => {
    await holder.query('BEGIN');
    await holder.query(sql);
    return work(holder);
  });
}

const prepare = (sql: string): Promise<void> => shop.run(`BEGIN; ${sql}; PREPARE TRANSACTION 'left behind'`);

/** The time that the application waits after a failed attempt, ms. */
async function longestWaitBeside(work: () => Promise<unknown>): Promise<number> {
  const application = await startApplication(shop.connection, ['SELECT count(*) FROM orders']);
  try {
    await work();
  } finally {
    await application.stop();
  }
  return application.longestMs();
}

const named = (text: string) => ({
  code: 'LOCK_TIMEOUT',
  details: expect.arrayContaining([expect.stringContaining(text) as string]) as string[],
});

describe('a cleaning', () => {
  it('never waits for ever for a migration that waits for it, and neither does the application', async () => {
    // Longer than the cleaning takes on a busy machine, or it would give way.
    const limitMs = 20 * lockWaitMs;
    let migrating: Promise<unknown> = Promise.resolve();
    const longest = await longestWaitBeside(() =>
      withAppSession(shop.connection, async (migration) => {
        const atLock = async (): Promise<void> => {
          migrating = migration.query('ALTER TABLE orders ADD COLUMN gift boolean');
          await untilBlocked(migration);
        };
        const done = await clean({'clean.locked': atLock}, limitMs);
        expect(done.roots['public.orders']).toBe(152);
        await migrating;
      }),
    );
    expect(longest).toBeLessThan(limitMs + overheadMs);
  });

  it('gives way to a session that has waited for it as long as the limit, and names it', async () => {
    await shop.run(`
      CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.1); RETURN OLD; END';
      CREATE TRIGGER slow AFTER DELETE ON payments FOR EACH ROW EXECUTE FUNCTION slow()`);
    await withAppSession(shop.connection, async (migration) => {
      let migrating: Promise<unknown> = Promise.resolve();
      const cleaning = clean({
        'clean.locked': async () => {
          migrating = migration.query('ALTER TABLE orders ADD COLUMN gift boolean');
          await untilBlocked(migration);
        },
      });
      await expect(cleaning).rejects.toMatchObject(named(`server process ${migration.backendPid} `));
      await migrating;
    });
    expect(await shop.query('SELECT count(*) FROM orders')).toEqual([{count: '404'}]);
  });

  it('names a prepared transaction, which has no process', async () => {
    await prepare(`UPDATE orders SET notes = 'busy' WHERE email = 'qa@test.com'`);
    await expect(clean()).rejects.toMatchObject(named(`the prepared transaction 'left behind' of postgres`));
  });

  it('changes nothing if its tables were altered since the plan', async () => {
    await expect(
      cleanOrders(
        {
          ...contextOf(),
          isConfirmed: () => false,
          confirm: () => shop.run('CREATE TABLE gifts ("order" uuid REFERENCES orders ON DELETE CASCADE)'),
        },
        cleanRequest({lockWaitMs}),
      ),
    ).rejects.toMatchObject({code: 'PLAN_CHANGED'});
  });
});

it('orders:restore names the session that locks a table, and rolls back', async () => {
  const {backupPath} = await clean();
  const restore = () =>
    restoreOrders(contextOf(), {
      backupFile: backupPath ?? '',
      execute: true,
      failOnConflicts: false,
      onlyOrders: [],
      lockWaitMs,
    });
  await beside('LOCK TABLE payments IN SHARE MODE', async (holder) => {
    await expect(restore()).rejects.toMatchObject(named(`ShareLock on public.payments`));
    await holder.query('ROLLBACK');
  });
  expect((await restore()).tables['public.orders']?.restored).toBe(152);
});

it('orders:restore changes nothing if a column is dropped during the plan', async () => {
  const {backupPath} = await clean();
  const request = {backupFile: backupPath ?? '', execute: true, failOnConflicts: false, onlyOrders: []};
  await beside('ALTER TABLE payments DROP COLUMN "createdAt"', async (holder) => {
    const restored = restoreOrders(contextOf(), request);
    restored.catch(() => undefined);
    await untilWaitedFor(holder);
    await holder.query('COMMIT');
    await expect(restored).rejects.toMatchObject({code: 'PLAN_CHANGED'});
  });
  expect((await restoreOrders(contextOf(), request)).tables['public.orders']?.restored).toBe(152);
});

describe('restore --clean', () => {
  it.each([
    ['a session', 'held by server process'],
    ['a prepared transaction', `held by the prepared transaction 'left behind'`],
  ])(
    'waits for %s at most as long as the limit, names it, and lets the application continue',
    async (what, name) => {
      const context = contextOf();
      const {id} = await backupDatabase(context, {});
      const restore = () => restoreDatabase(context, {backupFile: id ?? '', clean: true, lockWaitMs});
      const longest = await longestWaitBeside(async () => {
        if (what === 'a session')
          await beside('SELECT * FROM orders LIMIT 1', () =>
            expect(restore()).rejects.toMatchObject(named(name)),
          );
        else {
          await prepare('SELECT * FROM orders LIMIT 1');
          await expect(restore()).rejects.toMatchObject(named(name));
        }
      });
      expect(longest).toBeLessThan(lockWaitMs + overheadMs);
      expect(longest).toBeGreaterThan(lockWaitMs / 2);
      expect(await shop.query('SELECT count(*) FROM orders')).toEqual([{count: '404'}]);
    },
  );
});

describe('a swap', () => {
  it('is refused beside a prepared transaction, without a hint to wait for it in another way', async () => {
    const context = contextOf();
    const {id} = await backupDatabase(context, {});
    await prepare('SELECT * FROM orders LIMIT 1');
    const swap = () => restoreDatabase(context, {backupFile: id ?? '', dropExisting: true, lockWaitMs});
    await expect(swap()).rejects.toMatchObject({
      code: 'NOT_SUPPORTED_HERE',
      hint: expect.not.stringContaining('--clean') as string,
      details: [expect.stringContaining(`'left behind' of postgres`) as string],
    });
    await shop.run(`ROLLBACK PREPARED 'left behind'`);
    const {setAside} = await swap();
    try {
      await prepare('SELECT * FROM orders LIMIT 1');
      await expect(undoRestore(context, {lockWaitMs})).rejects.toMatchObject({
        code: 'RESTORE_FAILED',
        details: [expect.stringContaining(`'left behind' of postgres`) as string],
      });
    } finally {
      await dropDatabase(setAside ?? '');
    }
  });

  it('does not prevent clients from connecting while another session alters the database', async () => {
    const context = contextOf();
    const {id} = await backupDatabase(context, {});
    await onServer(async (other) => {
      await other.query('BEGIN');
      await other.query(`COMMENT ON DATABASE ${shop.name} IS 'being looked at'`);
      const swap = restoreDatabase(context, {backupFile: id ?? '', dropExisting: true, lockWaitMs});
      swap.catch(() => undefined);
      await vi.waitFor(
        async () => {
          const waiting = 'SELECT 1 FROM pg_locks WHERE NOT granted AND $1 = ANY (pg_blocking_pids(pid))';
          expect(await other.query(waiting, [other.backendPid])).not.toEqual([]);
        },
        {timeout: 20_000, interval: 20},
      );
      const since = performance.now();
      // The swap may end the session at once; it could connect nevertheless.
      await withAppSession(shop.connection, () => Promise.resolve()).catch((error: unknown) => {
        if (!String(error).includes('terminating connection')) throw error;
      });
      expect(performance.now() - since).toBeLessThan(lockWaitMs + overheadMs);
      await expect(swap).rejects.toMatchObject(named(`server process ${other.backendPid} `));
    });
  });
});

describe('a backup', () => {
  const config = (seconds: number): Config => ({backup: {lockWaitSeconds: seconds}});
  const inFolder = (seconds: number) =>
    backupDatabase(contextOf(config(seconds)), {format: 'directory', parallelJobs: 2});

  it('in directory format succeeds beside a migration that waits for it', async () => {
    await shop.run('CREATE TABLE last_of_all (id integer)');
    const {id} = await beside('LOCK TABLE last_of_all', async (holder) => {
      const backup = inFolder(30);
      await untilWaitedFor(holder);
      // The first connection already has its locks on the tables; the others request them again, after the migration.
      return withAppSession(shop.connection, async (migration) => {
        const migrating = migration.query('ALTER TABLE orders ADD COLUMN gift boolean');
        await untilBlocked(migration);
        await holder.query('COMMIT');
        const made = await backup;
        await migrating;
        return made;
      });
    });
    expect(id).not.toBeNull();
  });

  it('names the session that locks a table longer than the limit', async () => {
    await beside('LOCK TABLE products', (holder) =>
      expect(inFolder(1)).rejects.toMatchObject(named(`server process ${holder.backendPid} `)),
    );
  });

  it('runs again if a table was dropped while pg_dump waited for it', async () => {
    await shop.run('CREATE TABLE work_table (id integer)');
    const {tables} = await beside('LOCK TABLE work_table', async (holder) => {
      const backup = backupDatabase(contextOf(config(30)), {});
      await untilWaitedFor(holder);
      await holder.query('DROP TABLE work_table');
      await holder.query('COMMIT');
      return backup;
    });
    expect(tables.map(({table}) => table)).not.toContain('public.work_table');
  });
});
