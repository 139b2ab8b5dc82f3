import type {ChildProcess} from 'node:child_process';
import {readFile, rm, writeFile} from 'node:fs/promises';
import {afterAll, beforeAll, describe, expect, it} from 'vitest';
import {makeBackup} from '../support/make-backup.js';
import {until} from '../support/observe.js';
import {runCli, tempFolder} from '../support/run-cli.js';
import {createTempDatabase, onServer, type TempDatabase} from '../support/temp-database.js';
import {testContext} from '../support/test-context.js';

let database: TempDatabase;
let folder: string;
let backup: Awaited<ReturnType<typeof makeBackup>>;
const cli = (args: readonly string[]) =>
  runCli(['verify', ...args], {cwd: folder, env: {DIRECT_URL: database.url}});

beforeAll(async () => {
  folder = await tempFolder();
  database = await createTempDatabase();
  backup = await makeBackup(testContext(folder), database.connection, 'custom', '2025-06-01T03:00:00.000Z');
});

afterAll(async () => {
  await database.drop();
  await rm(folder, {recursive: true, force: true});
});

describe('destino-db verify', () => {
  it('runs a restore test of the newest backup and prints one JSON document', async () => {
    const result = await cli(['--level', 'restore', '--json']);
    expect(result.stderr).toBe('');
    expect(result.json()).toMatchObject({
      schemaVersion: 1,
      results: [{id: backup.record.id, level: 'restore', ok: true, findings: []}],
    });
    expect(result.status).toBe(0);
  });

  it('reports to people which backups are proven and what to do next', async () => {
    const result = await cli(['--latest']);
    expect(result.status).toBe(0);
    expect(result.stdout).toMatch(
      /^ok {4}shop-2025-06-01T03-00-00: every row read, counts and fingerprints as recorded, [\d,]+ rows/,
    );
    expect(result.stdout).toContain('Next: destino-db verify shop-2025-06-01T03-00-00 --level restore');
  });

  it('exits with 4 and names the damage, in JSON too', async () => {
    const bytes = await readFile(backup.path);
    const damaged = Buffer.from(bytes);
    damaged[damaged.length - 100] = (damaged[damaged.length - 100] ?? 0) ^ 1;
    try {
      await writeFile(backup.path, damaged);
      const result = await cli(['--all', '--json']);
      expect(result.status).toBe(4);
      expect(result.json()).toMatchObject({
        results: [{ok: false, findings: [expect.stringContaining('SHA-256')]}],
      });
    } finally {
      await writeFile(backup.path, bytes);
      await cli(['--all', '--level', 'checksum']);
    }
  });

  it.each([
    [['--latest', '--all'], /--all|--latest/],
    [['--scratch', 'local'], /--scratch needs --level restore/],
    [['--level', 'restore', '--scratch', 'same', '--scratch-url', 'postgresql://a@b/c'], /scratch/],
  ])('refuses %j as a usage error', async (args, message) => {
    const result = await cli(args);
    expect(result.status).toBe(2);
    expect(result.stderr).toMatch(message);
  });

  it('drops the scratch database after Ctrl-C and exits with 130', async () => {
    const slow = await createTempDatabase('template0');
    // Its index is never complete in a scratch database, so the restore is interrupted there.
    await slow.run(`CREATE TABLE slow AS SELECT 1 AS id;
      CREATE FUNCTION late(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$BEGIN
        IF pg_catalog.starts_with(pg_catalog.current_database(), 'destino_scratch_') THEN PERFORM pg_catalog.pg_sleep(600); END IF;
        RETURN $1; END$$;
      CREATE INDEX ON slow (public.late(id))`);
    const cwd = await tempFolder();
    await makeBackup(testContext(cwd), slow.connection, 'custom', '2025-06-01T03:00:00.000Z');
    /** Scratch databases of this backup; other tests have theirs on the same server. */
    const scratch = `SELECT oid FROM pg_database
      WHERE datname LIKE 'destino_scratch_%' AND shobj_description(oid, 'pg_database') LIKE '%"${slow.name}"%'`;
    const count = async (sql: string) => (await onServer((session) => session.query(sql))).length;
    let child: ChildProcess | undefined;
    const running = runCli(['verify', '--level', 'restore'], {
      cwd,
      env: {DIRECT_URL: slow.url},
      onStart: (started) => (child = started),
    });
    const waiting = `SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datid IN (${scratch})`;
    await until('the index is made', async () => (await count(waiting)) > 0);
    child?.kill('SIGINT');
    const result = await running;
    expect([result.status, result.stderr]).toEqual([130, expect.stringContaining('INTERRUPTED')]);
    expect(await count(scratch)).toBe(0);
    await slow.drop();
    await rm(cwd, {recursive: true});
  });
});
