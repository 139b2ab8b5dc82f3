/** Pages of the documentation, followed to the letter on a server of their own. DESTINO_TEST_RECORD=1 writes what they show anew. */
import {readFile, writeFile} from 'node:fs/promises';
import {basename, join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {expect, inject, it} from 'vitest';
import {makeKey} from '../support/age.js';
import {beforeEachPage, type PageServer} from '../support/page-server.js';
import {withAppSession} from '../support/app-session.js';
import {databaseFacts, differences} from '../support/database-facts.js';
import {libpqEnvironment} from '../../src/lib/postgres/connect/connection.js';
import {runCli, runProgram} from '../support/run-cli.js';
import {runPage} from '../support/run-page.js';
import {startSupabaseServer, type SupabaseServer} from '../support/supabase-server.js';
import {urlOf} from '../support/temp-database.js';

let server: PageServer;
let folder: string;

beforeEachPage((given, made) => {
  server = given;
  folder = made;
});

const shop = () => ({DIRECT_URL: server.url('shop')});

/** What the stock tools are told, with those of the server's own version first in PATH. */
const stockEnvironment = () => {
  const {host, port, user, password} = server.cluster.connection;
  return {
    PGHOST: host,
    PGPORT: String(port),
    PGUSER: user,
    PGPASSWORD: password ?? '',
    PATH: `${inject('serverBin')}:${process.env['PATH'] ?? ''}`,
  };
};

/** Makes a backup as somebody did before the page begins, and returns its id. */
async function backUp(...flags: string[]): Promise<string> {
  const result = await runCli(['backup', '--json', ...flags], {cwd: folder, env: shop()});
  expect(result.status).toBe(0);
  return (result.json() as {id: string}).id;
}

/** Every row of every table of a database, whatever their order; temporary ones may be those of a session that is just ending. */
async function contentOf(database: string): Promise<string> {
  const tables = await server.run(
    "SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema') AND NOT starts_with(schemaname, 'pg_temp_') ORDER BY 1",
    database,
  );
  const digests: string[] = [];
  for (const {name} of tables) {
    const [row] = await server.run(
      `SELECT count(*) || coalesce(md5(string_agg(md5(t::text), '' ORDER BY md5(t::text))), '') AS content FROM ${name ?? ''} AS t`,
      database,
    );
    digests.push(`${name ?? ''} ${row?.['content'] ?? ''}`);
  }
  return digests.join('\n');
}

it('getting started: a proven backup in three commands, with the .env of a Prisma project at Supabase', async () => {
  // As at Supabase: no superuser, and a pooler in front.
  await server.run(`CREATE ROLE "postgres.abcdefghijkl" LOGIN CREATEDB CREATEROLE PASSWORD 'PASSWORD'`);
  await server.run('ALTER DATABASE shop OWNER TO "postgres.abcdefghijkl"');
  await server.run(
    `DO $$ DECLARE t text; BEGIN
       FOR t IN SELECT format('TABLE %I', tablename) FROM pg_tables WHERE schemaname = 'public'
          UNION ALL SELECT format('TYPE %s', oid::regtype) FROM pg_type WHERE typnamespace = 'public'::regnamespace AND typtype IN ('e', 'd')
          UNION ALL SELECT format('ROUTINE %s', oid::regprocedure) FROM pg_proc WHERE pronamespace = 'public'::regnamespace LOOP
         EXECUTE 'ALTER ' || t || ' OWNER TO "postgres.abcdefghijkl"';
       END LOOP; END $$`,
    'shop',
  );
  const here = `${server.cluster.connection.host}:${server.cluster.connection.port}/shop`;
  try {
    await runPage('docs/getting-started.md', {
      folder,
      shown: [
        ['aws-0-us-west-1.pooler.supabase.com:6543/postgres', here],
        ['aws-0-us-west-1.pooler.supabase.com:5432/postgres', here],
        ['/srv/shop', folder],
      ],
      elsewhere: {'npm install --global ./destino-db-0.1.0.tgz': 'test/e2e/packed-program.test.ts'},
    });
    const listed = (await runCli(['list', '--json'], {cwd: folder})).json();
    expect(listed).toMatchObject({backups: [{verification: {level: 'restore', ok: true}}]});
  } finally {
    await server.run('DROP DATABASE shop WITH (FORCE)');
    await server.run('DROP ROLE "postgres.abcdefghijkl"');
  }
});

it('restoring at 3 a.m.', async () => {
  const before = await contentOf('shop');
  const id = await backUp();
  await server.run('DELETE FROM refunds', 'shop');
  await server.run(`UPDATE orders SET notes = 'lost' WHERE total > 100`, 'shop');
  await runPage('docs/restore.md', {
    folder,
    env: shop(),
    shown: [
      ['shop-2026-11-25T02-00-04', id],
      ['/srv/shop', folder],
    ],
    statuses: {'destino-db backup --label before-restore': 4},
    before: async (script) => {
      if (!script.includes('--dry-run')) return;
      // The newest is of the damaged database by now, and whoever takes it is told.
      const latest = ['restore', '--latest', '--drop-existing', '--dry-run'];
      const {stderr} = await runCli(latest, {cwd: folder, env: shop()});
      expect(stderr).toMatch(/lost rows against the backup before it.*public\.refunds has 0 rows, 38 before/);
    },
  });
  expect(await contentOf('shop')).toBe(before);
});

it('restoring without this tool', async () => {
  const before = await contentOf('shop');
  const identity = join(folder, 'key.txt');
  const recipient = makeKey(identity);
  const flags = [
    ['shop-2026-11-25T02-00-04', '--format=custom'],
    ['shop-2026-11-25T02-10-04', '--format=directory'],
    ['shop-2026-11-25T02-20-04', '--format=sql'],
    ['shop-2026-11-25T02-30-04', `--encrypt-to=${recipient}`],
  ] as const;
  const ids: [string, string][] = [];
  for (const [shown, flag] of flags) ids.push([shown, await backUp(flag)]);
  const cleaned = await runCli(['orders:clean', '--execute', '--yes', '--json'], {cwd: folder, env: shop()});
  expect(cleaned.status).toBe(0);
  const {backupPath} = cleaned.json() as {backupPath: string};
  await runPage('docs/without-this-tool.md', {
    folder,
    env: stockEnvironment(),
    shown: [...ids, ['orders-backup-2026-11-25T02-40-04.json', basename(backupPath)], ['/srv/shop', folder]],
    before: async (script) => {
      if (!script.includes('put-back-orders')) return;
      for (const format of ['directory', 'sql', 'decrypted'])
        expect(await contentOf(`shop_${format}`)).toBe(before);
      // The page has swapped the names: the shop has all of its orders, and the cleaned one is aside.
      expect(await contentOf('shop')).toBe(before);
      await server.run('DROP DATABASE shop WITH (FORCE)');
      await server.run('ALTER DATABASE shop_old RENAME TO shop');
      expect(await contentOf('shop')).not.toBe(before);
    },
  });
  expect(await contentOf('shop')).toBe(before);
});

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

it('large databases', async () => {
  await runPage('docs/large-databases.md', {folder, env: shop()});
});

it('Supabase and managed servers, on a project as the service makes it and a new one', async () => {
  const [project, fresh] = await Promise.all([
    startSupabaseServer(),
    startSupabaseServer(undefined, 'platform'),
  ]);
  try {
    const before = await databaseFacts(project.admin());
    const env = {DIRECT_URL: urlOf(project.project)};
    const {id} = (await runCli(['backup', '--json'], {cwd: folder, env})).json() as {id: string};
    await showWhatTheServicesDumpLacks(project);
    const asAdmin = (server: SupabaseServer, sql: string) =>
      withAppSession(server.admin(), (session) => session.client.query(sql));
    await asAdmin(
      project,
      'DELETE FROM public.payments; GRANT ALL ON public.payments TO anon; DROP TABLE public.promo_codes',
    );
    const {host, port, user, password} = fresh.project;
    await runPage('docs/managed-servers.md', {
      folder,
      env: {
        ...stockEnvironment(),
        ...env,
        NEW_PROJECT_URL: urlOf(fresh.project),
        PGHOST: host,
        PGPORT: String(port),
        PGUSER: user,
        PGPASSWORD: password ?? '',
        PGDATABASE: 'postgres',
      },
      shown: [
        ['postgres-2026-11-25T02-00-04', id],
        ['/srv/shop', folder],
      ],
      before: async (script) => {
        if (script.includes('shop_copy')) {
          expect(differences(before, await databaseFacts(project.admin()))).toEqual([]);
          expect(await compared(before, fresh)).toEqual([]);
        }
        if (script.includes('CREATE ROLE reporting')) {
          await fresh.reset('platform');
          await asAdmin(fresh, 'DROP OWNED BY reporting; DROP ROLE reporting');
        }
      },
    });
    // The service is tied to the database's name.
    const swap = ['restore', '--backup-file', id, '--drop-existing', '--yes', '--json'];
    expect((await runCli(swap, {cwd: folder, env})).json()).toMatchObject({
      error: {code: 'NOT_SUPPORTED_HERE', hint: expect.stringContaining('--clean') as string},
    });
    const left = await compared(before, fresh);
    expect(left.filter((line) => !/upload_notes|member \| |role \| reporting/.test(line))).toEqual([]);
  } finally {
    await Promise.all([project.stop(), fresh.stop()]);
  }
}, 300_000);

/** What `supabase db dump` writes: pg_dump without these schemas (pkg/migration/dump.go of supabase/cli). */
async function showWhatTheServicesDumpLacks({project}: SupabaseServer): Promise<void> {
  const dump = async (flag: string, schemas: readonly string[]): Promise<string> => {
    const flags = [flag, ...schemas.map((schema) => `--exclude-schema=${schema}`)];
    const env = {...stockEnvironment(), ...libpqEnvironment(project)};
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
  // In a new project its default privileges open the table to anon, and nothing closes it.
  expect(definitions).toMatch(/GRANT .* ON TABLE public\.payments TO reporting/);
  expect(definitions).not.toMatch(/REVOKE .* ON TABLE public\.payments/);
  const rows = await dump('--data-only', both);
  expect(rows).toMatch(/COPY auth\.users[^]*COPY cron\.job [^]*COPY storage\.upload_notes/);
  expect(rows).not.toContain('supabase_migrations');
}

/** What differs in a new project, but for what is tied to one. */
async function compared(before: readonly string[], {admin}: SupabaseServer): Promise<string[]> {
  const tied =
    /^(?:rows \| (?:auth\.schema_migrations|storage\.migrations|realtime\.|cron\.job|vault\.)|sequence \| (?:realtime|cron)\.|setting|database) ?/;
  const isOwn = (line: string): boolean => !tied.test(line);
  return differences(before.filter(isOwn), (await databaseFacts(admin())).filter(isOwn));
}

it('monitoring', async () => {
  await backUp();
  expect((await runCli(['verify', '--level=restore'], {cwd: folder, env: shop()})).status).toBe(0);
  await runPage('docs/monitoring.md', {
    folder,
    env: shop(),
    shown: [['/var/lib/prometheus/node-exporter', folder]],
  });
});

it('scheduling', async () => {
  await backUp();
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
    },
  });
});
