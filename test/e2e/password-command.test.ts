import {chmod, readdir, readFile, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {afterAll, beforeAll, expect, it} from 'vitest';
import {processState, until} from '../support/observe.js';
import {runCli, tempFolder} from '../support/run-cli.js';
import {createTempDatabase, type TempDatabase, urlOf} from '../support/temp-database.js';

let database: TempDatabase;
let folder: string;
let password: string;

/** A run without a password in its environment; the command gets the variables that it names. */
function cli(args: readonly string[], env: Record<string, string> = {}) {
  const url = urlOf({...database.connection, password: undefined});
  return runCli(args, {cwd: folder, env: {DIRECT_URL: url, PGPASSFILE: '/dev/null', ...env}});
}

async function setCommand(script: string, more: object = {}): Promise<void> {
  const file = join(folder, 'print-password');
  await writeFile(file, `#!/bin/sh\n${script}\n`);
  await chmod(file, 0o700);
  const config = {passwordCommand: {argv: [file, folder], ...more}};
  await writeFile(join(folder, 'destino-db.config.json'), JSON.stringify(config));
}

beforeAll(async () => {
  folder = await tempFolder();
  database = await createTempDatabase('template0');
  await database.run('CREATE TABLE public.orders AS SELECT 1 AS id');
  password = database.connection.password ?? '';
});

afterAll(async () => {
  await database.drop();
  await rm(folder, {recursive: true, force: true});
});

it('backs up with the password that a command prints, which is in no file and no output', async () => {
  expect(password).not.toBe('');
  await setCommand('echo run >>"$1/runs"; echo "$TOKEN_OF_DATABASE"; echo more; echo said >&2', {
    env: ['TOKEN_OF_DATABASE'],
  });
  const run = await cli(['backup', '--verbose'], {TOKEN_OF_DATABASE: password});
  expect(run.stderr).toContain('Verify');
  expect(run.status).toBe(0);
  expect(await readFile(join(folder, 'runs'), 'utf8')).toBe('run\n');
  const names = (await readdir(join(folder, 'backups'), {recursive: true, withFileTypes: true}))
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
  expect(names.length).toBeGreaterThan(2);
  const texts = await Promise.all(names.map((name) => readFile(name, 'latin1')));
  for (const text of [run.stdout, run.stderr, ...texts]) expect(text).not.toContain(password);
});

it('a command that hangs is ended with its children, with a code of its own', async () => {
  await setCommand('sleep 600 & echo $! >"$1/child"; wait', {timeoutSeconds: 2});
  const run = await cli(['backup', '--json']);
  expect(run.status).toBe(3);
  expect(run.json()).toMatchObject({error: {code: 'PASSWORD_COMMAND_TIMEOUT', exitCode: 3}});
  const child = Number(await readFile(join(folder, 'child'), 'utf8'));
  await until('the child has ended', async () => ['Z', undefined].includes(await processState(child)));
});

it.each([
  ['echo the token has expired >&2; exit 1', 'PASSWORD_COMMAND_FAILED', 'the token has expired'],
  ['echo', 'PASSWORD_COMMAND_FAILED', 'printed no password'],
  ['echo wrong-secret-4711', 'AUTHENTICATION_FAILED', 'passwordCommand of the config file'],
])('%s: %s', async (script, code, words) => {
  await setCommand(script);
  const run = await cli(['backup', '--json']);
  expect(run.json()).toMatchObject({error: {code, exitCode: 3}});
  expect(run.stdout).toContain(words);
  expect(run.stdout + run.stderr).not.toContain('wrong-secret-4711');
});
