import {mkdir, readFile, rm, symlink, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {afterAll, beforeAll, describe, expect, inject, it} from 'vitest';
import type {DumpContents} from '../../src/lib/fingerprint/table-contents.js';
import {fingerprintDatabase} from '../../src/lib/fingerprint/fingerprint.js';
import {readDump} from '../../src/lib/dump/read-dump.js';
import {withAppSession} from '../support/app-session.js';
import {withDatabase} from '../../src/lib/postgres/connect/connection.js';
import {
  type LocalCluster,
  serverBinFolders,
  startLocalCluster,
} from '../../src/lib/postgres/tools/local-cluster.js';
import {backupDatabase} from '../../src/lib/services/backup/local-backup.js';
import {checkMachine} from '../../src/lib/services/doctor/doctor.js';
import {cleanOrders} from '../../src/lib/services/orders/clean/execute.js';
import {refresh} from '../../src/lib/services/refresh/refresh.js';
import {restoreDatabase} from '../../src/lib/services/restore/execute.js';
import {restoreOrders} from '../../src/lib/services/orders/restore/execute.js';
import {verifyBackups} from '../../src/lib/services/verify/verify.js';
import {cleanRequest} from '../support/clean-request.js';
import {cases} from '../support/long-form.js';
import {makeBackup} from '../support/make-backup.js';
import {makeDump, testSettings} from '../support/make-dump.js';
import {runProgram, tempFolder} from '../support/run-cli.js';
import {createTempDatabase, type TempDatabase, urlOf} from '../support/temp-database.js';
import {testContext} from '../support/test-context.js';

// The newest installed server: scripts/install-postgres18.sh installs 18 beside the distribution's version.
let newest: LocalCluster;
let newestMajor: number;
let database: TempDatabase;
let folder: string;

beforeAll(async () => {
  folder = await tempFolder();
  const [server] = await serverBinFolders();
  newestMajor = server?.major ?? inject('serverMajor');
  newest = await startLocalCluster({binFolder: server?.folder ?? inject('serverBin')});
  database = await createTempDatabase('template0');
  await database.run(await portableFixture());
  await withAppSession(newest.connection, (session) => session.query('CREATE ROLE every_type_reader'));
});

/** The fixture without parts that depend on the build of the server. */
async function portableFixture(): Promise<string> {
  const text = await readFile(new URL('../fixtures/every-type.sql', import.meta.url), 'utf8');
  return text.replace("(provider = icu, locale = 'en-u-kn-true')", "(provider = libc, locale = 'C')");
}

afterAll(async () => {
  await newest.stop();
  await database.drop();
  await rm(folder, {recursive: true, force: true});
});

const rowsOf = (contents: DumpContents) =>
  contents.tables.map(({schema, name, rows, fingerprint}) => ({schema, name, rows, fingerprint}));

describe('the newest major version', () => {
  it('is never restored into an older one without a warning before', async () => {
    const of = (url: string) => testContext(join(folder, 'newer'), {settings: {databaseUrl: url}});
    const {id} = await backupDatabase(of(urlOf(newest.connection)), {});
    const context = of(database.url);
    const request = {backupFile: id ?? '', targetDb: 'older_target', createDb: true, dryRun: true};
    await restoreDatabase(context, request);
    const older = inject('serverMajor');
    expect(context.warnings.filter((text) => text.includes('the target runs'))).toEqual(
      newestMajor > older
        ? [expect.stringContaining(`PostgreSQL ${newestMajor}, the target runs ${older}`)]
        : [],
    );
  });

  it('is named before a plain dump of it is restored into an older server, for all installed versions', async () => {
    const path = join(folder, 'of-newer.sql');
    const {stdout} = await runProgram(join(inject('serverBin'), 'pg_dump'), [database.url]);
    await writeFile(path, stdout.replace(/^(?<start>-- Dumped from database version ).*$/m, '$<start>99.1'));
    const context = testContext(join(folder, 'foreign'), {settings: {databaseUrl: database.url}});
    const request = {backupFile: path, targetDb: 'older_target', createDb: true, dryRun: true};
    const {warnings} = await restoreDatabase(context, request);
    expect(warnings).toContainEqual(
      expect.stringContaining(`PostgreSQL 99, the target runs ${inject('serverMajor')}`),
    );
  });

  it('is refused to client tools that are older, with a hint', async () => {
    const [oldest] = (await serverBinFolders()).reverse();
    const pgBin = join(folder, 'older');
    await mkdir(pgBin);
    for (const name of ['pg_dump', 'pg_restore', 'psql']) {
      const real = join(oldest?.folder ?? inject('serverBin'), name);
      // If only one version is installed, its tools under another number count as the older one.
      const version = `#!/bin/sh\ncase "$*" in *--version*) echo "${name} (PostgreSQL) ${newestMajor - 1}.1"; exit;; esac\nexec ${real} "$@"\n`;
      if (oldest && oldest.major < newestMajor) await symlink(real, join(pgBin, name));
      else await writeFile(join(pgBin, name), version, {mode: 0o755});
    }
    const url = urlOf(newest.connection);
    const context = testContext(folder, {settings: {databaseUrl: url, pgBin}});
    const error = await backupDatabase(context, {}).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    expect(error).toMatchObject({
      code: 'TOOL_TOO_OLD',
      exitCode: 3,
      message: expect.stringContaining(`older than the server (PostgreSQL ${newestMajor})`) as string,
      hint: expect.stringContaining(String(newestMajor)) as string,
    });
    const {checks} = await checkMachine(context);
    expect(
      checks
        .filter(({ok}) => !ok)
        .map(({message}) => message)
        .join('\n'),
    ).toMatch(/older/);
  });

  it.each(cases(['custom', 'sql.gz'] as const))(
    'restores a %s backup of the oldest, equal in every table',
    async (kind) => {
      const context = testContext(folder);
      const day = kind === 'custom' ? '01' : '02';
      const backup = await makeBackup(context, database.connection, kind, `2025-06-${day}T03:00:00.000Z`);
      const {results} = await verifyBackups(
        context,
        {},
        {
          backupFile: backup.path,
          level: 'restore',
          scratch: {kind: 'url', url: urlOf(newest.connection)},
        },
      );
      expect(results).toMatchObject([{ok: true, findings: []}]);
    },
  );

  it('gives the same fingerprints for the same rows, live and in dumps', async () => {
    const settings = await testSettings(folder);
    const old = await readDump(await makeDump(database.connection, folder, 'custom', {name: 'old'}), {
      settings,
      fingerprints: true,
    });
    await withAppSession(newest.connection, (session) =>
      session.query('CREATE DATABASE every_type TEMPLATE template0'),
    );
    const connection = withDatabase(newest.connection, 'every_type');
    const fixture = await portableFixture();
    await withAppSession(connection, (session) => session.client.query(fixture));
    for (const kind of ['custom', 'directory'] as const) {
      const dump = await makeDump(connection, folder, kind, {name: `new.${kind}`, major: newestMajor});
      const contents = await readDump(dump, {settings, fingerprints: true});
      expect(rowsOf(contents)).toEqual(rowsOf(old));
    }
    expect(await fingerprintDatabase(connection, old.tables)).toEqual(rowsOf(old));
  });

  it('restores orders with a time-based key of 18', async () => {
    await withAppSession(newest.connection, (session) =>
      session.query('CREATE DATABASE tickets TEMPLATE template0'),
    );
    const connection = withDatabase(newest.connection, 'tickets');
    const readRows = () => withAppSession(connection, (session) => session.query('SELECT * FROM ticket'));
    const without = newestMajor >= 18 ? 'WITHOUT OVERLAPS' : '';
    await withAppSession(connection, (session) =>
      session.client.query(`
        CREATE TABLE ticket (id int4range, during daterange, mail text, PRIMARY KEY (id, during ${without}));
        INSERT INTO ticket VALUES ('[1,2)', '[2026-01-01,2026-02-01)', 'test@x.org')`),
    );
    const before = await readRows();
    const root = {schema: 'public', table: 'ticket', key: ['id', 'during'], email: 'mail'};
    const context = testContext(folder, {
      env: {DIRECT_URL: urlOf(connection)},
      settings: {config: {orders: {profile: {name: 'tickets', roots: [root]}}}},
    });
    const {backupPath} = await cleanOrders(context, cleanRequest());
    expect(await readRows()).toEqual([]);
    await restoreOrders(context, {
      backupFile: String(backupPath),
      execute: true,
      failOnConflicts: true,
      onlyOrders: [],
    });
    expect(await readRows()).toEqual(before);
  });

  it('is masked with a foreign key whose rows last for a time, which several rows of the parent can cover', async () => {
    await withAppSession(newest.connection, (session) =>
      session.query('CREATE DATABASE rooms TEMPLATE template0'),
    );
    const connection = withDatabase(newest.connection, 'rooms');
    const [without, period] = newestMajor >= 18 ? ['WITHOUT OVERLAPS', 'PERIOD'] : ['', ''];
    const of = newestMajor >= 18 ? '[2026-01-01,2026-04-01)' : '[2026-01-01,2026-03-01)';
    await withAppSession(connection, (session) =>
      session.client.query(`
        CREATE TABLE room (id int4range, during daterange, keeper text, PRIMARY KEY (id, during ${without}));
        CREATE TABLE stay (id int4range, during daterange, guest text,
          FOREIGN KEY (id, ${period} during) REFERENCES room (id, ${period} during));
        INSERT INTO room VALUES ('[1,2)', '[2026-01-01,2026-03-01)', 'Anna'), ('[1,2)', '[2026-03-01,2026-05-01)', 'Ben');
        INSERT INTO stay VALUES ('[1,2)', '${of}', 'Carla')`),
    );
    const context = testContext(join(folder, 'rooms'), {
      settings: {
        databaseUrl: urlOf(connection),
        config: {masks: {'public.room.keeper': {mask: 'name'}, 'public.stay.guest': {mask: 'name'}}},
      },
      env: {STAGING_URL: urlOf(withDatabase(newest.connection, 'masked_rooms'))},
    });
    await backupDatabase(context, {});
    const {masked} = await refresh(context, {}, {targetUrlEnv: 'STAGING_URL', keepSetAside: 0});
    expect(masked?.proof.checks).toContainEqual(
      expect.objectContaining({kind: 'foreign keys', compared: 1, failed: 0}),
    );
  });
});
