/** Follows pages of the documentation literally, each on its own server. DESTINO_TEST_RECORD=1 records their output again. */
import {readFile, rm, writeFile} from 'node:fs/promises';
import {basename, join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {beforeAll, describe, expect, inject, it} from 'vitest';
import {digestFile} from '../../src/lib/base/checksum.js';
import {type BackupRecord, readBackupRecord, standingOfRecord} from '../../src/lib/catalog/backup-record.js';
import {readCatalogue} from '../../src/lib/catalog/catalogue.js';
import {encryptionOf} from '../../src/lib/encryption/settings.js';
import {type Connection, libpqEnvironment} from '../../src/lib/postgres/connect/connection.js';
import {backupDatabase} from '../../src/lib/services/backup/local-backup.js';
import {serverBinFolders, startLocalCluster} from '../../src/lib/postgres/tools/local-cluster.js';
import type {BackupRequest} from '../../src/lib/services/backup/options.js';
import {cleanOrders} from '../../src/lib/services/orders/clean/execute.js';
import {verifyBackups} from '../../src/lib/services/verify/verify.js';
import {makeKey} from '../support/age.js';
import {withAppSession} from '../support/app-session.js';
import {cleanRequest} from '../support/clean-request.js';
import {databaseFacts, differences} from '../support/database-facts.js';
import {beforeEachPage, type PageServer} from '../support/page-server.js';
import {runCli, runProgram, tempFolder} from '../support/run-cli.js';
import {environmentOf, runPage} from '../support/run-page.js';
import {startSupabaseServer, type SupabaseServer} from '../support/supabase-server.js';
import {urlOf} from '../support/temp-database.js';
import {testContext} from '../support/test-context.js';

let server: PageServer;
let folder: string;

beforeEachPage((given, made) => {
  server = given;
  folder = made;
});

const shop = () => ({DIRECT_URL: server.url('shop')});

/** The stock tools of the server's version come first. */
const withTools = () => ({PATH: `${inject('serverBin')}:${process.env['PATH'] ?? ''}`});

/** Makes the backup that the page assumes. */
async function backUp(
  from: string,
  {into = folder, ...request}: BackupRequest & {into?: string} = {},
): Promise<BackupRecord> {
  const context = testContext(into, {settings: {databaseUrl: from}});
  const {metadataPath} = await backupDatabase(context, request);
  return readBackupRecord(metadataPath ?? '');
}

/** All rows of all tables of a database, in any order; temporary tables can belong to a session that is just ending. */
async function contentOf(database: string): Promise<string> {
  const [tables] = await server.run(
    `SELECT string_agg(format($$SELECT %L AS name, count(*) || coalesce(md5(string_agg(md5(t::text), '' ORDER BY md5(t::text))), '') AS content FROM %I.%I AS t$$,
        tablename, schemaname, tablename), ' UNION ALL ' ORDER BY schemaname, tablename) AS query
       FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema') AND NOT starts_with(schemaname, 'pg_temp_')`,
    database,
  );
  return JSON.stringify(await server.run(tables?.['query'] ?? '', database));
}

describe('a project at Supabase, and a new one', () => {
  let project: SupabaseServer;
  let fresh: SupabaseServer;

  beforeAll(async () => {
    [project, fresh] = await Promise.all([startSupabaseServer(), startSupabaseServer(undefined, 'platform')]);
    return () => Promise.all([project.stop(), fresh.stop()]);
  });

  const asAdmin = (to: SupabaseServer, sql: string): Promise<unknown> =>
    withAppSession(to.admin(), (session) => session.client.query(sql));
  const damage = (): Promise<unknown> =>
    asAdmin(
      project,
      'DELETE FROM public.payments; GRANT ALL ON public.payments TO anon; DROP TABLE public.promo_codes',
    );
  /** Ids of backups start with the project, which the test's server lacks. */
  const ofProject = ['postgres-abcdefghijkl-20', 'postgres-20'] as const;

  it('getting started: a proven backup in three commands, with the .env of a Prisma project', async () => {
    const address = urlOf(project.project).replace(/^postgresql:\/\/|\?.*$/g, '');
    const pooler = 'postgres.abcdefghijkl:PASSWORD@aws-0-us-west-1.pooler.supabase.com';
    await runPage('docs/getting-started.md', {
      folder,
      shown: [
        [`${pooler}:6543/postgres`, address],
        [`${pooler}:5432/postgres`, address],
        ofProject,
        ['/srv/club', folder],
      ],
      elsewhere: {'npm install --global ./destino-db-0.1.0.tgz': 'test/e2e/packed-program.test.ts'},
    });
    const {backups} = await readCatalogue(join(folder, 'backups', 'database'));
    const record = backups[0]?.record;
    expect(record && standingOfRecord(record).proof).toMatchObject({level: 'restore', ok: true});
  });

  it('restoring at 3 a.m., and the four tasks of the old restore-db', async () => {
    const before = await databaseFacts(project.admin());
    const paid = () =>
      withAppSession(project.admin(), (session) =>
        session.query(
          'SELECT count(*) AS payments, md5(string_agg(p::text, chr(10) ORDER BY id)) AS rows FROM public.payments p',
        ),
      );
    const payments = await paid();
    const {id, timestamp} = await backUp(urlOf(project.project));
    await showWhatTheServicesDumpLacks(project);
    await damage();
    await writeFile(join(folder, '.env'), `DIRECT_URL=${urlOf(project.project)}\n`, {mode: 0o600});
    const into = await tempFolder();
    await writeFile(join(into, '.env'), `DIRECT_URL=${server.url('shop')}\n`, {mode: 0o600});
    const whole = await contentOf('shop');
    await backUp(server.url('shop'), {into});
    await server.run('DELETE FROM refunds', 'shop');
    const damaged = await contentOf('shop');
    const {host, port, user, password} = project.project;
    await runPage('docs/restore.md', {
      folder,
      env: {
        ...withTools(),
        ...{PGHOST: host, PGPORT: String(port), PGUSER: user, PGPASSWORD: password ?? ''},
        NEW_PROJECT_URL: urlOf(fresh.project),
      },
      shown: [
        ['postgres-abcdefghijkl-2026-11-25T02-00-04', id],
        ofProject,
        ['2026-11-25T02:30:00Z', timestamp],
        ['/srv/club', folder],
        ['/srv/shop', into],
      ],
      statuses: {'destino-db backup --label before-restore': 4},
      before: async (script) => {
        if (script.includes('--target-db recovery')) {
          expect(differences(before, await databaseFacts(project.admin()))).toEqual([]);
          await asAdmin(project, 'DELETE FROM public.payments WHERE id <= 10');
        }
        if (script.includes('NEW_PROJECT_URL')) expect(await paid()).toEqual(payments);
        if (script.includes('cd /srv/shop')) expect(await compared(before, fresh)).toEqual([]);
        if (script.includes('destino-db undo')) expect(await contentOf('shop')).toBe(whole);
      },
    });
    expect(await contentOf('shop')).toBe(damaged);
    await rm(into, {recursive: true});
  }, 300_000);

  it('restoring without this tool', async () => {
    await fresh.reset('platform');
    // Another page may have created it.
    await asAdmin(
      fresh,
      `DO $$ BEGIN IF to_regrole('reporting') IS NOT NULL THEN DROP OWNED BY reporting; DROP ROLE reporting; END IF; END $$`,
    );
    const before = await databaseFacts(project.admin());
    const {id} = await backUp(urlOf(project.project));
    await damage();
    const url = server.url('shop');
    const context = testContext(folder, {settings: {databaseUrl: url}});
    const encryption = await encryptionOf(context, {recipients: [makeKey(join(folder, 'key.txt'))]});
    const encrypted = await backUp(url, {encryption});
    const ids = [
      ['shop-2026-11-25T02-00-04', (await backUp(url)).id],
      ['shop-2026-11-25T02-10-04', (await backUp(url, {format: 'directory'})).id],
      ['shop-2026-11-25T02-20-04', (await backUp(url, {format: 'sql'})).id],
      ['shop-2026-11-25T02-30-04', encrypted.id],
    ] as const;
    const whole = await contentOf('shop');
    const {backupPath} = await cleanOrders(context, cleanRequest());
    const cleaned = await contentOf('shop');
    await runPage('docs/without-this-tool.md', {
      folder,
      env: withTools(),
      shown: [
        service('aws-0-us-west-1.pooler.supabase.com', 'postgres.abcdefghijkl', project.project),
        service('aws-0-eu-central-1.pooler.supabase.com', 'postgres.mnopqrstuvwx', fresh.project),
        service('db.shop.example', 'shop', {...server.cluster.connection, database: 'shop'}),
        ['postgres-abcdefghijkl-2026-11-25T02-00-04', id],
        ...ids,
        ['orders-backup-2026-11-25T02-40-04.json', basename(backupPath ?? '')],
        ['/srv/club', folder],
        ['/srv/shop', folder],
      ],
      before: async (script) => {
        if (script.includes('service=new-project'))
          expect(differences(before, await databaseFacts(project.admin()))).toEqual([]);
        if (script.includes('createdb --template=template0 shop_custom')) {
          const left = await compared(before, fresh);
          expect(left.filter((line) => !/member \| |role \| reporting/.test(line))).toEqual([]);
        }
        if (!script.includes('put-back-orders')) return;
        for (const format of ['directory', 'sql']) expect(await contentOf(`shop_${format}`)).toBe(whole);
        // The page swapped the names: the shop has all of its orders, and the cleaned database is set aside.
        expect(await contentOf('shop')).toBe(whole);
        await server.run('DROP DATABASE shop WITH (FORCE)');
        await server.run('ALTER DATABASE shop_old RENAME TO shop');
        expect(await contentOf('shop')).toBe(cleaned);
      },
    });
    expect(await contentOf('shop')).toBe(whole);
    const decrypted = await digestFile(join(folder, 'backups', 'database', 'plain.dump'));
    expect(decrypted).toMatchObject({sha256: encrypted.encryption?.plain.sha256});
  }, 300_000);
});

/** A section of a service file on the page, and its values here. */
function service(host: string, user: string, real: Connection): [string, string] {
  const section = (
    at: Pick<Connection, 'host' | 'port' | 'user'>,
    password: string,
    sslmode: string,
  ): string =>
    `host=${at.host}\nport=${at.port}\nuser=${at.user}\npassword=${password}\ndbname=${real.database}\nsslmode=${sslmode}\n`;
  return [
    section({host, port: 5432, user}, 'PASSWORD', 'require'),
    section(real, real.password ?? '', 'disable'),
  ];
}

it('orders in other schemas', async () => {
  const markdown = await readFile(
    fileURLToPath(new URL('../../docs/orders-profiles.md', import.meta.url)),
    'utf8',
  );
  const schema = /```sql schema\.sql\n([^]*?)```/.exec(markdown)?.[1] ?? '';
  await server.run('CREATE DATABASE sales TEMPLATE template0');
  await server.load(schema, 'sales');
  const before = await contentOf('sales');
  await runPage('docs/orders-profiles.md', {
    folder,
    env: {DIRECT_URL: server.url('sales')},
    shown: [['/srv/shop', folder]],
  });
  expect(await contentOf('sales')).toBe(before);
});

it('restoring rows', async () => {
  await backUp(server.url('shop'));
  const whole = await contentOf('shop');
  await server.run('UPDATE products SET price = 0', 'shop');
  await server.run(`DELETE FROM order_items WHERE id::text < '4'`, 'shop');
  let damaged = '';
  await runPage('docs/restore-rows.md', {
    folder,
    env: shop(),
    shown: [['/srv/shop', folder]],
    before: async (script) => {
      if (script.includes('--missing --execute')) damaged = await contentOf('shop');
      if (script.includes('--undo')) expect(await contentOf('shop')).toBe(whole);
    },
  });
  expect(await contentOf('shop')).not.toBe(damaged);
  expect(await contentOf('shop')).not.toBe(whole);
});

it('large databases', async () => {
  await runPage('docs/large-databases.md', {
    folder,
    env: shop(),
    elsewhere: {
      "destino-db backup --exclude-table 'public.email_*' --label without-mails":
        'test/postgres/backup-database.test.ts',
      'destino-db restore --latest --target-db shop_copy --create-db --parallel-jobs 4 --toast-compression lz4':
        'test/postgres/restore-database.test.ts',
    },
  });
});

/** Output of `supabase db dump`: pg_dump without these schemas (pkg/migration/dump.go of supabase/cli). */
async function showWhatTheServicesDumpLacks({project}: SupabaseServer): Promise<void> {
  const dump = async (flag: string, schemas: readonly string[]): Promise<string> => {
    const flags = [flag, ...schemas.map((schema) => `--exclude-schema=${schema}`)];
    const env = {...withTools(), ...libpqEnvironment(project)};
    const {status, stdout} = await runProgram(join(inject('serverBin'), 'pg_dump'), flags, {
      cwd: folder,
      env,
    });
    expect(status).toBe(0);
    return stdout;
  };
  const both = 'extensions graphql graphql_public pgbouncer realtime supabase_migrations vault'.split(' ');
  const definitions = await dump('--schema-only', [...both, 'auth', 'cron', 'net', 'storage']);
  expect(definitions).toContain('CREATE TABLE public.payments');
  expect(definitions).not.toMatch(
    /on_auth_user_created|room files are read|upload_notes|supabase_migrations|default_statistics_target/,
  );
  // In a new project its default privileges grant the table to anon, and nothing revokes that.
  expect(definitions).toMatch(/GRANT .* ON TABLE public\.payments TO reporting/);
  expect(definitions).not.toMatch(/REVOKE .* ON TABLE public\.payments/);
  const rows = await dump('--data-only', both);
  expect(rows).toMatch(/COPY auth\.users[^]*COPY cron\.job [^]*COPY storage\.upload_notes/);
  expect(rows).not.toContain('supabase_migrations');
}

/** Differences in a new project, except objects that are tied to one. */
async function compared(before: readonly string[], {admin}: SupabaseServer): Promise<string[]> {
  const tied =
    /^(?:rows \| (?:auth\.schema_migrations|storage\.migrations|realtime\.|cron\.job|vault\.)|sequence \| (?:realtime|cron)\.|setting|database) ?/;
  const isOwn = (line: string): boolean => !tied.test(line);
  return differences(before.filter(isOwn), (await databaseFacts(admin())).filter(isOwn));
}

it('monitoring', async () => {
  expect((await runCli(['backup'], {cwd: folder, env: shop()})).status).toBe(0);
  const context = testContext(folder, {settings: {databaseUrl: server.url('shop')}});
  const verified = await verifyBackups(context, {}, {level: 'restore', scratch: {kind: 'same'}});
  expect(verified).toMatchObject({results: [{ok: true}]});
  await runPage('docs/monitoring.md', {
    folder,
    env: shop(),
    shown: [['/var/lib/prometheus/node-exporter', folder]],
  });
});

it('scheduling', async () => {
  expect((await runCli(['backup'], {cwd: folder, env: shop()})).status).toBe(0);
  await writeFile(join(folder, 'package-lock.json'), '{"packages": {"node_modules/destino-db": {}}}');
  await writeFile(
    join(folder, 'destino-db.config.json'),
    JSON.stringify({schedule: {plan: ['daily custom at 02:00 keep 30 days', 'monthly restore test']}}),
  );
  await runPage('docs/scheduling.md', {
    folder,
    env: shop(),
    shown: [['/media/usb', folder]],
    elsewhere: {
      'destino-db schedule --as cron             # print the block': 'test/e2e/cron.test.ts',
      'destino-db schedule --as systemd --install': 'test/commands/schedule.test.ts',
      'destino-db schedule --run': 'test/commands/schedule-run.test.ts',
    },
  });
});

it('several databases', async () => {
  const {connection} = server.cluster;
  await withAppSession(connection, (session) => session.query('CREATE DATABASE blog'));
  await runPage('docs/several-databases.md', {
    folder,
    env: {
      ...withTools(),
      SHOP_DATABASE_URL: server.url('shop'),
      CLUSTER_URL: urlOf({...connection, database: 'postgres'}),
    },
  });
  await withAppSession(connection, (session) => session.query('DROP DATABASE blog'));
});

it('migrations with Prisma', async () => {
  const migration = join(folder, 'migration.sql');
  await writeFile(
    migration,
    `ALTER TABLE products ADD COLUMN "isVegan" boolean NOT NULL DEFAULT false;
     DELETE FROM email_alerts WHERE id IN (SELECT id FROM email_alerts ORDER BY id LIMIT 3);`,
  );
  const {connection} = server.cluster;
  const env = {
    ...withTools(),
    ...libpqEnvironment({...connection, database: 'shop'}),
    ...shop(),
  };
  let migrated = '';
  await runPage('docs/prisma-migrate.md', {
    folder,
    env,
    shown: [['npx prisma migrate deploy', 'psql -X -q -v ON_ERROR_STOP=1 -f migration.sql']],
    before: async (script) => {
      if (script.includes('--dry-run')) {
        migrated = await contentOf('shop');
        await writeFile(
          migration,
          'UPDATE products SET price = 0; ALTER TABLE missing ADD COLUMN name text;',
        );
        const failed = await runProgram('/bin/bash', ['migrate.sh'], {
          cwd: folder,
          env: await environmentOf({folder, env}),
        });
        expect(failed.status).toBe(1);
        expect(failed.stderr).toMatch(/The migration failed\. The backup from before it is shop-\d/);
        expect(await contentOf('shop')).not.toBe(migrated);
      }
      if (script.includes('destino-db undo')) expect(await contentOf('shop')).toBe(migrated);
    },
  });
  expect(await contentOf('shop')).not.toBe(migrated);
});

it('upgrading PostgreSQL, to the newest installed version', async () => {
  const [newest] = await serverBinFolders();
  const newer = await startLocalCluster({binFolder: newest?.folder ?? ''});
  const newUrl = urlOf({...newer.connection, database: 'shop'});
  const inNew = (sql: string): Promise<unknown> =>
    withAppSession({...newer.connection, database: 'shop'}, (session) => session.query(sql));
  const before = await contentOf('shop');
  await server.run('ALTER DATABASE shop SET work_mem = $$8MB$$');
  try {
    await runPage('docs/postgres-upgrade.md', {
      folder,
      env: {...withTools(), ...libpqEnvironment({...server.cluster.connection, database: 'shop'})},
      shown: [
        ['postgresql://shop:PASSWORD@localhost:5432/shop', server.url('shop')],
        ['postgresql://shop:PASSWORD@localhost:5433/shop', newUrl],
        ['/usr/lib/postgresql/18/bin', newest?.folder ?? ''],
      ],
      before: async (script) => {
        if (script.includes('going-back')) {
          expect(await contentOf('shop')).toBe(before);
          await inNew('UPDATE public.products SET price = price + 1');
        }
      },
    });
    expect(await inNew('SELECT count(*) AS rows FROM public.orders')).toEqual(
      await server.run('SELECT count(*) AS rows FROM orders', 'shop'),
    );
    expect(await contentOf('shop')).not.toBe(before);
  } finally {
    await newer.stop();
  }
});
