/** Passwords that are not in the URL: read from libpq's file, typed in, or missing, as shown on the screen. */
import {rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {afterAll, beforeAll, expect, it} from 'vitest';
import {program, runCli, tempFolder} from '../support/run-cli.js';
import {answerInTerminal, plainText, screenOf} from '../support/terminal-picture.js';
import {createTempDatabase, type TempDatabase} from '../support/temp-database.js';

let home: string;
let database: TempDatabase;
let env: {HOME: string; DIRECT_URL: string};
let password: string;
beforeAll(async () => {
  home = await tempFolder();
  database = await createTempDatabase();
  const url = new URL(database.url);
  password = decodeURIComponent(url.password);
  url.password = '';
  env = {HOME: home, DIRECT_URL: url.href};
});
afterAll(async () => {
  await database.drop();
  await rm(home, {recursive: true, force: true});
});

it('a password in ~/.pgpass is used silently', async () => {
  await writeFile(join(home, '.pgpass'), `*:*:*:*:${password}\n`, {mode: 0o600});
  const {status, stdout, stderr} = await runCli(['backup', '--quiet'], {cwd: home, env});
  await rm(join(home, '.pgpass'));
  expect({status, stdout, stderr}).toEqual({status: 0, stdout: '', stderr: ''});
});

it('a missing password is reported with the line to write', async () => {
  const {status, stderr} = await runCli(['backup'], {cwd: home, env});
  expect(status).toBe(3);
  const {user, host, port} = database.connection;
  const error = stderr.slice(stderr.indexOf('Error'));
  expect(error).toBe(
    `Error AUTHENTICATION_FAILED: ${user}@${host}:${port}/${database.name} (DIRECT_URL) requires a password, and none was found. The password file ${home}/.pgpass does not exist.\n` +
      `Next: Add this line to ${home}/.pgpass (mode 0600): ${host}:${port}:${database.name}:${user}:PASSWORD. Or set PGPASSWORD, or write the password into the URL.\n`,
  );
});

it.each([0, 3])('asks for it on a terminal, and exits with %i', async (status) => {
  const answer = status === 0 ? password : 'wrong-word';
  const {user, host, port} = database.connection;
  const {before, after} = await answerInTerminal(
    `'${process.execPath}' '${program}' backup; echo "status $?"`,
    {cwd: home, env, question: `Password for ${user} at ${host}:${port}: `, answer},
  );
  expect(before + after).not.toContain(answer);
  const screen = plainText(await screenOf(before + after));
  expect(screen).toContain(`status ${status}`);
  if (status === 0)
    expect(
      screen
        .split('\n')
        .slice(0, 2)
        .map((line) => line.replace(/:.*/, '')),
    ).toEqual(['✔ Look at the database', '✔ Dump']);
  else expect(screen.replaceAll(/\s+/g, ' ')).toContain('the password came from the terminal');
});
