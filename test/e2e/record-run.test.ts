import {chmod, mkdir, readFile, rm, stat, writeFile} from 'node:fs/promises';
import {userInfo} from 'node:os';
import {join} from 'node:path';
import {afterAll, beforeAll, beforeEach, describe, expect, it} from 'vitest';
import {withAppSession} from '../support/app-session.js';
import {readHistory} from '../../src/lib/run/read-history.js';
import type {RunRecord} from '../../src/lib/run/run-record.js';
import {type LocalServer, startLocalServer} from '../support/local-server.js';
import {runCli, tempFolder} from '../support/run-cli.js';
import {createTempDatabase, type TempDatabase} from '../support/temp-database.js';

let shop: TempDatabase;
let folder: string;
let server: LocalServer;

beforeAll(async () => {
  shop = await createTempDatabase();
});
afterAll(() => shop.drop());
beforeEach(async () => {
  folder = await tempFolder();
  server = await startLocalServer();
  return async () => {
    await server.close();
    await rm(folder, {recursive: true, force: true});
  };
});

const run = (args: readonly string[], options: Parameters<typeof runCli>[1] = {}) =>
  runCli(args, {cwd: folder, env: {DIRECT_URL: shop.url}, ...options});
const history = async (): Promise<readonly RunRecord[]> => (await readHistory(join(folder, 'backups'))).runs;
const notifyConfig = (notifications: unknown): Promise<void> =>
  writeFile(join(folder, 'destino-db.config.json'), JSON.stringify({notifications}));

describe('a run that does work', () => {
  it('writes one line that says who did what, and pings start and success', async () => {
    await notifyConfig({targets: [{type: 'ping', url: `${server.url}/abc`}]});
    const made = (await run(['backup', '--json'])).json() as {id: string; size: number};
    expect(await history()).toMatchObject([
      {
        command: 'backup',
        mode: 'execute',
        outcome: 'ok',
        exitCode: 0,
        user: userInfo().username,
        database: {name: shop.name, host: shop.connection.host, port: shop.connection.port},
        backupId: made.id,
        size: made.size,
        format: 'custom',
        verifications: [{backupId: made.id, level: 'archive', ok: true}],
      },
    ]);
    const [line] = await history();
    expect(line?.database?.systemIdentifier).toMatch(/^\d+$/);
    expect(line?.rows).toBeGreaterThan(0);
    expect(server.received.map((request) => request.line)).toEqual([
      `POST /abc/start?rid=${line?.runId ?? ''}`,
      `POST /abc?rid=${line?.runId ?? ''}`,
    ]);
    expect((await stat(join(folder, 'backups', 'history.jsonl'))).mode & 0o777).toBe(0o600);
  });

  it('that raises an alarm is distinguished from a successful one', async () => {
    const shrinking = await createTempDatabase('template0');
    try {
      await shrinking.run('CREATE TABLE t AS SELECT n FROM generate_series(1, 100) AS n');
      const env = {DIRECT_URL: shrinking.url};
      await run(['backup'], {env});
      await shrinking.run('DELETE FROM t');
      expect((await run(['backup'], {env})).status).toBe(4);
      expect((await history()).map(({outcome, exitCode}) => [outcome, exitCode])).toEqual([
        ['ok', 0],
        ['alarm', 4],
      ]);
    } finally {
      await shrinking.drop();
    }
  });

  it('that fails records the reason, without the password, and pings fail with the log', async () => {
    await notifyConfig({targets: [{type: 'ping', url: `${server.url}/abc`}]});
    const url = shop.url.replace(/\/\/[^@]*@/, '//shop:hunter2@').replace(/\/t_\w+/, '/no_such_db');
    const failed = await run(['backup'], {env: {DIRECT_URL: url}});
    const [line] = await history();
    expect(line).toMatchObject({
      outcome: 'failed',
      exitCode: failed.status,
      database: {name: 'no_such_db'},
      backupId: null,
    });
    expect(line?.errorMessage).not.toBe('');
    expect(server.received.map((request) => request.line.replace(/\?.*/, ''))).toEqual([
      'POST /abc/start',
      'POST /abc/fail',
    ]);
    expect(server.received[1]?.body).toContain(line?.errorCode);
    expect(
      JSON.stringify(server.received) + (await readFile(join(folder, 'backups', 'history.jsonl'), 'utf8')),
    ).not.toContain('hunter2');
  });

  it('that is interrupted is recorded as such', async () => {
    await withAppSession(shop.connection, async (session) => {
      await session.query('BEGIN');
      await session.query('LOCK TABLE orders IN ACCESS EXCLUSIVE MODE');
      const stopped = await run(['backup'], {
        onStart: (child) => {
          // The first step shows that the work has started.
          child.stderr?.once('data', () => child.kill('SIGTERM'));
        },
      });
      expect(stopped.status).toBe(143);
      await session.query('ROLLBACK');
    });
    expect(await history()).toMatchObject([{outcome: 'interrupted', exitCode: 143, errorCode: 'TERMINATED'}]);
  });

  it('succeeds though one target hangs and another returns 500, with a warning for each', async () => {
    const [hanging, broken] = [await startLocalServer(() => undefined), await startLocalServer(() => 500)];
    await notifyConfig({
      timeoutSeconds: 3,
      targets: [hanging, broken].map(({url}) => ({type: 'ping', url: `${url}/token`, on: ['success']})),
    });
    const made = await run(['backup', '--json']);
    await Promise.all([hanging.close(), broken.close()]);
    expect(made.status).toBe(0);
    expect(made.json()).toMatchObject({schemaVersion: 1, database: shop.name});
    const warnings = made.stderr.split('\n').filter((text) => text.startsWith('Warning: '));
    expect(warnings.map((text) => text.replace(/^.*delivered: /, ''))).toEqual([
      'no answer within 3 s.',
      'it answered 500.',
    ]);
    expect(made.stderr).not.toContain('token');
    expect(await history()).toMatchObject([{outcome: 'ok'}]);
  });

  it('succeeds though the audit log cannot be written', async () => {
    await mkdir(join(folder, 'backups', 'history.jsonl'), {recursive: true});
    const made = await run(['backup']);
    expect(made.status).toBe(0);
    expect(made.stderr).toContain('Warning: The run is missing in the audit log: ');
  });

  it('records previews as such, which ping nobody, and creates no folder for them or for a wrong command', async () => {
    await notifyConfig({targets: [{type: 'ping', url: server.url}]});
    expect((await run(['backup', '--dry-run'])).status).toBe(0);
    expect((await run(['backup'], {env: {}})).status).toBe(2);
    await expect(stat(join(folder, 'backups'))).rejects.toThrow('ENOENT');
    await mkdir(join(folder, 'backups'));
    await run(['backup', '--dry-run']);
    await run(['backup'], {env: {}});
    expect(await history()).toMatchObject([
      {mode: 'preview', outcome: 'ok'},
      {mode: 'execute', outcome: 'failed', errorCode: 'NO_DATABASE_URL', database: null},
    ]);
    expect(server.received.map((request) => request.line.replace(/\?.*/, ''))).toEqual([
      'POST /start',
      'POST /fail',
      'POST /start',
      'POST /fail',
    ]);
  });
});

describe('status --notify', () => {
  it('runs the hook when a backup is too old, and not when all is well', async () => {
    const hook = join(folder, 'hook.sh');
    await writeFile(hook, '#!/bin/sh\necho "$DESTINO_DB_RUN_EVENT: $DESTINO_DB_RUN_LOG" >>"$1"\n');
    await chmod(hook, 0o700);
    await notifyConfig({targets: [{type: 'command', argv: [hook, join(folder, 'out')], on: ['stale']}]});
    const stale = await run(['status', '--notify', '--json']);
    expect(stale.status).toBe(4);
    expect(stale.json()).toMatchObject({ok: false, findings: [{code: 'NO_BACKUP'}], databases: []});
    expect(await readFile(join(folder, 'out'), 'utf8')).toBe(
      `stale: critical: There is no backup at all in ${join(folder, 'backups/database')}.\n`,
    );
    await run(['backup', '--quiet']);
    const well = await run(['status', '--notify', '--require', 'archive', '--nagios']);
    expect(well).toMatchObject({status: 0, stderr: ''});
    expect(well.stdout).toMatch(
      new RegExp(
        `^DESTINO OK - newest usable backups: ${shop.name} .* old \\| '${shop.name} age'=\\d+s;;93600 .*free=\\d+B\\n$`,
      ),
    );
    expect((await readFile(join(folder, 'out'), 'utf8')).split('\n')).toHaveLength(2);
    const unknown = await run(['status', '--nagios', '--max-age', 'soon']);
    expect(unknown).toMatchObject({status: 3, stderr: ''});
    expect(unknown.stdout).toMatch(/^DESTINO UNKNOWN - USAGE: .*\n$/);
    expect(await run(['status', '--nagios', '--max-age', '0s'])).toMatchObject({status: 2});
  });
});

describe('history', () => {
  it('filters by command, database, outcome, time and number, newest last', async () => {
    await run(['backup', '--quiet']);
    await run(['backup', '--quiet', '--label', 'second']);
    await run(['backup', '--quiet'], {env: {DIRECT_URL: shop.url.replace(/\/t_\w+/, '/no_such_db')}});
    const found = async (...args: string[]): Promise<readonly RunRecord[]> =>
      ((await run(['history', '--json', ...args])).json() as {runs: RunRecord[]}).runs;
    const all = await history();
    // These only read, so they can run in parallel.
    const answers = await Promise.all([
      found(),
      found('--limit', '1', '--database', shop.name),
      found('--failed'),
      found('--command', 'restore'),
      found('--since', '1h'),
      found('--since', '2999-01-01'),
    ]);
    expect(all).toHaveLength(3);
    expect(answers).toEqual([all, [all[1]], [all[2]], [], all, []]);
    const table = await run(['history', '--limit', '2']);
    expect(table.stdout).toMatch(/^STARTED \(UTC\) +COMMAND +DATABASE +OUTCOME +TOOK +WHAT\n/);
    expect(table.stdout).toContain('DATABASE_NOT_FOUND');
    expect(table.stdout).toContain('1 older run not shown; --limit shows more.');
  });
});
