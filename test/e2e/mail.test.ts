import {rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {afterAll, beforeAll, expect, it} from 'vitest';
import {type LocalServer, startLocalServer} from '../support/local-server.js';
import {type MailServer, startMailServer} from '../support/mail-server.js';
import {runCli, tempFolder} from '../support/run-cli.js';
import {createTempDatabase, type TempDatabase} from '../support/temp-database.js';

let database: TempDatabase;
let folder: string;
let mail: MailServer;
let web: LocalServer;
const deadPort = 1;
const cli = (...args: readonly string[]) => runCli(args, {cwd: folder, env: {DIRECT_URL: database.url}});

const mailTo = (port: number, name: string) => ({
  type: 'mail',
  name,
  host: '127.0.0.1',
  port,
  security: 'none',
  from: 'shop@example.com',
  to: ['ops@example.com'],
});

async function setTargets(...targets: readonly object[]): Promise<void> {
  const config = {notifications: {timeoutSeconds: 5, targets}};
  await writeFile(join(folder, 'destino-db.config.json'), JSON.stringify(config));
}

beforeAll(async () => {
  folder = await tempFolder();
  database = await createTempDatabase('template0');
  mail = await startMailServer();
  web = await startLocalServer();
});

afterAll(async () => {
  await mail.close();
  await web.close();
  await database.drop();
  await rm(folder, {recursive: true, force: true});
});

it('a run succeeds although a mail server is dead, says so, and reaches the other one', async () => {
  const on = ['success'];
  await setTargets({...mailTo(deadPort, 'dead'), on}, {...mailTo(mail.port, 'alive'), on});
  const run = await cli('backup');
  expect(run.status).toBe(0);
  expect(run.stderr).toMatch(
    /Warning: The notification "dead" \(127\.0\.0\.1:\d+\) of success was not\s+delivered: .*\(MAIL_UNREACHABLE\)/s,
  );
  expect(mail.received.length).toBe(1);
  expect(mail.received[0]).toContain(`database: ${database.name}`);
});

it('notifications --test reports which test messages arrived', async () => {
  const ping = {type: 'ping', name: 'monitor', url: `${web.url}/token-4711`};
  const command = {type: 'command', name: 'pager', argv: ['/bin/sh', '-c', 'exit 1']};
  await setTargets(mailTo(mail.port, 'alive'), mailTo(deadPort, 'dead'), ping, command);
  const run = await cli('notifications', '--test', '--json');
  expect(run.status).toBe(1);
  expect(run.json()).toMatchObject({
    targets: [
      {name: 'alive', type: 'mail', ok: true, code: null, on: ['failure', 'alarm', 'stale']},
      {name: 'dead', ok: false, code: 'MAIL_UNREACHABLE'},
      {name: 'monitor', ok: true, address: `${web.url}/***`},
      {name: 'pager', ok: false, code: 'TOOL_FAILED'},
    ],
  });
  expect(mail.received.at(-1)).toContain('Test message of destino-db');
  expect(web.received.at(-1)?.line).toBe('POST /token-4711/log');

  const shown = await cli('notifications', '--test');
  expect(shown.stdout).toMatch(/ok +alive/);
  expect(shown.stdout).toMatch(/FAIL +dead/);
  expect(shown.stdout).not.toContain('token-4711');
});

it('notifications lists the targets and sends nothing, and needs one', async () => {
  const before = mail.received.length;
  await setTargets(mailTo(mail.port, 'alive'));
  const run = await cli('notifications');
  expect(run.stdout).toContain('failure, alarm, stale');
  expect(run.status).toBe(0);
  expect(mail.received.length).toBe(before);
  await setTargets();
  expect(await cli('notifications', '--test')).toMatchObject({status: 2});
});
