/** Mail in a real SMTP conversation: what arrives, and the code for each way in which it does not. */
import {rm} from 'node:fs/promises';
import {createServer, type Server} from 'node:net';
import {once} from 'node:events';
import {afterAll, beforeAll, expect, it} from 'vitest';
import {endNotice} from '../../../../src/lib/services/status/notice.js';
import {notify} from '../../../../src/lib/services/status/notify.js';
import {environmentOf} from '../../../../src/lib/settings/environment.js';
import {notificationsConfig} from '../../../../src/lib/settings/notifications-config.js';
import {type Certificates, makeCertificates} from '../../../support/certificates.js';
import {type MailServer, startMailServer} from '../../../support/mail-server.js';
import {freePort} from '../../../support/ports.js';
import {tempFolder} from '../../../support/run-cli.js';
import {sampleRun} from '../../../support/sample-run.js';

const password = 'mail-pässword-4711';
let folder: string;
let certificates: Certificates;
let plain: MailServer;
let secure: MailServer;
let silent: Server;

beforeAll(async () => {
  folder = await tempFolder();
  certificates = await makeCertificates(folder, 'shop');
  plain = await startMailServer();
  secure = await startMailServer({certificates, login: {user: 'shop', password}});
  silent = createServer().listen(0, '127.0.0.1');
  await once(silent, 'listening');
});

afterAll(async () => {
  await plain.close();
  await secure.close();
  silent.close();
  await rm(folder, {recursive: true, force: true});
});

const failed = sampleRun({
  outcome: 'failed',
  exitCode: 3,
  errorCode: 'CONNECTION_REFUSED',
  errorMessage:
    'Nothing answers at postgresql://shop:hunter2@db.example:5432/shop.\r\nBcc: victim@example.com',
});

/** The warnings of one notification by mail. */
function send(target: object, env: Record<string, string> = {}): Promise<string[]> {
  const base = {
    type: 'mail',
    host: 'localhost',
    from: 'shop@example.com',
    to: ['ops@example.com', 'Owner <owner@example.com>'],
  };
  const config = notificationsConfig.parse({timeoutSeconds: 2, targets: [{...base, ...target}]});
  const environment = environmentOf([{origin: 'environment', values: env}]);
  return notify(endNotice(failed, ['pg_dump: error: PGPASSWORD=hunter3']), {config, environment});
}

const login = () => ({
  port: secure.port,
  user: 'shop',
  passwordEnv: 'MAIL_PASSWORD',
  caFile: certificates.rootCert,
});

it('sends subject, facts and log to every receiver, without secrets and without headers from a message', async () => {
  expect(await send({port: plain.port, security: 'none'})).toEqual([]);
  const [message = ''] = plain.received;
  expect(message).toContain('From: shop@example.com');
  expect(message).toContain('To: ops@example.com, Owner <owner@example.com>');
  expect(message).toMatch(/^Subject: destino-db: backup of /m);
  expect(message).toContain('errorCode: CONNECTION_REFUSED');
  expect(message).toContain('pg_dump: error:');
  expect(message.split('\r\n\r\n')[0]).not.toMatch(/^Bcc:/m);
  expect(message).not.toMatch(/hunter[23]/);
});

it('logs in over STARTTLS', async () => {
  expect(await send(login(), {MAIL_PASSWORD: password})).toEqual([]);
  expect(secure.received.length).toBe(1);
});

it.each([
  ['a dead server', async () => ({port: await freePort(), security: 'none'}), {}, 'MAIL_UNREACHABLE'],
  ['a server that never answers', () => ({port: portOf(silent), security: 'none'}), {}, 'MAIL_UNREACHABLE'],
  ['a wrong password', login, {MAIL_PASSWORD: 'wrong-4712'}, 'MAIL_LOGIN_FAILED'],
  [
    'an unknown authority',
    () => {
      const {caFile: _, ...others} = login();
      return others;
    },
    {MAIL_PASSWORD: password},
    'MAIL_TLS_FAILED',
  ],
  [
    'another name in the certificate',
    () => ({...login(), host: '127.0.0.1'}),
    {MAIL_PASSWORD: password},
    'MAIL_TLS_FAILED',
  ],
  ['a server without STARTTLS', () => ({port: plain.port}), {}, 'MAIL_TLS_FAILED'],
  [
    'a refused receiver',
    () => ({port: plain.port, security: 'none', to: ['nobody@example.com']}),
    {},
    'MAIL_REFUSED',
  ],
] as const)('%s is a warning with a code, without the password', async (_what, target, env, code) => {
  const [warning = '', ...others] = await send(await target(), env);
  expect(others).toEqual([]);
  expect(warning).toContain(`(${code})`);
  expect(warning).toMatch(/^The notification "mail" \([\w.]+:\d+\) of failure was not delivered: /);
  expect(warning).not.toContain('4711');
  expect(warning).not.toContain('4712');
});

it('a password that is not set is a warning', async () => {
  expect(await send(login())).toEqual([expect.stringContaining('MAIL_PASSWORD is not set')]);
});

it.each([
  [{user: 'shop'}, 'user and passwordEnv go together'],
  [{user: 'shop', passwordEnv: 'P', security: 'none'}, 'would send the password unencrypted'],
])('refuses %j in the config file', async (target, words) => {
  await expect((async () => send(target))()).rejects.toThrow(words);
});

function portOf(server: Server): number {
  const address = server.address();
  return typeof address === 'object' ? (address?.port ?? 0) : 0;
}
