/** Follows the page about another environment literally. */
import {expect, it} from 'vitest';
import {beforeEachPage, type PageServer} from '../support/page-server.js';
import {runCli} from '../support/run-cli.js';
import {runPage} from '../support/run-page.js';

let server: PageServer;
let folder: string;

beforeEachPage((given, made) => {
  server = given;
  folder = made;
});

it('another environment: a masked copy, its undo and its backups, and the schema first', async () => {
  await server.run('CREATE DATABASE shop_staging');
  await server.load("CREATE TABLE old AS SELECT 'before' AS state", 'shop_staging');
  const env = {DIRECT_URL: server.url('shop'), STAGING_URL: server.url('shop_staging')};
  const made = await runCli(['backup'], {cwd: folder, env});
  expect(made.status).toBe(0);
  const states: unknown[] = [];
  await runPage('docs/another-environment.md', {
    folder,
    env,
    before: async (script) => {
      if (!script.includes('undo') && !script.includes('--label staging')) return;
      states.push(
        await server.run("SELECT to_regclass('public.profiles') IS NOT NULL AS masked", 'shop_staging'),
      );
    },
  });
  expect(states).toEqual([[{masked: 't'}], [{masked: 'f'}]]);
  const products =
    'SELECT (SELECT count(*) FROM products) AS products, (SELECT count(*) FROM profiles) AS profiles';
  const [{products: count} = {}] = await server.run(products, 'shop');
  expect(await server.run(products, 'shop_new')).toEqual([{products: count, profiles: '0'}]);
});
