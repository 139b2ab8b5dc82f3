import {chmod, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {afterEach, beforeEach, expect, it} from 'vitest';
import {warnOfOpenSecrets} from '../../../src/lib/settings/open-secrets.js';
import {tempFolder} from '../../support/run-cli.js';
import {testContext} from '../../support/test-context.js';

let folder = '';
beforeEach(async () => {
  folder = await tempFolder();
});
afterEach(() => rm(folder, {recursive: true, force: true}));

it.each([
  [
    'the key of a table in a profile of orders',
    {orders: {profile: {roots: [{table: 'a', key: ['b', 'c']}]}}},
    false,
  ],
  ['a name of a variable', {notifications: {targets: [{type: 'ping', urlEnv: 'HEALTHCHECKS_URL'}]}}, false],
  ['a mask of a token', {masks: {'public.orders.token': {mask: 'null'}}}, false],
  ['a table of tokens without rows', {subset: {'public.token': 'none', 'auth.password': 'id > 1'}}, false],
  ['a definition with a token in its name', {keepDefinitions: {'FUNCTION public.token': 'a reason'}}, false],
  ['an API key', {api_key: 'abc'}, true],
  ['a token', {template: {token: 'abc'}}, true],
  ['a password in an address', {url: 'https://user:word@hooks.example/x'}, true],
])('a config file that others can read: %s', async (_, config, isSecret) => {
  const path = join(folder, 'destino-db.config.json');
  const {settings} = testContext(folder, {env: {PGPASSFILE: join(folder, 'none')}});
  await writeFile(path, JSON.stringify(config, null, 2));
  await chmod(path, 0o644);
  const warning = `${path} contains secrets and other users can read it: chmod 600 it.`;
  expect(await warnOfOpenSecrets(settings, {})).toEqual(isSecret ? [warning] : []);
  await chmod(path, 0o600);
  expect(await warnOfOpenSecrets(settings, {})).toEqual([]);
});
