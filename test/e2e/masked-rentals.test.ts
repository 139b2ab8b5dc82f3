/** A masked copy of a shop that is not ours: refresh stops with all its personal columns, and the masked copy has none of its people. */
import {execFileSync} from 'node:child_process';
import {readFile, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {afterAll, beforeAll, expect, inject, it} from 'vitest';
import {libpqEnvironment} from '../../src/lib/postgres/connect/connection.js';
import {type CliResult, runCli, tempFolder} from '../support/run-cli.js';
import {
  createTempDatabase,
  dropDatabase,
  existingDatabase,
  onServer,
  type TempDatabase,
} from '../support/temp-database.js';

const target = 'masked_rentals';
let folder: string;
let production: TempDatabase;

beforeAll(async () => {
  folder = await tempFolder();
  production = await createTempDatabase('template0');
  await production.run(await readFile(new URL('../fixtures/rentals.sql', import.meta.url), 'utf8'));
});

afterAll(async () => {
  const rows = await onServer((session) =>
    session.query('SELECT datname FROM pg_database WHERE starts_with(datname, $1)', [target]),
  );
  for (const row of rows) await dropDatabase(row['datname'] ?? '');
  await production.drop();
  await rm(folder, {recursive: true, force: true});
});

const run = (args: readonly string[]): Promise<CliResult> =>
  runCli(args, {cwd: folder, env: {DIRECT_URL: production.url, STAGING_URL: existingDatabase(target).url}});

const masks = {
  'public.actor.first_name': {mask: 'name'},
  'public.actor.last_name': {mask: 'name'},
  'public.address.address': {mask: 'address'},
  'public.address.phone': {mask: 'phone'},
  'public.address.postal_code': {mask: 'text'},
  'public.customer.email': {mask: 'email'},
  'public.customer.first_name': {mask: 'name'},
  'public.customer.last_name': {mask: 'name'},
  'public.payment.receipt': {mask: 'json', paths: {'$.to.email': 'email'}},
  'public.staff.email': {mask: 'email'},
  'public.staff.first_name': {mask: 'name'},
  'public.staff.last_name': {mask: 'name'},
  'public.staff.password': {mask: 'hash'},
  'public.staff.username': {mask: 'text'},
};

/** Counts of the application's own queries. */
const queries = `
  SELECT (SELECT count(*) FROM customer_list) AS listed, (SELECT string_agg(c::text, ',' ORDER BY city) FROM customers_of_city c) AS cities,
         (SELECT sum(total) FROM spent) AS spent,
         (SELECT count(*) FROM payment p JOIN customer c ON lower(c.email) = lower(p.receipt #>> '{to,email}')) AS receipts,
         (SELECT count(*) FROM film WHERE fulltext @@ to_tsquery('cooks')) AS films`;

it('stops with all personal columns, and leaves no person, with the same answers, in the masked copy', async () => {
  expect((await run(['backup'])).status).toBe(0);
  const stopped = await run(['refresh', '--target-url-env', 'STAGING_URL', '--yes', '--json']);
  expect(stopped.status).toBe(5);
  const {error} = stopped.json() as {error: {code: string; details: string[]}};
  expect(error.code).toBe('PERSONAL_DATA');
  expect(error.details.map((detail) => detail.replace(/:.*/, ''))).toEqual(Object.keys(masks));

  // The names of users are unique, which a text mask cannot keep.
  const rules = {...masks, 'public.staff.username': {mask: 'hash'}};
  await writeFile(join(folder, 'destino-db.config.json'), JSON.stringify({masks: rules}));
  const done = await run(['refresh', '--target-url-env', 'STAGING_URL', '--yes', '--json']);
  expect(done.stderr).toBe('');
  expect(done.status).toBe(0);
  expect(done.json()).toMatchObject({masked: {proof: {passed: true}}});

  const copy = existingDatabase(target);
  const dump = execFileSync(join(inject('serverBin'), 'pg_dump'), [target], {
    env: {...process.env, ...libpqEnvironment(copy.connection)},
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
  });
  expect(dump).toContain('Town 3');
  expect(dump).not.toMatch(
    /@rentals\.example|(?:Staff|Actor|Guest)(?:person|name)|Alameda|\+1 415 555|ZX1\d{4}|login\d|\$2a\$/,
  );
  expect(await copy.query(queries)).toEqual(await production.query(queries));
  expect(await copy.query('SELECT conname FROM pg_constraint WHERE NOT convalidated')).toEqual([]);
});
