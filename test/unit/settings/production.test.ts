import {networkInterfaces} from 'node:os';
import {expect, it} from 'vitest';
import {isProduction, type ProductionTarget} from '../../../src/lib/settings/production.js';
import {testContext} from '../../support/test-context.js';

const target = {host: 'db.example.net', database: 'shop'};

const isTarget = (
  asked: ProductionTarget,
  production: {hosts?: string[]; databases?: string[]},
  env: Record<string, string> = {},
): Promise<boolean> =>
  isProduction(testContext('/nowhere', {env, settings: {config: {production}}}).settings, asked);

it.each([
  ['nothing says so', {}, {}, false],
  ['NODE_ENV says so', {NODE_ENV: 'production'}, {}, true],
  ['NODE_ENV says otherwise', {NODE_ENV: 'development'}, {}, false],
  ['its host is listed', {}, {hosts: ['db.example.net']}, true],
  ['its database is listed', {}, {databases: ['orders', 'shop']}, true],
  ['another database is listed', {}, {databases: ['shop_copy']}, false],
])('a target where %s', async (_what, env, production, expected) => {
  expect(await isTarget(target, production, env)).toBe(expected);
});

const external = Object.values(networkInterfaces())
  .flatMap((list) => list ?? [])
  .find(({internal, family}) => !internal && family === 'IPv4')?.address;

it.each([
  ['another case', 'DB.Example.NET', 'db.example.net'],
  ['a last dot', 'db.example.net.', 'db.example.net'],
  ['a last dot in the list', 'db.example.net', 'db.example.net.'],
  ['the loopback address for localhost', '127.0.0.1', 'localhost'],
  ['the same in fewer parts', '127.1', 'localhost'],
  ['the same as one number', '2130706433', 'localhost'],
  ['the loopback address of IPv6', '::1', 'LOCALHOST'],
  ['the address of IPv4 in one of IPv6', '::ffff:127.0.0.1', 'localhost'],
  ['a socket', '/var/run/postgresql', 'localhost'],
  ['localhost for a socket', 'localhost', '/var/run/postgresql'],
  ['zeros written out', '2001:0db8:0:0:0:0:0:5', '2001:db8::5'],
  ['brackets', '[2001:db8::5]', '2001:DB8::5'],
  ...(external === undefined ? [] : [['an address of this machine', external, 'localhost']]),
])('the guard recognises %s', async (_what, host = '', listed = '') => {
  expect(await isTarget({host, database: 'shop'}, {hosts: [listed]})).toBe(true);
});

it('treats hostaddr as the host of the connection', async () => {
  const options = {hostaddr: '127.0.0.1'};
  expect(await isTarget({host: 'harmless.example', database: 'shop', options}, {hosts: ['localhost']})).toBe(
    true,
  );
});

it('this machine is not production without a network, where a listed host cannot be resolved', async () => {
  for (const host of ['localhost', '/var/run/postgresql', '127.0.0.1'])
    expect(await isTarget({host, database: 'shop'}, {hosts: ['db.invalid']})).toBe(false);
});

it('treats an address as production if a listed host cannot be resolved', async () => {
  expect(await isTarget({host: '192.0.2.5', database: 'shop'}, {hosts: ['db.invalid']})).toBe(true);
  expect(await isTarget({host: '192.0.2.5', database: 'shop'}, {hosts: ['192.0.2.6']})).toBe(false);
});

it.each([
  ['localhost', 'bastion.invalid'],
  ['127.0.0.1', 'bastion.invalid'],
  ['/var/run/postgresql', 'bastion.invalid'],
  ['localhost', 'localhost'],
  ['localhost', '127.0.0.1'],
  ['localhost', 'db.invalid'],
])('behind an SSH server, %s is that server: it is production if %s is', async (host, listed) => {
  const sshTunnel = {host: 'bastion.invalid'};
  expect(await isTarget({host, database: 'shop', sshTunnel}, {hosts: [listed]})).toBe(true);
});

it('an SSH server that is production does not make every database behind it production', async () => {
  const asked = {host: 'staging.invalid', database: 'shop', sshTunnel: {host: 'bastion.invalid'}};
  expect(await isTarget(asked, {hosts: ['bastion.invalid', 'db.invalid']})).toBe(false);
});
