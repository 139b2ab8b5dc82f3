import {existsSync} from 'node:fs';
import {rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {afterAll, beforeAll, expect, it} from 'vitest';
import {runCli, tempFolder} from '../support/run-cli.js';
import {createTempDatabase, dropDatabase, onServer, type TempDatabase} from '../support/temp-database.js';

let database: TempDatabase;
let folder: string;
const cli = (...args: readonly string[]) => runCli(args, {cwd: folder, env: {DIRECT_URL: database.url}});

async function setHook(name: string, script: string, timeoutSeconds = 60): Promise<void> {
  const hooks = {[name]: {argv: ['/bin/sh', '-c', script], timeoutSeconds}};
  await writeFile(join(folder, 'destino-db.config.json'), JSON.stringify({hooks}));
}

const setAside = async (): Promise<string[]> => {
  const rows = await onServer((session) =>
    session.query('SELECT datname FROM pg_database WHERE starts_with(datname, $1)', [`${database.name}_`]),
  );
  return rows.map((row) => row['datname'] ?? '');
};
const notes = async (): Promise<unknown> => (await database.query('SELECT note FROM public.state'))[0];

beforeAll(async () => {
  folder = await tempFolder();
  database = await createTempDatabase('template0');
  await database.run(`CREATE TABLE public.state AS SELECT 'old' AS note`);
  await setHook('beforeDump', 'echo "paused: $PGPASSWORD"; exit 7');
});

afterAll(async () => {
  for (const name of await setAside()) await dropDatabase(name);
  await database.drop();
  await rm(folder, {recursive: true, force: true});
});

it('a failing hook stops the backup with its code and prints its output without the password', async () => {
  const password = database.connection.password ?? '';
  const run = await cli('backup');
  expect(run.status).toBe(1);
  expect(run.stderr).toContain('Run the hook beforeDump: paused: ***');
  expect(run.stderr).toContain('The hook beforeDump (/bin/sh) failed');
  const json = await cli('backup', '--json');
  expect(json.json()).toMatchObject({error: {code: 'HOOK_FAILED', exitCode: 1}});
  const history = await cli('history', '--json');
  expect(history.json()).toMatchObject({runs: [{errorCode: 'HOOK_FAILED'}, {errorCode: 'HOOK_FAILED'}]});
  for (const text of [run.stdout, run.stderr, json.stdout, history.stdout])
    expect(text).not.toContain(password);
  expect(existsSync(join(folder, 'backups/database'))).toBe(false);
});

it('a dry run runs no hook', async () => {
  expect(await cli('backup', '--dry-run')).toMatchObject({status: 0});
});

it('a hook before the swap can stop a restore, which leaves the old database, and sees the new one', async () => {
  await setHook('beforeSwap', 'true');
  expect(await cli('backup')).toMatchObject({status: 0});
  await database.run(`UPDATE public.state SET note = 'new'`);
  const restore = ['restore', 'latest', '--drop-existing', '--yes'];
  await setHook('beforeSwap', 'exit 3');
  expect((await cli(...restore, '--json')).json()).toMatchObject({error: {code: 'HOOK_FAILED', exitCode: 1}});
  await setHook('beforeSwap', 'sleep 600', 1);
  expect((await cli(...restore, '--json')).json()).toMatchObject({
    error: {code: 'HOOK_TIMEOUT', exitCode: 1},
  });
  expect(await notes()).toEqual({note: 'new'});
  expect(await setAside()).toEqual([]);
  await setHook('beforeSwap', 'echo "$DESTINO_DB_HOOK of $DESTINO_DB_HOOK_TARGET in $PGDATABASE"');
  const done = await cli(...restore);
  expect(done.stderr + done.stdout).toMatch(
    new RegExp(`beforeSwap of ${database.name} in ${database.name}_\\w+`),
  );
  expect(done.status).toBe(0);
  expect(await notes()).toEqual({note: 'old'});
});
