/**
 * All commands that lock tables, in a random order, beside DDL, locks, prepared transactions and an application:
 * nothing hangs, and nobody waits longer than the limit for a session of this program that waits itself. `npm run
 * test:locks` runs it for two hours.
 */
import {afterAll, beforeAll, expect, it} from 'vitest';
import {AppError, type ErrorCode} from '../../src/lib/base/errors.js';
import {backupDatabase} from '../../src/lib/services/backup/local-backup.js';
import {cleanOrders} from '../../src/lib/services/orders/clean/execute.js';
import {restoreDatabase} from '../../src/lib/services/restore/execute.js';
import {restoreOrders} from '../../src/lib/services/orders/restore/execute.js';
import {safeCleanup} from '../../src/lib/services/orders/workflow/safe-cleanup.js';
import {undoRestore} from '../../src/lib/services/restore/undo.js';
import {cleanRequest} from '../support/clean-request.js';
import {describeMix, writeMix} from '../support/lock-page.js';
import {startPressure} from '../support/lock-pressure.js';
import {tempFolder} from '../support/run-cli.js';
import {
  clusterConnection,
  createTempDatabase,
  dropDatabase,
  existingDatabase,
  onServer,
  type TempDatabase,
} from '../support/temp-database.js';
import {testContext} from '../support/test-context.js';

const lockWaitMs = 1000;
/** Longer than any command takes here. */
const hangMs = 90_000;
const minutes = Number(process.env['DESTINO_TEST_LOCKS_MINUTES'] ?? 0.15);
const isLong = minutes >= 1;
/** Added to the limit: polls that see a wait late, rollbacks, and in the short form the other files on a busy machine. */
const overheadMs = isLong ? 1500 : 6000;
const seed = Number(process.env['DESTINO_TEST_LOCKS_SEED'] ?? (isLong ? Date.now() % 2 ** 31 : 20_261_129));

/** Mulberry32: the same numbers for the same seed. */
function randomOf(start: number): () => number {
  let state = start;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

let shop: TempDatabase;
let folder: string;
let whole: string;
beforeAll(async () => {
  shop = await createTempDatabase();
  folder = await tempFolder();
  await shop.run('CREATE MATERIALIZED VIEW totals AS SELECT email, sum(total) FROM orders GROUP BY email');
  whole = (await backupDatabase(contextOf(), {})).id ?? '';
});
afterAll(async () => {
  for (const name of [...(await setAsides()), shop.name]) {
    const database = existingDatabase(name);
    const left = 'SELECT gid FROM pg_prepared_xacts WHERE database = current_database()';
    for (const {gid} of await database.query(left)) await database.run(`ROLLBACK PREPARED '${gid ?? ''}'`);
    await dropDatabase(name);
  }
});

const contextOf = () =>
  testContext(folder, {
    env: {DIRECT_URL: shop.url},
    settings: {config: {backup: {lockWaitSeconds: 5}, orders: {lockWaitSeconds: lockWaitMs / 1000}}},
  });

const setAsides = (): Promise<string[]> =>
  onServer(async (session) => {
    const sql = `SELECT datname FROM pg_database WHERE starts_with(datname, $1) ORDER BY datname`;
    return (await session.query(sql, [`${shop.name}_`])).map(({datname}) => datname ?? '');
  });

const backups = {isPruning: false} as const;
const commands: Readonly<Record<string, () => Promise<unknown>>> = {
  'orders:clean': () => cleanOrders(contextOf(), cleanRequest({lockWaitMs})),
  'orders:clean --no-backup': () => cleanOrders(contextOf(), cleanRequest({lockWaitMs, backup: false})),
  'orders:restore': () =>
    restoreOrders(contextOf(), {
      backupFile: 'latest',
      execute: true,
      failOnConflicts: false,
      onlyOrders: [],
      lockWaitMs,
    }),
  'workflow:safe-cleanup': () =>
    safeCleanup(contextOf(), {
      clean: cleanRequest({lockWaitMs}),
      fullBackup: backups,
      command: (id) => ['destino-db', id],
      pause: undefined,
    }),
  backup: () => backupDatabase(contextOf(), backups),
  'backup --format directory': () =>
    backupDatabase(contextOf(), {...backups, format: 'directory', parallelJobs: 2}),
  'restore --clean': () => restoreDatabase(contextOf(), {backupFile: whole, clean: true, lockWaitMs}),
  'restore --drop-existing': async () => {
    await restoreDatabase(contextOf(), {backupFile: whole, dropExisting: true, lockWaitMs});
    for (const name of (await setAsides()).slice(0, -1)) await dropDatabase(name);
  },
  undo: () => undoRestore(contextOf(), {lockWaitMs}),
};

/** Possible outcomes of a command beside sessions that lock, alter and change its tables. */
const refusals: readonly ErrorCode[] = [
  'LOCK_TIMEOUT', // the limit
  'PLAN_CHANGED', // a column came or went
  'CLEAN_FAILED', // an order changed meanwhile
  'ORDERS_RESTORE_FAILED', // likewise
  'RESTORED_DIFFERS', // in place the application writes before it is compared
  'NOT_SUPPORTED_HERE', // a prepared transaction
  'RESTORE_FAILED', // likewise, at the last moment; or an object that is not in the backup
  'PG_DUMP_FAILED', // twice beside tables that come and go
  'BACKUP_NOT_FOUND', // nothing was set aside, or no orders deleted, so far
  'VERIFY_FAILED', // safe-cleanup deletes nothing then
];

it(
  'makes nobody wait longer than the limit, and hangs nowhere',
  async () => {
    const random = randomOf(seed);
    process.stdout.write(`locks: seed ${seed}, ${minutes} minutes\n`);
    const outcomes: Record<string, Record<string, number>> = {};
    const unexpected: string[] = [];
    let longestMs = 0;
    let hangs = 0;
    const pressure = startPressure(shop.connection, clusterConnection(), random);
    const names = Object.keys(commands);
    const end = performance.now() + minutes * 60_000;
    for (let turn = 0; performance.now() < end; turn += 1) {
      const name = names[Math.floor(random() * names.length)] ?? '';
      pressure.running(name);
      const since = performance.now();
      const outcome = await endOf(commands[name]?.() ?? Promise.resolve());
      longestMs = Math.max(longestMs, performance.now() - since);
      const counts = (outcomes[name] ??= {});
      counts[outcome.code] = (counts[outcome.code] ?? 0) + 1;
      if (outcome.code === 'hang') hangs += 1;
      if (outcome.unexpected !== undefined) unexpected.push(`${name}: ${outcome.unexpected}`);
      if (hangs > 0) break;
    }
    const felt = await pressure.stop();
    const mix = {seed, minutes, lockWaitMs, outcomes, hangs, longestMs, felt};
    process.stdout.write(`${describeMix(mix)}\n`);
    if (isLong) await writeMix(mix);
    expect(unexpected).toEqual([]);
    expect(hangs).toBe(0);
    expect(felt.behindWaitingMs).toBeLessThan(lockWaitMs + overheadMs);
    for (const name of ['orders:clean', 'orders:clean --no-backup', 'orders:restore'])
      expect(felt.behindUsMs[name] ?? 0, name).toBeLessThan(lockWaitMs + overheadMs);
  },
  minutes * 60_000 + 2 * hangMs,
);

async function endOf(command: Promise<unknown>): Promise<{code: string; unexpected?: string}> {
  let timer: NodeJS.Timeout | undefined;
  const hang = new Promise<{code: string}>((resolve) => {
    timer = setTimeout(() => resolve({code: 'hang'}), hangMs);
  });
  const ended = command.then(
    () => ({code: 'done'}),
    (error: unknown) => {
      const code = error instanceof AppError ? error.code : 'UNEXPECTED';
      const details = error instanceof AppError ? error.details.join('; ') : '';
      const text = `${String(error)} ${details}`;
      if (!refusals.includes(code)) return {code, unexpected: text};
      if (isLong) process.stdout.write(`${code}: ${text}\n`);
      return {code};
    },
  );
  return Promise.race([ended, hang]).finally(() => clearTimeout(timer));
}
