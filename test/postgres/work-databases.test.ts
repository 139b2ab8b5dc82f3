/** Scratch and staging databases: which roles may enter them, and failures to create or drop them. */
import {readdir, rm} from 'node:fs/promises';
import {join} from 'node:path';
import {afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, it} from 'vitest';
import type {AppError} from '../../src/lib/base/errors.js';
import {passBy, type FaultPoint} from '../../src/lib/run/fault-points.js';
import {withAppSession} from '../support/app-session.js';
import {type Connection, withDatabase} from '../../src/lib/postgres/connect/connection.js';
import {type LocalCluster, startLocalCluster} from '../../src/lib/postgres/tools/local-cluster.js';
import {quoteIdentifier} from '../../src/lib/postgres/quote.js';
import {restoreDatabase} from '../../src/lib/services/restore/execute.js';
import type {RestoreRequest} from '../../src/lib/services/restore/options.js';
import {verifyBackups, type VerifiedBackup} from '../../src/lib/services/verify/verify.js';
import {makeBackup} from '../support/make-backup.js';
import {until} from '../support/observe.js';
import {tempFolder} from '../support/run-cli.js';
import {urlOf} from '../support/temp-database.js';
import {testContext, type TestContext} from '../support/test-context.js';

/** 100 restore tests in a row with DESTINO_TEST_RESTORE_TESTS=100. */
const restoreTests = Number(process.env['DESTINO_TEST_RESTORE_TESTS'] ?? 2);

let cluster: LocalCluster;
let folder: string;
let backup: string;

const run = (sql: string, connection: Connection = cluster.connection): Promise<void> =>
  withAppSession(connection, async (session) => {
    await session.client.query(sql);
  });
const query = (sql: string) => withAppSession(cluster.connection, (session) => session.query(sql));
const as = (role: string): Connection => ({...cluster.connection, user: role, password: 'secret'});

beforeAll(async () => {
  // Workers start every second, and process every table slowly.
  cluster = await startLocalCluster({
    binFolder: inject('serverBin'),
    settings: [
      'autovacuum_naptime = 1s',
      'autovacuum_max_workers = 20',
      'autovacuum_vacuum_threshold = 0',
      'autovacuum_analyze_threshold = 0',
      'autovacuum_vacuum_insert_threshold = 0',
      'autovacuum_vacuum_cost_delay = 100ms',
      'autovacuum_vacuum_cost_limit = 1',
    ],
  });
  folder = await tempFolder();
  await run(`CREATE ROLE maker LOGIN CREATEDB PASSWORD 'secret'`);
  await run(`CREATE ROLE reader LOGIN CREATEDB PASSWORD 'secret'`);
  await run(`GRANT maker TO reader`);
  await run(`ALTER ROLE reader SET default_transaction_read_only = on`);
  await run(`CREATE ROLE stranger LOGIN PASSWORD 'secret'`);
  await run('CREATE DATABASE source OWNER maker');
  const source = withDatabase(as('maker'), 'source');
  await run(
    'CREATE TABLE state AS SELECT n, repeat(md5(n::text), 20) AS note FROM generate_series(1, 500) AS n',
    source,
  );
  const made = await makeBackup(context(source), source, 'custom', '2025-06-01T03:00:00.000Z');
  backup = made.path;
});
beforeEach(async () => {
  await rm(join(folder, 'backups', '.journal'), {recursive: true, force: true});
});
afterEach(async () => {
  const left = await query(
    `SELECT datname FROM pg_database WHERE datname NOT IN ('source', 'postgres', 'template0', 'template1')`,
  );
  for (const {datname} of left) {
    await run(`ALTER DATABASE ${quoteIdentifier(datname ?? '')} IS_TEMPLATE false`);
    await run(`DROP DATABASE ${quoteIdentifier(datname ?? '')} WITH (FORCE)`);
  }
});
afterAll(async () => {
  await cluster.stop();
  await rm(folder, {recursive: true, force: true});
});

function context(connection: Connection): TestContext {
  return testContext(folder, {settings: {databaseUrl: urlOf(connection)}});
}

/** Runs `act` with the name of the work database at these checkpoints. */
function at(
  base: TestContext,
  points: readonly FaultPoint[],
  act: (database: string) => Promise<void>,
): TestContext {
  return {
    ...base,
    checkpoint: async (point) => {
      if (!points.includes(point)) return passBy(point);
      for (const {datname} of await query(
        `SELECT datname FROM pg_database WHERE datname LIKE 'destino_scratch_%' OR datname LIKE '%_restore_%'`,
      ))
        await act(datname ?? '');
    },
  };
}

async function verify(within: TestContext): Promise<VerifiedBackup | undefined> {
  const {results} = await verifyBackups(
    within,
    {},
    {
      backupFile: backup,
      level: 'restore',
      scratch: {kind: 'same'},
    },
  );
  return results[0];
}

const scratchDatabases = () =>
  query(`SELECT datname FROM pg_database WHERE datname LIKE 'destino_scratch_%'`);
const journals = (): Promise<string[]> => readdir(join(folder, 'backups', '.journal')).catch(() => []);

describe('the outcome of a restore test', () => {
  it(
    'is not lost, and leaves no database, while an autovacuum worker is in the scratch database of a role with only CREATEDB',
    async () => {
      for (let round = 1; round <= restoreTests; round += 1) {
        const maker = context(withDatabase(as('maker'), 'source'));
        const result = await verify(
          at(maker, ['verify.compared'], async (database) => {
            await until('an autovacuum worker is there', async () => {
              const [row] = await query(
                `SELECT count(*) AS n FROM pg_stat_activity WHERE datname = '${database}' AND backend_type = 'autovacuum worker'`,
              );
              return row?.['n'] !== '0';
            });
          }),
        );
        expect(result).toMatchObject({ok: true, findings: []});
        expect(maker.warnings.join()).not.toContain('Could not drop');
        expect(await scratchDatabases()).toEqual([]);
        expect(await journals()).toEqual([]);
      }
    },
    300_000 + 20_000 * restoreTests,
  );

  it('is not lost when the scratch database cannot be dropped, which is left to recover with a warning', async () => {
    const maker = context(withDatabase(as('maker'), 'source'));
    const keepIt = at(maker, ['verify.compared'], (database) =>
      run(`ALTER DATABASE ${database} IS_TEMPLATE true`),
    );
    expect(await verify(keepIt)).toMatchObject({ok: true, findings: []});
    const [left] = await scratchDatabases();
    const name = left?.['datname'] ?? '';
    expect(maker.warnings.join('\n')).toContain(`Could not drop the scratch database "${name}"`);
    expect(await journals()).toHaveLength(1);
    await run(`ALTER DATABASE ${name} IS_TEMPLATE false`);
  });
});

describe('in a read-only database', () => {
  type Act = (within: TestContext) => Promise<VerifiedBackup | undefined>;
  const restore =
    (request: RestoreRequest): Act =>
    async (within) => {
      await restoreDatabase(within, {backupFile: backup, ...request});
      return undefined;
    };
  it.each<[string, Act]>([
    ['a restore test', verify],
    ['restore --create-db', restore({targetDb: 'made', createDb: true})],
    ['restore --drop-existing', restore({dropExisting: true})],
  ])('%s is refused before it begins, and nothing is "still there"', async (_what, act) => {
    const reader = context(withDatabase(as('reader'), 'source'));
    const {code, text} = await act(reader).then(
      (result) => ({code: result?.code, text: result?.findings.join() ?? ''}),
      (reason: unknown) => ({code: (reason as AppError).code, text: (reason as AppError).message}),
    );
    expect(code).toBe('NOT_SUPPORTED_HERE');
    expect(text).toContain('default_transaction_read_only is on');
    expect(`${text} ${reader.warnings.join(' ')}`).not.toMatch(/still there|dropped/);
    expect(await journals()).toEqual([]);
  });

  it('does not report a database that the server refused to create, and leaves no journal', async () => {
    const stranger = context(withDatabase(as('stranger'), 'source'));
    expect(await verify(stranger)).toMatchObject({outcome: 'not-possible', code: 'PERMISSION_DENIED'});
    expect(stranger.warnings.join()).not.toContain('Could not drop');
    expect(await journals()).toEqual([]);
  });
});

describe('a role without CONNECT on the source', () => {
  const enter = (database: string): Promise<string> =>
    run('SELECT 1', withDatabase(as('stranger'), database)).then(
      () => 'entered',
      (error: unknown) => (error as AppError).code,
    );

  it('never enters a scratch database', async () => {
    const tried: string[] = [];
    const points: FaultPoint[] = [
      'verify.scratch-made',
      'verify.scratch-marked',
      'verify.loaded',
      'verify.compared',
    ];
    const maker = context(withDatabase(as('maker'), 'source'));
    await verify(at(maker, points, async (database) => void tried.push(await enter(database))));
    expect(tried).toHaveLength(points.length);
    expect(tried).not.toContain('entered');
  });

  it('does not enter a database that was closed to it before a restore filled it', async () => {
    await run('CREATE DATABASE target OWNER maker');
    await run('REVOKE CONNECT ON DATABASE target FROM PUBLIC');
    await restoreDatabase(context(withDatabase(as('maker'), 'target')), {backupFile: backup});
    expect(await enter('target')).toBe('PERMISSION_DENIED');
  });

  it.each([
    [
      'enters the restored database when everybody may enter the source',
      'GRANT CONNECT ON DATABASE source TO PUBLIC',
      'entered',
    ],
    [
      'does not enter the restored database either',
      'REVOKE CONNECT ON DATABASE source FROM PUBLIC',
      'PERMISSION_DENIED',
    ],
  ])('never enters a staging database, and %s', async (_what, grant, afterwards) => {
    await run('CREATE DATABASE target TEMPLATE source OWNER maker');
    await run(grant.replace('source', 'target'));
    const maker = context(withDatabase(as('maker'), 'target'));
    const tried: string[] = [];
    const points: FaultPoint[] = [
      'staging.made',
      'staging.marked',
      'restore.loaded',
      'restore.compared',
      'staging.filled',
    ];
    await restoreDatabase(
      at(maker, points, async (database) => void tried.push(await enter(database))),
      {backupFile: backup, dropExisting: true},
    );
    expect(tried.length).toBeGreaterThanOrEqual(3);
    expect(tried).not.toContain('entered');
    expect(await enter('target')).toBe(afterwards);
  });
});
