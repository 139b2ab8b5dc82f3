/** refresh stops after the restore, and leaves no database, if the rows show what the preview could not see, or a mask gives a value of production. */
import {rm} from 'node:fs/promises';
import {afterAll, beforeAll, expect, it} from 'vitest';
import {backupDatabase} from '../../src/lib/services/backup/local-backup.js';
import {refresh} from '../../src/lib/services/refresh/refresh.js';
import type {MasksConfig} from '../../src/lib/settings/mask-config.js';
import {tempFolder} from '../support/run-cli.js';
import {
  createTempDatabase,
  databaseExists,
  existingDatabase,
  onServer,
  type TempDatabase,
} from '../support/temp-database.js';
import {testContext} from '../support/test-context.js';

const target = 'stopped_staging';
let folder: string;
let production: TempDatabase;

const run = (masks: MasksConfig) =>
  refresh(
    testContext(folder, {
      env: {STAGING_URL: existingDatabase(target).url},
      settings: {databaseUrl: production.url, config: {masks}},
    }),
    {},
    {targetUrlEnv: 'STAGING_URL', keepSetAside: 1},
  );

beforeAll(async () => {
  folder = await tempFolder();
  production = await createTempDatabase('template0');
  await production.run(`
    CREATE TABLE people (id int PRIMARY KEY, email text);
    INSERT INTO people VALUES (1, 'anna@people.example'), (2, 'ben@people.example');
    CREATE TABLE remark (id int PRIMARY KEY, note text);
    INSERT INTO remark SELECT n, CASE WHEN n = 2100 THEN 'ask zoe@people.example' ELSE 'fine' END FROM generate_series(1, 2100) n`);
  await backupDatabase(testContext(folder, {settings: {databaseUrl: production.url}}), {format: 'custom'});
});

afterAll(async () => {
  await production.drop();
  await rm(folder, {recursive: true, force: true});
});

async function expectNoDatabase(): Promise<void> {
  expect(await databaseExists(target)).toBe(false);
  const left = await onServer((session) =>
    session.query('SELECT datname FROM pg_database WHERE starts_with(datname, $1)', [target]),
  );
  expect(left).toEqual([]);
}

it('at an address in a row that only the second search reads', async () => {
  await expect(run({'public.people.email': {mask: 'email'}})).rejects.toMatchObject({
    code: 'PERSONAL_DATA',
    message: expect.stringContaining('public.remark.note') as string,
    details: ['public.remark.note: email in 1 of 2,100 rows'],
  });
  await expectNoDatabase();
});

it('at a mask whose values are those of other rows', async () => {
  const swapped = `CASE WHEN id = 1 THEN 'ben@people.example' ELSE 'anna@people.example' END`;
  await expect(
    run({
      'public.people.email': {mask: 'sql', sql: swapped},
      'public.remark.note': {mask: 'keep', reason: 'one address of the shop'},
    }),
  ).rejects.toMatchObject({
    code: 'MASK_INCOMPLETE',
    details: expect.arrayContaining(['values of public.people.email: 2 of 2']) as unknown,
  });
  await expectNoDatabase();
});
