import {type ChildProcess, execFileSync, spawn} from 'node:child_process';
import {mkdir, readdir, readFile, rm} from 'node:fs/promises';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {afterAll, beforeAll, beforeEach, describe, expect, it} from 'vitest';
import {z} from 'zod';
import {descendants, processState, until} from '../support/observe.js';
import {requirePrograms} from '../support/require-programs.js';
import {withAppSession} from '../support/app-session.js';
import {type CliResult, runCli, tempFolder} from '../support/run-cli.js';
import {createTempDatabase, onServer, type TempDatabase, urlOf} from '../support/temp-database.js';
import {cases} from '../support/long-form.js';

const program = fileURLToPath(new URL('../../bin/run.js', import.meta.url));
let shop: TempDatabase;
let folder: string;

beforeAll(async () => {
  requirePrograms('ps');
  shop = await createTempDatabase();
});
afterAll(() => shop.drop());
beforeEach(async () => {
  folder = await tempFolder();
  return () => rm(folder, {recursive: true, force: true});
});

const names = async (): Promise<string[]> => readdir(join(folder, 'backups', 'database')).catch(() => []);
const backup = (args: readonly string[], onStart?: (child: ChildProcess) => void) =>
  runCli(['backup', ...args], {
    cwd: folder,
    env: {DIRECT_URL: shop.url, DATABASE_URL: 'postgresql://u:p@127.0.0.1:6543/pooled?pgbouncer=true'},
    ...(onStart ? {onStart} : {}),
  });

/** Runs bash with the program as "$0" "$@", for limits and pipes. */
async function inShell(script: string): Promise<{status: unknown; stdout: string; stderr: string}> {
  const child = spawn('/bin/bash', ['-c', script, process.execPath, program, 'backup', '--json'], {
    cwd: folder,
    env: {PATH: process.env['PATH'], DIRECT_URL: shop.url},
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const output = {stdout: '', stderr: ''};
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (output.stdout += chunk));
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (output.stderr += chunk));
  return {status: await new Promise((resolve) => child.once('close', resolve)), ...output};
}

/** Holds an exclusive lock on a table while `work` runs, so that pg_dump waits at a known point. */
async function whileLocked<T>(work: () => Promise<T>): Promise<T> {
  return withAppSession(shop.connection, async (session) => {
    await session.query('BEGIN');
    await session.query('LOCK TABLE refunds IN ACCESS EXCLUSIVE MODE');
    try {
      return await work();
    } finally {
      await session.query('ROLLBACK');
    }
  });
}

/** @param running the program; it is a failure if it ends first */
async function untilDumpWaits(running: Promise<CliResult>): Promise<void> {
  const ended = running.then((result) => {
    throw new Error(`ended before it dumped: ${result.stdout}${result.stderr}`);
  });
  await Promise.race([ended, dumpWaits()]);
}

async function dumpWaits(): Promise<void> {
  for (;;) {
    const rows = await onServer((session) =>
      session.query(
        "SELECT pid FROM pg_stat_activity WHERE datname = $1 AND wait_event_type = 'Lock' AND query LIKE 'LOCK TABLE%'",
        [shop.name],
      ),
    );
    if (rows.length > 0) return;
  }
}

describe('destino-db backup', () => {
  it('prints one JSON document with the fields of its contract and exits 0', async () => {
    const result = await backup(['--json']);
    expect(result.status).toBe(0);
    const document = z
      .object({
        schemaVersion: z.literal(1),
        id: z.string(),
        path: z.string(),
        metadataPath: z.string(),
        database: z.literal(shop.name),
        format: z.literal('custom'),
        size: z.int().positive(),
        duration: z.int().positive(),
        sha256: z.string().length(64),
        tables: z.array(z.object({table: z.string(), rows: z.int(), fingerprint: z.string()})).min(15),
        verification: z.object({level: z.literal('archive'), ok: z.literal(true)}),
        pruned: z.array(z.unknown()),
        warnings: z.array(z.string()),
      })
      .parse(result.json());
    expect(await names()).toEqual([`${document.id}.dump`, `${document.id}.metadata.json`]);
    expect(result.stderr).toBe('');
  });

  it('prints nothing with --quiet, so that cron sends no mail', async () => {
    expect(await backup(['--quiet'])).toMatchObject({status: 0, stdout: '', stderr: ''});
  });

  it('prints each step once, dated and without escape codes, without a terminal', async () => {
    const result = await backup([]);
    expect(result.stderr).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ Look at the database: .* in \d/);
    expect(result.stderr.match(/Dump: .* in \d/g)).toHaveLength(1);
    expect(result.stdout + result.stderr).not.toMatch(/\u001b/);
    expect(result.stdout).toContain('destino-db verify ');
  });

  it('prints one JSON document on failure too, with code, hint and exit code', async () => {
    const result = await runCli(['backup', '--json'], {
      cwd: folder,
      env: {DIRECT_URL: urlOf({...shop.connection, password: 'wrong-secret'})},
    });
    expect(result.status).toBe(3);
    const {error} = z
      .object({error: z.object({code: z.string(), message: z.string(), hint: z.string(), exitCode: z.int()})})
      .parse(result.json());
    expect(error).toMatchObject({code: 'AUTHENTICATION_FAILED', exitCode: 3});
    expect(result.stdout + result.stderr).not.toContain('wrong-secret');
  });

  it.each([
    ['--parallel-jobs', '0'],
    ['--format', 'tar'],
    ['--schema-only', '--data-only'],
    ['--retention-days', '0'],
    ['--nonsense'],
    ['--output-dir', ''],
    ['--label='],
  ])('refuses %s %s as a usage error', async (...args) => {
    const result = await backup(args);
    expect(result.status).toBe(2);
    expect(result.stderr).toMatch(/^Error USAGE/);
    expect(result.stderr).not.toContain('\\u');
    expect(await names()).toEqual([]);
  });

  it('refuses the pooler in DATABASE_URL, and says which variable to set', async () => {
    const result = await backup(['--use-database-url']);
    expect(result.status).toBe(3);
    expect(result.stderr).toContain('TRANSACTION_POOLER');
    expect(result.stderr).toContain('DIRECT_URL');
  });

  it('shows no password in the process list, not even one from a flag', async () => {
    // Programs of other tests have the password of "postgres" on their command lines.
    const [user, password] = [`watched_${shop.name}`, 'nobody-may-list-this'];
    await onServer((session) => session.query(`CREATE ROLE ${user} SUPERUSER LOGIN PASSWORD '${password}'`));
    const url = urlOf({...shop.connection, user, password});
    const listing = await whileLocked(async () => {
      let child: ChildProcess | undefined;
      const running = runCli(['backup', '--database-url', url, '--json'], {
        cwd: folder,
        onStart: (started) => (child = started),
      });
      await untilDumpWaits(running);
      const text = execFileSync('ps', ['-eo', 'pid,args'], {encoding: 'utf8'});
      const title = await readFile(`/proc/${child?.pid ?? 0}/cmdline`, 'utf8');
      child?.kill('SIGTERM');
      expect((await running).status).toBe(143);
      return text + title;
    });
    expect(listing).toContain('pg_dump');
    expect(listing).not.toContain(password);
    await onServer((session) => session.query(`DROP ROLE ${user}`));
  });

  it.each(cases(['directory', 'custom', 'sql'], 2))(
    'leaves no pg_dump running after SIGKILL of the program (%s)',
    async (format) => {
      await whileLocked(async () => {
        let child: ChildProcess | undefined;
        const running = backup([`--format=${format}`], (started) => (child = started));
        await untilDumpWaits(running);
        const dumps = await descendants(child?.pid ?? 0, 'pg_dump');
        expect(dumps.length).toBeGreaterThan(0);
        child?.kill('SIGKILL');
        const killedMs = performance.now();
        for (const pid of dumps)
          await until('pg_dump has ended', async () => [undefined, 'Z'].includes(await processState(pid)));
        expect(performance.now() - killedMs).toBeLessThan(20_000); // it waits for the lock for a minute
        await running;
      });
    },
  );

  const signals = [
    ['SIGTERM', 143],
    ['SIGINT', 130],
    ['SIGHUP', 143],
  ] as const;
  it.each(cases(signals))('on %s stops pg_dump, removes its work and exits %i', async (signal, status) => {
    await whileLocked(async () => {
      let child: ChildProcess | undefined;
      const running = backup([], (started) => (child = started));
      await untilDumpWaits(running);
      child?.kill(signal);
      expect((await running).status).toBe(status);
      expect(await names()).toEqual([]);
    });
  });

  it('leaves only a partial file after a kill, which is not a backup', async () => {
    await whileLocked(async () => {
      let child: ChildProcess | undefined;
      const running = backup([], (started) => (child = started));
      await untilDumpWaits(running);
      child?.kill('SIGKILL');
      await running;
    });
    const left = await names();
    expect(left).toHaveLength(1);
    expect(left[0]).toMatch(/\.partial$/);
  });

  it('reports DISK_FULL and leaves nothing when the disk fills up', async () => {
    // A limit of 8 kB on files simulates a full disk; the dump is larger.
    const result = await inShell('trap "" XFSZ; ulimit -f 8; exec "$0" "$@"');
    expect(JSON.parse(result.stdout)).toMatchObject({error: {code: 'DISK_FULL', exitCode: 3}});
    expect(result.status).toBe(3);
    expect(result.stdout).toContain('No backup was made.');
    expect(await names()).toEqual([]);
    // The next run must not warn of leftovers that were already removed.
    expect(await readdir(join(folder, 'backups', '.journal'))).toEqual([]);
  });

  it('leaves no dump without metadata when the metadata cannot be written', async () => {
    const {running, blocked} = await whileLocked(async () => {
      const started = backup([]);
      await untilDumpWaits(started);
      const [partial = ''] = await names();
      const metadata = partial.replace(/\.dump\.partial$/, '.metadata.json');
      // Renaming the metadata onto this folder fails, after the dump got its name.
      await mkdir(join(folder, 'backups', 'database', metadata, 'in-the-way'), {recursive: true});
      return {running: started, blocked: metadata};
    });
    expect((await running).stderr).toContain('No backup was made.');
    expect(await names()).toEqual([blocked]);
  });

  it('is quiet when its reader closes', async () => {
    const result = await inShell('"$0" "$@" | head -c 1 >/dev/null; exit ${PIPESTATUS[0]}');
    expect(result).toMatchObject({status: 0, stderr: ''});
  });
});
