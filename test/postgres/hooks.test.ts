/** Hooks: programs and SQL files that can stop a run before it changes anything. */
import {existsSync} from 'node:fs';
import {readFile, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {afterAll, afterEach, beforeAll, beforeEach, expect, it} from 'vitest';
import {AppError} from '../../src/lib/base/errors.js';
import {silentProgress, silentStep} from '../../src/lib/progress/progress.js';
import {backupDatabase} from '../../src/lib/services/backup/local-backup.js';
import {restoreDatabase} from '../../src/lib/services/restore/execute.js';
import type {HookConfig, HookName} from '../../src/lib/settings/hooks-config.js';
import {makeDump} from '../support/make-dump.js';
import {tempFolder} from '../support/run-cli.js';
import {createTempDatabase, dropDatabase, onServer, type TempDatabase} from '../support/temp-database.js';
import {testContext, type TestContext} from '../support/test-context.js';

const name = 'hooked_shop';
let folder: string;
let target: TempDatabase;
let output: string[];

beforeAll(async () => {
  folder = await tempFolder();
  const source = await createTempDatabase('template0');
  await source.run(`CREATE TABLE public.state AS SELECT 'old' AS note`);
  await makeDump(source.connection, folder, 'custom', {name: 'old.dump'});
  await source.drop();
});

beforeEach(async () => {
  output = [];
  target = await createTempDatabase('template0', name);
  await target.run(`CREATE TABLE public.state AS SELECT 'new' AS note`);
});

afterEach(async () => {
  for (const database of await related()) await dropDatabase(database);
  await rm(join(folder, 'backups'), {recursive: true, force: true});
});

afterAll(() => rm(folder, {recursive: true, force: true}));

async function related(): Promise<string[]> {
  const rows = await onServer((session) =>
    session.query('SELECT datname FROM pg_database WHERE starts_with(datname, $1) ORDER BY 1', [name]),
  );
  return rows.map((row) => row['datname'] ?? '');
}

function contextWith(hook: HookName, config: HookConfig, signal?: AbortSignal): TestContext {
  const context = testContext(folder, {
    settings: {databaseUrl: target.url, config: {hooks: {[hook]: config}}},
    ...(signal ? {signal} : {}),
  });
  const step: typeof silentProgress.step = (_title, work) =>
    work({...silentStep, output: (line) => output.push(line)});
  return {...context, progress: {...silentProgress, step}};
}

const shell = (script: string, timeoutSeconds = 60): HookConfig => ({
  argv: ['/bin/sh', '-c', script, folder],
  timeoutSeconds,
});

async function failure(run: Promise<unknown>): Promise<AppError> {
  try {
    await run;
  } catch (error) {
    if (error instanceof AppError) return error;
    throw error;
  }
  throw new Error('a failure was expected');
}

/** Whether the process that wrote its number into the file is alive. */
async function isAlive(file: string): Promise<boolean> {
  const pid = Number(await readFile(join(folder, file), 'utf8'));
  try {
    return !(await readFile(`/proc/${pid}/stat`, 'utf8')).includes(') Z ');
  } catch {
    return false;
  }
}

const swap = {backupFile: 'old.dump', dropExisting: true} as const;

it('a program before a dump knows the database, and its output is printed without the password', async () => {
  const password = target.connection.password ?? '';
  expect(password).not.toBe('');
  const script = 'echo "$DESTINO_DB_HOOK of $PGDATABASE as $PGUSER with $PGPASSWORD"; echo warning >&2';
  await backupDatabase(contextWith('beforeDump', shell(script)), {});
  expect(output.join('\n')).not.toContain(password);
  expect(output.toSorted()).toEqual([
    `beforeDump of ${name} as ${target.connection.user} with ***`,
    'warning',
  ]);
});

it('a program that fails stops the backup before anything is written', async () => {
  const error = await failure(
    backupDatabase(contextWith('beforeDump', shell('echo "replica is behind: $PGPASSWORD"; exit 3')), {}),
  );
  expect(error).toMatchObject({code: 'HOOK_FAILED', exitCode: 1, details: ['replica is behind: ***']});
  expect(existsSync(join(folder, 'backups/database'))).toBe(false);
});

it('a program that does not exist is a failed hook', async () => {
  const error = await failure(backupDatabase(contextWith('beforeDump', {argv: ['/does/not/exist']}), {}));
  expect(error.code).toBe('HOOK_FAILED');
});

it('an SQL file that fails changes nothing, and stops the backup', async () => {
  await writeFile(
    join(folder, 'hook.sql'),
    `INSERT INTO public.state VALUES ('by the hook');
     DO $$ BEGIN RAISE NOTICE 'looking'; RAISE EXCEPTION 'not today'; END $$;`,
  );
  const error = await failure(backupDatabase(contextWith('beforeDump', {sqlFile: 'hook.sql'}), {}));
  expect(error.code).toBe('HOOK_FAILED');
  expect(error.message).toContain('not today');
  expect(output).toEqual(['NOTICE: looking']);
  expect(await target.query('SELECT note FROM public.state')).toEqual([{note: 'new'}]);
});

it('an SQL file that takes too long is cancelled', async () => {
  await writeFile(join(folder, 'slow.sql'), `INSERT INTO public.state VALUES ('x'); SELECT pg_sleep(600)`);
  const hook = {sqlFile: 'slow.sql', timeoutSeconds: 1};
  expect(await failure(backupDatabase(contextWith('beforeDump', hook), {}))).toMatchObject({
    code: 'HOOK_TIMEOUT',
  });
  expect(await target.query('SELECT note FROM public.state')).toEqual([{note: 'new'}]);
});

it('a program that takes too long is ended together with its children', async () => {
  const script = 'trap "" TERM; (trap "" TERM; exec sleep 600) & echo $! >"$0/late"; wait';
  const error = await failure(backupDatabase(contextWith('beforeDump', shell(script, 1)), {}));
  expect(error).toMatchObject({code: 'HOOK_TIMEOUT', exitCode: 1});
  expect(await isAlive('late')).toBe(false);
});

it('an interrupted run ends the program together with its children', async () => {
  const interruption = new AbortController();
  const context = contextWith(
    'beforeDump',
    shell('sleep 600 & echo $! >"$0/child"; echo up; wait'),
    interruption.signal,
  );
  const step: typeof silentProgress.step = (_title, work) =>
    work({...silentStep, output: () => interruption.abort(new AppError('INTERRUPTED', 'stop'))});
  const error = await failure(backupDatabase({...context, progress: {...silentProgress, step}}, {}));
  expect(error.code).toBe('INTERRUPTED');
  expect(await isAlive('child')).toBe(false);
});

it('a hook before a swap sees the restored content, and its failure leaves the old database', async () => {
  const error = await failure(
    restoreDatabase(
      contextWith('beforeSwap', shell('echo "$DESTINO_DB_HOOK_TARGET $PGDATABASE"; exit 1')),
      swap,
    ),
  );
  expect(error.code).toBe('HOOK_FAILED');
  expect(error.message).toContain(`"${name}" is unchanged.`);
  expect(output[0]).toMatch(new RegExp(`^${name} ${name}_restore_`));
  expect(await related()).toEqual([name]);
  expect(await target.query('SELECT note FROM public.state')).toEqual([{note: 'new'}]);

  await writeFile(join(folder, 'mask.sql'), `UPDATE public.state SET note = note || ' and masked'`);
  await restoreDatabase(contextWith('beforeSwap', {sqlFile: 'mask.sql'}), swap);
  expect(await target.query('SELECT note FROM public.state')).toEqual([{note: 'old and masked'}]);
});

it('no hook runs in a dry run', async () => {
  const hook = shell('touch "$0/ran"');
  await backupDatabase(contextWith('beforeDump', hook), {dryRun: true});
  await restoreDatabase(contextWith('beforeSwap', hook), {...swap, dryRun: true});
  expect(existsSync(join(folder, 'ran'))).toBe(false);
});
