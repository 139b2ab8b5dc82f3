import {rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {afterAll, beforeAll, expect, it} from 'vitest';
import {makeBackup} from '../support/make-backup.js';
import {runCli, tempFolder} from '../support/run-cli.js';
import {createTempDatabase, type TempDatabase} from '../support/temp-database.js';
import {testContext} from '../support/test-context.js';

let database: TempDatabase;
let folder: string;
const cli = (...args: readonly string[]) =>
  runCli(args, {
    cwd: folder,
    env: {DIRECT_URL: database.url, DESTINO_DB_METRICS_FILE: join(folder, 'metrics')},
  });

const setChecks = (...checks: readonly object[]): Promise<void> =>
  writeFile(join(folder, 'destino-db.config.json'), JSON.stringify({verify: {checks}}));

beforeAll(async () => {
  folder = await tempFolder();
  database = await createTempDatabase('template0');
  await database.run('CREATE TABLE public.orders AS SELECT i AS id FROM generate_series(1, 3) i');
  const now = new Date().toISOString();
  await makeBackup(testContext(folder), database.connection, 'custom', now);
});

afterAll(async () => {
  await database.drop();
  await rm(folder, {recursive: true, force: true});
});

it('a failing check fails the restore test, is in status, history and metrics, and leaves the backup usable', async () => {
  await setChecks({name: 'enough orders', sql: 'SELECT count(*) FROM public.orders', expect: {atLeast: 4}});
  const tested = await cli('verify', '--level', 'restore', '--json');
  expect(tested.status).toBe(4);
  const finding = 'The check "enough orders" failed: it returned 3, expected at least 4.';
  expect(tested.json()).toMatchObject({
    results: [{outcome: 'failed', code: 'CHECK_FAILED', findings: [finding], checks: [{outcome: 'failed'}]}],
    live: null,
  });

  const status = await cli('status', '--json');
  expect(status.status).toBe(4);
  expect(status.json()).toMatchObject({
    findings: [
      {code: 'CHECK_FAILED', severity: 'critical', message: expect.stringContaining(finding) as unknown},
    ],
    databases: [{newest: {proof: 'restore'}, backups: {restore: 1, damaged: 0}}],
  });
  expect((await cli('list', '--json')).json()).toMatchObject({backups: [{verification: {ok: true}}]});
  expect((await cli('history')).stdout).toContain(finding.slice(0, -1));
  expect((await cli('show', 'latest')).stdout).toContain(finding);
  expect((await cli('report', '--json')).json()).toMatchObject({failedChecks: [{findings: [finding]}]});
  expect((await cli('prune', '--keep-last', '1', '--dry-run', '--json')).json()).toMatchObject({
    kept: [{}],
    removed: [],
    setAside: null,
  });
});

it('checks of the live database print what failed, and exit with 4, 3 or 0', async () => {
  const count = 'SELECT count(*) FROM public.orders';
  await setChecks({name: 'enough orders', sql: count, expect: {atLeast: 4}});
  const failed = await cli('verify', '--checks-live');
  expect(failed.stdout).toContain('The check "enough orders" failed: it returned 3, expected at least 4.');
  expect(failed.status).toBe(4);

  await setChecks({name: 'typo', sql: 'SELECT count(*) FROM orders', expect: {atLeast: 1}});
  expect(await cli('verify', '--checks-live', '--json')).toMatchObject({status: 3});

  await setChecks({name: 'enough orders', sql: count, expect: {atLeast: 3}});
  const passed = await cli('verify', '--checks-live');
  expect(passed.stdout).toMatch(/^ok .*, 1 of 1 check passed$/m);
  expect(passed.status).toBe(0);
});

it('refuses a backup, a level and a scratch server together with --checks-live', async () => {
  for (const flags of [['latest'], ['--latest'], ['--level', 'restore'], ['--scratch', 'local']])
    expect(await cli('verify', '--checks-live', ...flags)).toMatchObject({status: 2});
});
