/** restore and undo from a shell: documents, exit codes, questions, and no password anywhere. */
import {rm} from 'node:fs/promises';
import {afterAll, beforeAll, expect, it} from 'vitest';
import {makeDump} from '../support/make-dump.js';
import {runCli, tempFolder} from '../support/run-cli.js';
import {createTempDatabase, dropDatabase, onServer, type TempDatabase} from '../support/temp-database.js';

let folder: string;
let live: TempDatabase;

const run = (...args: string[]) => runCli(args, {cwd: folder, env: {DIRECT_URL: live.url}});

beforeAll(async () => {
  folder = await tempFolder();
  live = await createTempDatabase('template0');
  await live.run(`CREATE TABLE state (id int PRIMARY KEY); INSERT INTO state VALUES (1), (2)`);
  await makeDump(live.connection, folder, 'custom', {name: 'state.dump'});
  await live.run('INSERT INTO state VALUES (3); DELETE FROM state WHERE id = 1');
});

afterAll(async () => {
  const rows = await onServer((session) =>
    session.query('SELECT datname FROM pg_database WHERE starts_with(datname, $1)', [live.name]),
  );
  for (const row of rows) await dropDatabase(row['datname'] ?? '');
  await rm(folder, {recursive: true, force: true});
});

it('accepts a time without a zone in UTC, like the times in list, and no day that does not exist', async () => {
  const env = {DIRECT_URL: live.url, TZ: 'America/Los_Angeles'};
  const at = (time: string) => runCli(['restore', '--at', time], {cwd: folder, env});
  expect((await at('2001-02-28 03:00')).stderr).toContain('at or before 2001-02-28T03:00:59.999Z');
  expect((await at('2001-02-28 03:00:05')).stderr).toContain('at or before 2001-02-28T03:00:05.999Z');
  expect((await at('2001-02-28T03:00:05.5Z')).stderr).toContain('at or before 2001-02-28T03:00:05.500Z');
  expect((await at('2001-02-28')).stderr).toContain('at or before 2001-02-28T23:59:59.999Z');
  expect((await at('2001-02-31')).status).toBe(2);
});

it('previews, refuses, swaps and undoes', async () => {
  const swap = ['restore', '--backup-file', 'state.dump', '--drop-existing'];
  const password = new URL(live.url).password;
  const outputs: string[] = [];
  const step = async (...args: string[]) => {
    const result = await run(...args);
    outputs.push(result.stdout, result.stderr);
    return result;
  };

  const preview = await step(...swap, '--dry-run', '--details');
  expect(preview.status).toBe(0);
  expect(preview.stdout).toMatch(/public\.state +1 +1 +0/);
  expect(preview.stdout).toContain('lost: public.state (id) 3');
  expect(preview.stdout).toContain('comes back: public.state (id) 1');
  expect(preview.stdout).toContain('--dbname=');

  const refused = await step('restore', '--backup-file', 'state.dump', '--json');
  expect(refused.status).toBe(5);
  expect(refused.json()).toMatchObject({error: {code: 'TARGET_NOT_EMPTY', exitCode: 5}});

  const unasked = await step(...swap);
  expect(unasked.status).toBe(5);
  expect(unasked.stderr).toContain('CONFIRMATION_NEEDED');

  const contradiction = await step(...swap, '--clean');
  expect(contradiction.status).toBe(2);
  expect(contradiction.stderr).toMatch(/--clean contradicts --drop-existing/);

  const done = await step(...swap, '--yes', '--json');
  expect(done.status).toBe(0);
  const document = done.json();
  expect(document).toMatchObject({
    schemaVersion: 1,
    mode: 'execute',
    backup: 'state.dump',
    target: live.name,
    tables: [{table: 'public.state', rows: 2}],
    setAside: expect.stringContaining(`${live.name}_before_`) as string,
    errors: [],
  });
  expect(await live.query('SELECT id FROM state ORDER BY id')).toEqual([{id: '1'}, {id: '2'}]);

  const undone = await step('undo', '--yes');
  expect(undone.status).toBe(0);
  expect(undone.stdout).toContain('Take this back');
  expect(await live.query('SELECT id FROM state ORDER BY id')).toEqual([{id: '2'}, {id: '3'}]);
  for (const output of outputs) expect(output).not.toContain(password);
});
