/** refresh with a masking program: its rows are taken, its masks are checked like those of this program, and its failures change nothing. */
import {spawnSync} from 'node:child_process';
import {existsSync} from 'node:fs';
import {readFile, rm, writeFile} from 'node:fs/promises';
import {join, resolve} from 'node:path';
import {afterAll, afterEach, beforeAll, beforeEach, expect, it} from 'vitest';
import {backupDatabase} from '../../src/lib/services/backup/local-backup.js';
import {refresh, type RefreshResult} from '../../src/lib/services/refresh/refresh.js';
import type {MasksConfig} from '../../src/lib/settings/mask-config.js';
import {cases} from '../support/long-form.js';
import {requirePrograms} from '../support/require-programs.js';
import {tempFolder} from '../support/run-cli.js';
import {
  createTempDatabase,
  dropDatabase,
  existingDatabase,
  onServer,
  type TempDatabase,
} from '../support/temp-database.js';
import {testContext} from '../support/test-context.js';

const target = 'program_staging';
const program = resolve('test/support/greenmask-stand-in.mjs');
let folder: string;
let production: TempDatabase;

const masks: MasksConfig = {
  'public.people.email': {mask: 'program'},
  'public.people.name': {mask: 'name'},
  'public.visits.email': {mask: 'program'},
};

const hash = (column: string) => ({name: 'Hash', params: {column}});

async function configure(more: object, transformers: readonly object[] = [hash('email')]): Promise<void> {
  const names = ['people', 'visits_1', 'visits_2'];
  const transformation = names.map((name) => ({schema: 'public', name, transformers}));
  const config = {storage: {type: 's3', directory: {path: '/nonexistent'}}, dump: {transformation}, ...more};
  await writeFile(join(folder, 'greenmask.json'), JSON.stringify(config));
}

const run = (
  options: {signal?: AbortSignal; dryRun?: boolean; timeoutSeconds?: number} = {},
): Promise<RefreshResult> => {
  const {signal, dryRun, timeoutSeconds} = options;
  const limit = timeoutSeconds === undefined ? {} : {timeoutSeconds};
  return refresh(
    testContext(folder, {
      env: {STAGING_URL: existingDatabase(target).url, GREENMASK_GLOBAL_SALT: 'a5eddc84e762e810'},
      settings: {
        databaseUrl: production.url,
        config: {masks, maskProgram: {path: program, config: 'greenmask.json', ...limit}},
      },
      ...(signal ? {signal} : {}),
    }),
    {},
    {targetUrlEnv: 'STAGING_URL', keepSetAside: 0, ...(dryRun === true ? {dryRun} : {})},
  );
};

const staging = (sql: string) => existingDatabase(target).query(sql);

/** The content is that of the test before, and no other database is left. */
async function expectUnchanged(): Promise<void> {
  expect(await staging('SELECT mark FROM present')).toEqual([{mark: 'old'}]);
  const left = await onServer((session) =>
    session.query('SELECT datname FROM pg_database WHERE starts_with(datname, $1)', [target]),
  );
  expect(left).toEqual([{datname: target}]);
}

beforeAll(async () => {
  requirePrograms('ps');
  folder = await tempFolder();
  production = await createTempDatabase('template0');
  await production.run(`
    CREATE TABLE people (id int PRIMARY KEY, email text UNIQUE, shown text GENERATED ALWAYS AS (email || '!') STORED, name text);
    INSERT INTO people (id, email, name) VALUES (1, 'anna@people.example', 'Anna'), (2, 'ben@people.example', 'Ben');
    CREATE TABLE visits (id int, email text REFERENCES people (email), PRIMARY KEY (id)) PARTITION BY RANGE (id);
    CREATE TABLE visits_1 PARTITION OF visits FOR VALUES FROM (0) TO (10);
    CREATE TABLE visits_2 PARTITION OF visits FOR VALUES FROM (10) TO (20);
    INSERT INTO visits VALUES (1, 'anna@people.example'), (11, 'ben@people.example')`);
  await backupDatabase(testContext(folder, {settings: {databaseUrl: production.url}}), {format: 'custom'});
});

beforeEach(async () => {
  await onServer((session) => session.query(`CREATE DATABASE ${target}`));
  await existingDatabase(target).run(`CREATE TABLE present AS SELECT 'old' AS mark`);
});

afterEach(async () => {
  const left = await onServer((session) =>
    session.query('SELECT datname FROM pg_database WHERE starts_with(datname, $1)', [target]),
  );
  for (const {datname} of left) await dropDatabase(datname ?? '');
});

afterAll(async () => {
  await production.drop();
  await rm(folder, {recursive: true, force: true});
});

it('takes its rows, also of partitions, and masks other columns of these itself', async () => {
  await configure({});
  const {masked, masks: named} = await run();
  expect(named).toContainEqual({column: 'public.people.email', mask: 'program'});
  expect(masked?.proof.checks).toContainEqual({kind: 'values', of: 'public.people.email', compared: 2, failed: 0}); // prettier-ignore
  const [row] = await staging('SELECT p.email, p.shown, p.name FROM people p JOIN visits v USING (email) WHERE v.id = 11'); // prettier-ignore
  expect(row?.['email']).toMatch(/^[A-Za-z0-9+/]{27}=$/);
  expect(row?.['shown']).toBe(`${row?.['email'] ?? ''}!`);
  expect(row?.['name']).not.toBe('Ben');
});

interface Stop {
  readonly why: string;
  readonly more: object;
  readonly transformers?: readonly object[];
  readonly timeoutSeconds?: number;
  readonly code: string;
  readonly telling: RegExp;
}

const stops: readonly Stop[] = [
  {why: 'leaves a column unmasked', more: {}, transformers: [], code: 'MASK_INCOMPLETE', telling: /^values of public\.people\.email: 2 of 2$/m},
  {why: 'fails', more: {standIn: 'fail'}, code: 'MASK_PROGRAM_FAILED', telling: /salt \*\*\*/},
  {why: 'loses rows', more: {standIn: 'lose'}, code: 'MASK_INCOMPLETE', telling: /^rows of public\.people/m},
  {why: 'takes too long', more: {standIn: {wait: '/dev/null'}}, timeoutSeconds: 1, code: 'MASK_PROGRAM_TIMEOUT', telling: /^/},
]; // prettier-ignore

it.each(cases(stops, 2))('stops with the old content if the program $why', async (stop) => {
  await configure(stop.more, stop.transformers);
  const error = await run(stop).then(() => undefined, (failure: unknown) => failure); // prettier-ignore
  expect(error).toMatchObject({code: stop.code});
  expect((error as {details: readonly string[]}).details.join('\n')).toMatch(stop.telling);
  expect(JSON.stringify(error)).not.toContain('a5eddc84e762e810');
  await expectUnchanged();
});

/** A process that ended can stay in the list until something waits for it. */
const isRunning = (pid = ''): boolean =>
  /^[^Z]/.test(spawnSync('ps', ['-o', 'stat=', '-p', pid], {encoding: 'utf8'}).stdout);

it('ends the program and its children when the run is interrupted, and removes its dump', async () => {
  const started = join(folder, 'started');
  await configure({standIn: {wait: started}});
  const interrupt = new AbortController();
  const running = run({signal: interrupt.signal});
  await expect.poll(() => existsSync(started), {timeout: 20_000}).toBe(true);
  interrupt.abort(new Error('interrupted'));
  await expect(running).rejects.toThrow('interrupted');
  const [parent, child, storage] = (await readFile(started, 'utf8')).split(' ');
  await expect.poll(() => [parent, child].map(isRunning)).toEqual([false, false]);
  expect(existsSync(storage ?? '')).toBe(false);
  await expectUnchanged();
});

it('is named by a dry run, which does not run it', async () => {
  await configure({standIn: 'fail'});
  expect(await run({dryRun: true})).toMatchObject({maskProgram: program, masked: null});
  await expectUnchanged();
});
