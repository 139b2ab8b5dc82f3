/** Backups from a standby, where unlogged tables have no rows, and operations that a standby does not support. */
import {rm} from 'node:fs/promises';
import {join} from 'node:path';
import {afterAll, beforeAll, expect, inject, it} from 'vitest';
import {readBackupRecord} from '../../src/lib/catalog/backup-record.js';
import {withSession} from '../../src/lib/postgres/client.js';
import {withDatabase} from '../../src/lib/postgres/connect/connection.js';
import {ownerCommentStatement} from '../../src/lib/postgres/databases/owner-comment.js';
import {type LocalCluster, startLocalCluster} from '../../src/lib/postgres/tools/local-cluster.js';
import {thisProcess} from '../../src/lib/base/process-identity.js';
import {backupDatabase} from '../../src/lib/services/backup/local-backup.js';
import {checkMachine} from '../../src/lib/services/doctor/doctor.js';
import {cleanOrders} from '../../src/lib/services/orders/clean/execute.js';
import {pruneSetAside} from '../../src/lib/services/prune/prune-databases.js';
import {recoverLeftovers} from '../../src/lib/services/recover/recover.js';
import {restoreDatabase} from '../../src/lib/services/restore/execute.js';
import {restoreOrders} from '../../src/lib/services/orders/restore/execute.js';
import {safeCleanup} from '../../src/lib/services/orders/workflow/safe-cleanup.js';
import {undoRestore} from '../../src/lib/services/restore/undo.js';
import {verifyBackups} from '../../src/lib/services/verify/verify.js';
import {withAppSession} from '../support/app-session.js';
import {cleanRequest} from '../support/clean-request.js';
import {until} from '../support/observe.js';
import {tempFolder} from '../support/run-cli.js';
import {startProxy} from '../support/server-proxy.js';
import {startStandby} from '../support/standby.js';
import {urlOf} from '../support/temp-database.js';
import {testContext} from '../support/test-context.js';
import {writeOrderBackup} from '../support/write-order-backup.js';
import {cases} from '../support/long-form.js';

const binFolder = inject('serverBin');
let primary: LocalCluster;
let standby: LocalCluster;
let folder: string;

beforeAll(async () => {
  folder = await tempFolder();
  primary = await startLocalCluster({binFolder, settings: ['max_connections = 100']});
  await withSession(primary.connection, (session) =>
    session.client
      .query(`CREATE TABLE public.orders (id int PRIMARY KEY); INSERT INTO public.orders SELECT generate_series(1, 500);
      CREATE UNLOGGED TABLE public.cache (id int); INSERT INTO public.cache SELECT generate_series(1, 100);
      CREATE ROLE reader SUPERUSER LOGIN PASSWORD 'x'; ALTER ROLE reader SET default_transaction_read_only = on`),
  );
  const dead = {...(await thisProcess()), processStart: 'an earlier boot'};
  const mark = {
    kind: 'scratch',
    database: 'x',
    at: '2026-11-22T03:10:00.000Z',
    owner: dead,
    comment: null,
  } as const;
  const scratch = 'destino_scratch_0123456789ab';
  for (const statement of [
    'CREATE DATABASE frozen',
    'ALTER DATABASE frozen SET default_transaction_read_only = yes',
    `CREATE DATABASE ${scratch}`,
    ownerCommentStatement(scratch, mark),
  ])
    await queryOn(primary, statement);
  // Replication does not wait for queries.
  standby = await startStandby(primary, binFolder, ['max_standby_streaming_delay = 0']);
  // The time of the last replayed transaction is known after the first one.
  await withSession(primary.connection, (session) =>
    session.client.query('INSERT INTO public.orders VALUES (501)'),
  );
  await caughtUp();
});
afterAll(async () => {
  await standby.stop();
  await primary.stop();
  await rm(folder, {recursive: true, force: true});
});

/** Waits until the standby has replayed what the primary has written. */
async function caughtUp(): Promise<void> {
  const [row] = await queryOn(primary, 'SELECT pg_current_wal_lsn() AS lsn');
  await until('the standby has replayed it', async () => {
    const [replayed] = await queryOn(
      standby,
      `SELECT pg_last_wal_replay_lsn() >= '${row?.['lsn'] ?? ''}' AS is_there`,
    );
    return replayed?.['is_there'] === 't';
  });
}

const contextOf = (server: LocalCluster) =>
  testContext(folder, {settings: {databaseUrl: urlOf(server.connection)}});

it.each(cases(['directory', 'custom', 'sql'] as const))(
  'a backup succeeds although unlogged tables have no rows there, which it reports: %s',
  async (format) => {
    const context = contextOf(standby);
    const {id, metadataPath, tables} = await backupDatabase(context, {format});
    expect(tables).toMatchObject([{table: 'public.orders', rows: 501}]);
    const said = context.warnings.join('\n');
    expect(said).toMatch(/standby, as of \d{4}-\d\d-\d\dT[\d:]+Z: .*hot_standby_feedback/);
    expect(said).toContain('1 unlogged table has no rows on a standby');
    expect((await readBackupRecord(metadataPath ?? '')).inventory.leftOut).toEqual([
      {table: 'public.cache', reason: 'unlogged: its rows are not on a standby'},
    ]);
    const proof = {backupFile: id ?? '', level: 'restore'} as const;
    for (const [at, kind] of [
      [standby, 'local'],
      [primary, 'same'],
    ] as const) {
      const {results} = await verifyBackups(contextOf(at), {}, {...proof, scratch: {kind}});
      expect(results).toMatchObject([{outcome: 'passed', findings: []}]);
    }
  },
);

it.each(cases(['custom', 'directory'] as const))(
  'repeats a backup that replication cancelled: %s',
  async (format) => {
    // pg_dump has its snapshot, and waits in the middle of its queries for the rows.
    const proxy = await startProxy(standby.connection, {needle: 'COPY public.orders (id'}, 'hold');
    const context = testContext(folder, {settings: {databaseUrl: urlOf(proxy.connection)}});
    try {
      const made = backupDatabase(context, {format});
      await Promise.race([proxy.reached, made]);
      await queryOn(primary, 'DELETE FROM orders WHERE id > 100');
      // Before the conflict, which can start the second attempt at once.
      await queryOn(primary, 'INSERT INTO orders SELECT generate_series(101, 501)');
      await queryOn(primary, 'VACUUM orders');
      await caughtUp();
      proxy.release();
      const {tables} = await made;
      expect(tables).toMatchObject([{table: 'public.orders', rows: 501}]);
      expect(context.warnings.join('\n')).toContain(
        'The standby cancelled the dump so that replication could continue, so it runs again.',
      );
    } finally {
      await proxy.close();
    }
  },
);

// The primary's role "reader" and its database "frozen" are read-only by default; a standby is always read-only.
const circumstances: readonly (readonly [name: string, url: () => string, why: string])[] = [
  ['on a standby', () => urlOf(standby.connection), 'standby'],
  ['as a role', () => urlOf({...primary.connection, user: 'reader', password: 'x'}), 'for this role'],
  ['in a database', () => urlOf(withDatabase(primary.connection, 'frozen')), 'database'],
  [
    'with options of the URL',
    () => `${urlOf(primary.connection)}&options=-c%20default_transaction_read_only%3Dtrue`,
    'in the options of the URL',
  ],
];

it.each(cases(circumstances, 2))(
  'refuses operations that write before they begin, in dry runs too, and doctor reports it: %s',
  async (_name, url, why) => {
    const context = testContext(folder, {settings: {databaseUrl: url()}});
    const {id} = await backupDatabase(contextOf(primary), {});
    const orders = join(folder, 'orders-backup-2026-11-22T03-10-00.json');
    await writeOrderBackup({name: 'postgres', query: (sql) => queryOn(primary, sql)}, orders, {
      roots: ['public.orders'],
      tables: [{table: 'public.orders', where: 't.id = 1'}],
    });
    const before = await stateOf(primary);
    const backupFile = id ?? '';
    const restores = [{dropExisting: true}, {clean: true}, {}, {dataOnly: true}, {schemaOnly: true}];
    const onlyOrders: readonly string[] = [];
    const attempts = [
      ...restores.flatMap((way) => [
        () => restoreDatabase(context, {backupFile, ...way, dryRun: true}),
        () => restoreDatabase(context, {backupFile, ...way}),
      ]),
      // Beside a read-only database, another one can be created.
      ...(_name === 'in a database'
        ? []
        : [() => restoreDatabase(context, {backupFile, targetDb: 'copy', createDb: true})]),
      () => undoRestore(context, {dryRun: true}),
      () => undoRestore(context, {}),
      () => pruneSetAside(context, {dryRun: true}),
      () => pruneSetAside(context, {dryRun: false}),
      () => cleanOrders(context, cleanRequest({execute: false})),
      () => cleanOrders(context, cleanRequest()),
      () =>
        safeCleanup(context, {
          clean: cleanRequest(),
          fullBackup: {},
          command: () => [],
          pause: undefined,
        }),
      () => restoreOrders(context, {backupFile: orders, execute: false, failOnConflicts: false, onlyOrders}),
      () => restoreOrders(context, {backupFile: orders, execute: true, failOnConflicts: false, onlyOrders}),
    ];
    for (const attempt of attempts)
      await expect(attempt(), String(attempt)).rejects.toMatchObject({
        code: 'NOT_SUPPORTED_HERE',
        message: expect.stringMatching(`${why}.*Nothing was changed`) as string,
      });
    const {results} = await verifyBackups(
      context,
      {},
      {backupFile, level: 'restore', scratch: {kind: 'same'}},
    );
    expect(results).toMatchObject([
      {outcome: 'not-possible', findings: [expect.stringContaining(why) as string]},
    ]);
    for (const dryRun of [true, false])
      expect(await recoverLeftovers(context, {dryRun})).toMatchObject({
        recovered: [],
        serverNotLookedAt: expect.stringContaining(why) as string,
        serverError: 'NOT_SUPPORTED_HERE',
      });
    const {commands} = await checkMachine(context);
    const bad = why === 'standby' ? 'standby' : 'writable';
    for (const command of ['restore', 'restore --drop-existing', 'verify --level=restore', 'orders:clean'])
      expect(commands).toContainEqual({command, works: false, because: [bad]});
    expect(await stateOf(primary)).toEqual(before);
  },
);

const queryOn = (server: LocalCluster, sql: string) =>
  withAppSession(server.connection, async (session) => [...(await session.query(sql))]);

/** Databases, their comments and the orders. */
const stateOf = (server: LocalCluster) =>
  queryOn(
    server,
    `SELECT datname AS name, shobj_description(oid, 'pg_database') AS text FROM pg_database
     UNION ALL SELECT rolname, '' FROM pg_roles UNION ALL SELECT id::text, '' FROM orders ORDER BY 1`,
  );
