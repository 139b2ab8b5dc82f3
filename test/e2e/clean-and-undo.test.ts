/** orders:clean and workflow:safe-cleanup as a user runs them: commands to paste, contradicting flags, and kills. */
import type {ChildProcess} from 'node:child_process';
import {readdir, rm} from 'node:fs/promises';
import {join} from 'node:path';
import {afterEach, beforeEach, describe, expect, it} from 'vitest';
import {readOrderSnapshot} from '../../src/lib/rows/file/read-order-snapshot.js';
import type {Session} from '../../src/lib/postgres/client.js';
import {withAppSession} from '../support/app-session.js';
import {runCli, tempFolder} from '../support/run-cli.js';
import {createTempDatabase, type TempDatabase} from '../support/temp-database.js';
import {contentOf} from '../support/write-order-backup.js';

let database: TempDatabase;
let folder: string;

beforeEach(async () => {
  database = await createTempDatabase();
  folder = await tempFolder();
});
afterEach(async () => {
  await Promise.all([database.drop(), rm(folder, {recursive: true, force: true})]);
});

function cli(args: string[], onStart?: (child: ChildProcess) => void) {
  return runCli(args, {cwd: folder, env: {DIRECT_URL: database.url}, ...(onStart ? {onStart} : {})});
}

/** Every order backup under its final name must be intact. */
async function readAllOrderBackups(): Promise<number> {
  const names = await readdir(join(folder, 'backups/order-cleanup')).catch(() => []);
  const finished = names.filter((name) => !name.endsWith('.partial'));
  const signal = new AbortController().signal;
  for (const name of finished) await readOrderSnapshot(join(folder, 'backups/order-cleanup', name), signal);
  return finished.length;
}

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

describe('a cleaning that is killed', () => {
  it.each([
    // [the point at which it stops, the lock that stops it there]
    ['before it locks the orders', 'LOCK TABLE orders IN EXCLUSIVE MODE'],
    ['when everything is deleted and nothing is committed', 'SELECT pg_advisory_lock(7)'],
  ])('%s leaves everything unchanged', async (_when, hold) => {
    await database.run(`
      CREATE FUNCTION stand_still() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_xact_lock(7); RETURN NULL; END $$;
      CREATE CONSTRAINT TRIGGER last AFTER DELETE ON catering_orders DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION stand_still();`);
    const before = await contentOf(database);
    await withAppSession(database.connection, (holder) =>
      withAppSession(database.connection, async (observer) => {
        await holder.query(`BEGIN; ${hold}`);
        let child: ChildProcess | undefined;
        const done = cli(['orders:clean', '--execute', '--yes'], (started) => (child = started));
        const pid = await waitUntilBlocked(observer);
        child?.kill('SIGKILL');
        expect((await done).signal).toBe('SIGKILL');
        await holder.query('ROLLBACK; SELECT pg_advisory_unlock_all()');
        await waitUntilGone(observer, pid);
      }),
    );
    expect(await contentOf(database)).toEqual(before);
    expect(await readAllOrderBackups()).toBe(0);
  });

  it('after the rows are deleted leaves the complete backup of them', async () => {
    const before = await contentOf(database);
    await withAppSession(database.connection, async (observer) => {
      let child: ChildProcess | undefined;
      const done = cli(['orders:clean', '--execute', '--yes'], (started) => (child = started));
      const count = async () => (await observer.query('SELECT count(*) AS n FROM orders'))[0]?.['n'];
      const all = await count();
      while ((await count()) === all);
      child?.kill('SIGKILL');
      await done;
    });
    expect(await readAllOrderBackups()).toBe(1);
    const restored = await cli(['orders:restore', '--backup-file', 'latest', '--execute', '--yes']);
    expect(restored.status).toBe(0);
    // The types are unchanged, however the file and the database write their names.
    expect(restored.stdout).not.toContain('Note');
    expect(await contentOf(database)).toEqual(before);
  });
});

describe('the command in a preview', () => {
  it('does what the preview showed, for every form of the preview', async () => {
    const {stdout} = await cli(['orders:clean', '-n', '--from', '2025-06-01']);
    const next = /Next: destino-db (.*)$/m.exec(stdout)?.[1] ?? '';
    expect(next).toMatch(/^orders:clean --from 2025-06-01 --execute --plan [0-9a-f]{16}$/);
    const done = await cli([...next.split(' '), '--yes']);
    expect(done.stderr + done.stdout).toContain('Deleted rows, by table');
    expect(done.status).toBe(0);
  });
});

describe('workflow:safe-cleanup', () => {
  it('names the database in the commands that undo it if the URL came from a flag, without the password', async () => {
    const result = await runCli(
      ['workflow:safe-cleanup', '--execute', '--yes', '--json', `--database-url=${database.url}`],
      {cwd: folder},
    );
    expect(result.status).toBe(0);
    const {undo} = result.json() as {undo: string[]};
    expect(undo).toHaveLength(2);
    for (const command of undo) {
      expect(command).toContain(`:***@${database.connection.host}`);
      expect(command).toContain(`/${database.name}`);
    }
  });

  it('refuses flags of a full backup that is not made, and names them', async () => {
    const {status, stderr} = await cli([
      'workflow:safe-cleanup',
      '--no-full-backup',
      '--no-verify',
      '--backup-format=sql',
    ]);
    expect(status).toBe(2);
    expect(stderr).toMatch(/--no-full-backup .*--no-verify and --backup-format/);
    // A tab in the parser's message is not an invalid character.
    expect((await cli(['orders:clean', '--batch-size=x'])).stderr).not.toContain('\\u');
  });

  it('refuses to delete after a full backup that is not verified, and names both flags', async () => {
    const {status, stderr} = await cli(['workflow:safe-cleanup', '--execute', '--no-verify', '--yes']);
    expect(status).toBe(2);
    expect(stderr).toMatch(/--execute .*--no-verify/);
    const preview = await cli(['workflow:safe-cleanup', '--no-verify']);
    expect(preview.stdout).toMatch(/workflow:safe-cleanup --execute --plan [0-9a-f]{16}$/m);
  });
});
