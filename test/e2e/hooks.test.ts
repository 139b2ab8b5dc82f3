import {existsSync} from 'node:fs';
import {rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {afterAll, beforeAll, expect, it} from 'vitest';
import {runCli, tempFolder} from '../support/run-cli.js';
import {createTempDatabase, type TempDatabase} from '../support/temp-database.js';

let database: TempDatabase;
let folder: string;
const cli = (...args: readonly string[]) => runCli(args, {cwd: folder, env: {DIRECT_URL: database.url}});

beforeAll(async () => {
  folder = await tempFolder();
  database = await createTempDatabase('template0');
  const hooks = {beforeDump: {argv: ['/bin/sh', '-c', 'echo "paused: $PGPASSWORD"; exit 7']}};
  await writeFile(join(folder, 'destino-db.config.json'), JSON.stringify({hooks}));
});

afterAll(async () => {
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
