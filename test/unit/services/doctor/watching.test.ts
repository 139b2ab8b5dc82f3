/** The checks of the plan and of the notifications notify nobody. */
import {chmod, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {beforeEach, expect, it} from 'vitest';
import {AppError} from '../../../../src/lib/base/errors.js';
import {checkWatching} from '../../../../src/lib/services/doctor/watching.js';
import type {Config} from '../../../../src/lib/settings/config-schema.js';
import {type LocalServer, startLocalServer} from '../../../support/local-server.js';
import {tempFolder} from '../../../support/run-cli.js';
import {testContext} from '../../../support/test-context.js';

let folder: string;
let server: LocalServer;
beforeEach(async () => {
  folder = await tempFolder();
  server = await startLocalServer();
  return async () => {
    await server.close();
    await rm(folder, {recursive: true});
  };
});

const noBakup = ([command]: readonly string[]): Promise<AppError | undefined> =>
  Promise.resolve(command === 'bakup' ? new AppError('USAGE', 'There is no command "bakup".') : undefined);

async function check(config: Config, env: Record<string, string> = {}): Promise<string[]> {
  const checks = await checkWatching(testContext(folder, {settings: {config}, env}), noBakup);
  return checks.map(
    ({name, ok, needed, message}) => `${ok ? 'ok' : needed ? 'FAIL' : 'warn'} ${name}: ${message}`,
  );
}

it.each<[string[], RegExp]>([
  [['daily custom', 'daily sql'], /^ok plan: 2 jobs, times in UTC$/],
  [['daily custom at 02:00', 'weekly sql at 02:00'], /^warn plan: Jobs of the plan start in the same minute/],
  [['dialy custom'], /^FAIL plan: .*did you mean "daily"/],
  [
    ['daily run bakup'],
    /^FAIL plan: The schedule's "daily run bakup" cannot run: There is no command "bakup"\.$/,
  ],
])('the plan %j', async (plan, expected) => {
  expect(await check({schedule: {plan, timeZone: 'UTC'}})).toEqual([expect.stringMatching(expected)]);
});

it('checks whether each target is reachable, and sends nothing', async () => {
  const gone = await startLocalServer();
  await gone.close();
  const hook = join(folder, 'hook');
  await writeFile(hook, '#!/bin/sh\n');
  const targets = [
    {type: 'ping', url: `${server.url}/token`},
    {type: 'webhook', urlEnv: 'CHAT_URL', name: 'chat'},
    {type: 'webhook', urlEnv: 'UNSET_URL'},
    {type: 'webhook', urlEnv: 'WRONG_URL'},
    {type: 'command', argv: ['./hook']},
    {type: 'command', argv: ['no-such-program', 'backups']},
  ] as const;
  const config = {notifications: {targets: targets.map((target) => ({...target}))}} as unknown as Config;
  const env = {CHAT_URL: `${gone.url}/token`, WRONG_URL: 'chat.example/token'};
  const lines = await check(config, env);
  await chmod(hook, 0o700);
  expect([...lines, (await check(config, env))[4]]).toEqual([
    `ok notification: "ping": ${server.url} can be reached; nothing was sent`,
    `warn notification: "chat": ${gone.url} cannot be reached (ECONNREFUSED)`,
    'warn notification: "webhook": UNSET_URL is not set',
    'warn notification: "webhook": WRONG_URL does not contain an http or https address',
    'warn notification: "command": ./hook cannot be run',
    'warn notification: "command": no-such-program cannot be run',
    `ok notification: "command" runs ${hook}`,
  ]);
  expect(server.received).toEqual([]);
});

it('returns nothing if nothing is configured', async () => {
  expect(await check({})).toEqual([]);
});
