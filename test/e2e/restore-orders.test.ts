/** orders:clean and orders:restore as a user runs them: one restores what the other deleted, and a kill leaves no intermediate state. */
import type {ChildProcess} from 'node:child_process';
import {rm} from 'node:fs/promises';
import {afterAll, beforeAll, describe, expect, it} from 'vitest';
import type {Session} from '../../src/lib/postgres/client.js';
import {withAppSession} from '../support/app-session.js';
import {runCli, tempFolder} from '../support/run-cli.js';
import {createTempDatabase, type TempDatabase} from '../support/temp-database.js';
import {contentOf} from '../support/write-order-backup.js';

let database: TempDatabase;
let folder: string;
let before: Awaited<ReturnType<typeof contentOf>>;
let cleaned: typeof before;

function cli(args: string[], onStart?: (child: ChildProcess) => void) {
  return runCli(args, {cwd: folder, env: {DIRECT_URL: database.url}, ...(onStart ? {onStart} : {})});
}

const restore = ['orders:restore', '--backup-file', 'latest'];

beforeAll(async () => {
  database = await createTempDatabase();
  folder = await tempFolder();
  before = await contentOf(database);
  const clean = await cli(['orders:clean', '--execute', '--yes', '--json']);
  expect(clean.stderr + clean.stdout).toContain('backupPath');
  expect(clean.status).toBe(0);
  cleaned = await contentOf(database);
  expect(cleaned['orders']?.length).toBeLessThan(before['orders']?.length ?? 0);
});

afterAll(async () => {
  await Promise.all([database.drop(), rm(folder, {recursive: true, force: true})]);
});

/** Resolves when a session of the program waits for a lock. It asks from outside, because statistics do not change inside a transaction. */
async function waitUntilBlocked(session: Session): Promise<string> {
  for (;;) {
    const [row] = await session.query(
      `SELECT pid::text FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'destino-db'
          AND wait_event_type = 'Lock' AND pid <> pg_backend_pid()`,
    );
    if (row?.['pid'] != null) return row['pid'];
  }
}

async function waitUntilGone(session: Session, pid: string): Promise<void> {
  while ((await session.query('SELECT 1 FROM pg_stat_activity WHERE pid = $1', [pid])).length > 0);
}

describe('a restore of orders that orders:clean deleted', () => {
  it('leaves everything unchanged when it is killed while it waits for its tables', async () => {
    await withAppSession(database.connection, (holder) =>
      withAppSession(database.connection, async (observer) => {
        await holder.query('BEGIN; LOCK TABLE order_items IN SHARE MODE');
        let child: ChildProcess | undefined;
        const done = cli([...restore, '--execute', '--yes'], (started) => (child = started));
        const pid = await waitUntilBlocked(observer);
        child?.kill('SIGKILL');
        expect((await done).signal).toBe('SIGKILL');
        await holder.query('ROLLBACK');
        await waitUntilGone(observer, pid);
      }),
    );
    expect(await contentOf(database)).toEqual(cleaned);
  });

  it('shows a preview of the restored rows, and the command that restores them', async () => {
    const {status, stdout} = await cli(restore);
    expect(status).toBe(0);
    expect(stdout).toContain('Preview:');
    expect(stdout).toMatch(/public\.orders +\d+ +0 +0/);
    expect(stdout).not.toContain('Note');
    // The previewed backup, even if it is not the newest one any more.
    expect(stdout).toMatch(/Next: destino-db orders:restore \/\S+\.json --execute/);
    expect(await contentOf(database)).toEqual(cleaned);
  });

  it('asks before it writes, and refuses without a terminal', async () => {
    const {status, stderr} = await cli([...restore, '--execute']);
    expect(status).toBe(5);
    expect(stderr).toContain('CONFIRMATION_NEEDED');
    expect(await contentOf(database)).toEqual(cleaned);
  });

  it('restores every byte and reports it as JSON', async () => {
    const result = await cli([...restore, '--execute', '--yes', '--json']);
    expect(result.status).toBe(0);
    expect(result.json()).toMatchObject({
      schemaVersion: 1,
      mode: 'execute',
      conflicts: [],
      tables: {'public.orders': {skipped: 0}},
    });
    expect(await contentOf(database)).toEqual(before);
  });

  it('is a usage error without a file, and with flags that contradict each other', async () => {
    expect((await cli(['orders:restore', '--json'])).json()).toMatchObject({
      error: {code: 'USAGE', exitCode: 2},
    });
    const both = await cli([...restore, '--dry-run', '--execute']);
    expect(both.status).toBe(2);
    expect(both.stderr).toMatch(/--dry-run.*--execute|--execute.*--dry-run/s);
  });
});
