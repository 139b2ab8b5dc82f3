import {expect, it} from 'vitest';
import {isProduction} from '../../../src/lib/settings/production.js';
import {testContext} from '../../support/test-context.js';

const target = {host: 'db.example.net', database: 'shop'};

it.each([
  ['nothing says so', {}, {}, false],
  ['NODE_ENV says so', {NODE_ENV: 'production'}, {}, true],
  ['NODE_ENV says otherwise', {NODE_ENV: 'development'}, {}, false],
  ['its host is listed', {}, {hosts: ['db.example.net']}, true],
  ['its database is listed', {}, {databases: ['orders', 'shop']}, true],
  ['others are listed', {}, {hosts: ['example.net'], databases: ['shop_copy']}, false],
])('a target where %s', (_what, env, production, expected) => {
  const {settings} = testContext('/nowhere', {env, settings: {config: {production}}});
  expect(isProduction(settings, target)).toBe(expected);
});
