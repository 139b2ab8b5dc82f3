import {readFile, rm, writeFile} from 'node:fs/promises';
import {afterAll, beforeAll, describe, expect, it} from 'vitest';
import {readBackupRecord, standingOfRecord} from '../../src/lib/catalog/backup-record.js';
import type {DataCheck} from '../../src/lib/run/data-checks.js';
import {checkLive} from '../../src/lib/services/verify/check-live.js';
import {exitCodeOfResults, verifyBackups, type VerifiedBackup} from '../../src/lib/services/verify/verify.js';
import type {DataCheckConfig} from '../../src/lib/settings/checks-config.js';
import {makeBackup} from '../support/make-backup.js';
import {tempFolder} from '../support/run-cli.js';
import {createTempDatabase, type TempDatabase} from '../support/temp-database.js';
import {testContext, type TestContext} from '../support/test-context.js';

const backupTime = '2025-06-01T03:00:00.000Z';
let database: TempDatabase;
let folder: string;
let backup: Awaited<ReturnType<typeof makeBackup>>;

beforeAll(async () => {
  folder = await tempFolder();
  database = await createTempDatabase('template0');
  await database.run(`
    CREATE TABLE public.orders (id int PRIMARY KEY, email text, created_at timestamptz);
    INSERT INTO public.orders SELECT i, 'buyer' || i || '@example.com', timestamptz '2025-05-31 20:00Z' - i * interval '1 day'
      FROM generate_series(1, 300) i`);
  backup = await makeBackup(testContext(folder), database.connection, 'custom', backupTime);
});

afterAll(async () => {
  await database.drop();
  await rm(folder, {recursive: true, force: true});
});

function contextWith(checks: DataCheckConfig[], checkTimeoutSeconds?: number): TestContext {
  const verify = {checks, ...(checkTimeoutSeconds === undefined ? {} : {checkTimeoutSeconds})};
  return testContext(folder, {settings: {databaseUrl: database.url, config: {verify}}});
}

async function restoreTest(context: TestContext): Promise<VerifiedBackup> {
  const request = {backupFile: backup.path, level: 'restore', scratch: {kind: 'same'}} as const;
  const {results} = await verifyBackups(context, {}, request);
  const [result] = results;
  if (!result) throw new Error('one result was expected');
  return result;
}

/** The result of one check in the live database. */
async function live(sql: string, expected: DataCheckConfig['expect'], seconds?: number): Promise<DataCheck> {
  const {checks} = await checkLive(contextWith([{name: 'one', sql, expect: expected}], seconds));
  const [check] = checks;
  if (!check) throw new Error('one check was expected');
  return check;
}

describe('a restore test with data checks', () => {
  it('passes if every check passes, and knows the time of the backup', async () => {
    const context = contextWith([
      {
        name: 'newest order',
        sql: `SELECT max(created_at) > current_setting('destino.backup_time')::timestamptz - interval '2 days' FROM public.orders`,
        expect: 'true',
      },
      {name: 'orders', sql: 'SELECT count(*) FROM public.orders', expect: {atLeast: 300}},
      {name: 'buyers', sql: 'SELECT id FROM public.orders WHERE email IS NULL', expect: 'no rows'},
      {name: 'elsewhere', sql: 'SELECT false', expect: 'true', databases: ['another']},
    ]);
    const result = await restoreTest(context);
    expect(result).toMatchObject({ok: true, outcome: 'passed', code: null, findings: []});
    expect(result.checks.map(({name, outcome}) => [name, outcome])).toEqual([
      ['newest order', 'passed'],
      ['orders', 'passed'],
      ['buyers', 'passed'],
    ]);
  });

  it('fails with a code of its own if a check fails, and never takes the backup for damaged', async () => {
    const context = contextWith([
      {name: 'no old orders', sql: 'SELECT * FROM public.orders', expect: 'no rows'},
      {name: 'many orders', sql: 'SELECT count(*) FROM public.orders', expect: {atLeast: 301}},
      {name: 'typo', sql: 'SELECT count(*) FROM public.ordres', expect: {atLeast: 1}},
    ]);
    const result = await restoreTest(context);
    expect(result).toMatchObject({ok: false, outcome: 'failed', code: 'CHECK_FAILED'});
    expect(result.findings).toEqual([
      'The check "no old orders" failed: it returned more than 100 rows instead of none.',
      'The check "many orders" failed: it returned 300, expected at least 301.',
      'The check "typo" could not run: relation "public.ordres" does not exist (name tables, functions and types with their schema).',
    ]);
    expect(exitCodeOfResults({results: [result], live: null})).toBe(4);
    expect(context.facts.at(-1)?.verifications).toMatchObject([
      {ok: false, outcome: 'failed', checks: result.checks},
    ]);

    const record = await readBackupRecord(backup.metadataPath);
    expect(record.proofs.at(-1)).toMatchObject({
      level: 'restore',
      ok: true,
      outcome: 'passed',
      findings: [],
      checks: [{outcome: 'failed'}, {outcome: 'failed'}, {outcome: 'not-run'}],
    });
    expect(standingOfRecord(record)).toMatchObject({failure: null, proof: {level: 'restore'}});
    expect(await readFile(backup.metadataPath, 'utf8')).not.toContain('@example.com');
  });

  it('could not run if the only fault is a query with an error, and is not possible then', async () => {
    const result = await restoreTest(contextWith([{name: 'typo', sql: 'SELEC 1', expect: 'true'}]));
    expect(result).toMatchObject({
      ok: false,
      outcome: 'not-possible',
      code: 'CHECK_NOT_RUN',
      findings: ['The check "typo" could not run: syntax error at or near "SELEC".'],
    });
    expect(exitCodeOfResults({results: [result], live: null})).toBe(3);
  });

  it('runs no check of a part of the database, whose other parts are missing', async () => {
    const text = await readFile(backup.metadataPath, 'utf8');
    await writeFile(backup.metadataPath, JSON.stringify({...backup.record, content: 'tables'}));
    try {
      const result = await restoreTest(contextWith([{name: 'never', sql: 'SELECT false', expect: 'true'}]));
      expect(result).toMatchObject({outcome: 'passed', checks: []});
      expect(result.notes.join(' ')).toContain('1 check of the config file did not run');
    } finally {
      await writeFile(backup.metadataPath, text);
    }
  });
});

describe('a data check', () => {
  it.each([
    ['SELECT true', 'true', 'passed', null],
    ['SELECT true;', 'true', 'passed', null],
    ['SELECT true -- yes', 'true', 'passed', null],
    ['WITH one AS (SELECT true AS yes) SELECT yes FROM one', 'true', 'passed', null],
    ['VALUES (true)', 'true', 'passed', null],
    ['SELECT false', 'true', 'failed', 'it returned false'],
    ['SELECT NULL::boolean', 'true', 'failed', 'it returned null'],
    ['SELECT true WHERE false', 'true', 'failed', 'it returned no row'],
    ['SELECT true FROM generate_series(1, 2)', 'true', 'not-run', 'it returned 2 rows instead of one'],
    ['SELECT true AS a, true AS b', 'true', 'not-run', 'it returned 2 columns instead of one'],
    ["SELECT 'secret@example.com'", 'true', 'not-run', 'it did not return a boolean'],
    ['SELECT 1 WHERE false', 'no rows', 'passed', null],
    ['SELECT 1', 'no rows', 'failed', 'it returned 1 row instead of none'],
    ['SELECT 9007199254740993', {atLeast: 9007199254740992}, 'passed', null],
    ['SELECT 2.5', {atLeast: 2.6}, 'failed', 'it returned 2.5, expected at least 2.6'],
    ['SELECT NULL::int', {atLeast: 0}, 'failed', 'it returned null'],
    ["SELECT 'many'", {atLeast: 1}, 'not-run', 'it did not return a number'],
    // The message of the server would quote the value.
    [
      'SELECT email::int FROM public.orders',
      {atLeast: 1},
      'not-run',
      'the server refused it with SQLSTATE 22P02',
    ],
  ] as const)('%s with %j: %s', async (sql, expected, outcome, message) => {
    expect(await live(sql, expected)).toMatchObject({outcome, message});
  });

  it.each([
    'DELETE FROM public.orders RETURNING true',
    'WITH gone AS (DELETE FROM public.orders RETURNING id) SELECT count(*) > 0 FROM gone',
    'SELECT true; DELETE FROM public.orders',
    'SELECT true; COMMIT; DELETE FROM public.orders',
    "SELECT set_config('transaction_read_only', 'off', true) = 'off'",
    'SELECT true FROM public.orders FOR UPDATE',
    'COMMIT',
    "COPY public.orders TO PROGRAM 'cat'",
  ])('changes nothing: %s', async (sql) => {
    expect(await live(sql, 'true')).toMatchObject({outcome: 'not-run'});
    expect(await database.query('SELECT count(*) FROM orders')).toEqual([{count: '300'}]);
  });

  it('has a time limit', async () => {
    expect(await live('SELECT pg_sleep(60) IS NULL', 'true', 1)).toMatchObject({
      outcome: 'not-run',
      message: 'it took longer than 1 s',
    });
  });

  it('reaches no function of a schema that others can write', async () => {
    await database.run(
      `CREATE FUNCTION public.count(bigint) RETURNS bigint LANGUAGE sql AS 'SELECT 7::bigint'`,
    );
    expect(await live('SELECT count(1::bigint)', {atLeast: 2})).toMatchObject({
      message: 'it returned 1, expected at least 2',
    });
  });
});

describe('checks of the live database', () => {
  it('record the database and what failed', async () => {
    const context = contextWith([{name: 'never', sql: 'SELECT false', expect: 'true'}]);
    const result = await checkLive(context);
    expect(result).toMatchObject({
      database: database.name,
      ok: false,
      outcome: 'failed',
      code: 'CHECK_FAILED',
    });
    expect(exitCodeOfResults({results: [], live: result})).toBe(4);
    expect(context.facts).toMatchObject([
      {database: {name: database.name}},
      {alarms: ['The check "never" failed: it returned false.']},
    ]);
  });

  it('are refused if the config file has none for the database', async () => {
    const other = contextWith([{name: 'one', sql: 'SELECT true', expect: 'true', databases: ['another']}]);
    await expect(checkLive(other)).rejects.toMatchObject({code: 'CONFIG_INVALID'});
  });
});
