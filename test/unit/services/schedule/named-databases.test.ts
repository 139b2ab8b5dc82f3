/** The databases that the config and the jobs of the plan name. */
import {rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {expect, it} from 'vitest';
import {databasesOfJobs, namedDatabases} from '../../../../src/lib/services/schedule/named-databases.js';
import {parsePlan} from '../../../../src/lib/services/schedule/plan.js';
import {tempFolder} from '../../../support/run-cli.js';
import {testContext} from '../../../support/test-context.js';

it.each([
  ['daily custom', ['shop@db.example:5432']],
  ['daily sql; weekly restore test', ['shop@db.example:5432']],
  ['daily run backup --use-database-url', ['pooled@db.example:6000']],
  ['daily run backup --env-file crm.env', ['crm@crm.example:5433']],
  ['daily run backup --database-url postgresql://u@other.example/blog', ['blog@other.example:5432']],
  ['daily schema; daily run backup --include-table orders', []],
  ['daily custom; daily run backup --backups-dir elsewhere', ['shop@db.example:5432']],
  ['daily run backup --env-file missing.env', []],
  ['dialy custom', []],
  ['daily status', []],
])('%s backs up %j', async (plan, expected) => {
  const folder = await tempFolder();
  await writeFile(join(folder, 'crm.env'), 'DIRECT_URL=postgresql://u@crm.example:5433/crm\n');
  const {settings} = testContext(folder, {
    settings: {
      config: {schedule: {plan: [plan]}},
      // A flag of the current run does not belong to the plan.
      databaseUrl: 'postgresql://u@db.example/mistyped',
    },
    env: {
      DIRECT_URL: 'postgresql://u@db.example/shop',
      DATABASE_URL: 'postgresql://u@db.example:6000/pooled',
    },
  });
  const named = await namedDatabases(settings);
  await rm(folder, {recursive: true});
  expect(named.map(({name, host, port}) => `${name}@${host ?? ''}:${port ?? ''}`)).toEqual(expected);
});

it('reads only the names of status.databases', async () => {
  const {settings} = testContext('/srv/shop', {settings: {config: {status: {databases: ['crm']}}}});
  expect(await namedDatabases(settings)).toEqual([
    {name: 'crm', systemIdentifier: null, host: null, port: null},
  ]);
});

it('returns the database of each backup job, only if the plan has several databases', async () => {
  const folder = await tempFolder();
  await writeFile(join(folder, 'crm.env'), 'DIRECT_URL=postgresql://u@crm.example:5433/crm\n');
  const {settings} = testContext(folder, {env: {DIRECT_URL: 'postgresql://u@db.example/shop'}});
  const several = parsePlan(['daily schema', 'daily run backup --env-file crm.env', 'weekly prune']);
  expect(await databasesOfJobs(settings, several)).toEqual(
    new Map([
      ['daily schema', [{name: 'shop', isSource: false}]],
      ['daily run backup --env-file crm.env', [{name: 'crm', isSource: false}]],
    ]),
  );
  expect(await databasesOfJobs(settings, parsePlan(['daily custom', 'daily sql']))).toEqual(new Map());
  await rm(folder, {recursive: true});
});
