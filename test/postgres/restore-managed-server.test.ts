/** Restores of a project at Supabase: over itself after damage, into a new project, and beside it on the same server. */
import {execFileSync} from 'node:child_process';
import {rm} from 'node:fs/promises';
import {join} from 'node:path';
import {afterAll, beforeAll, beforeEach, describe, expect, it} from 'vitest';
import {AppError} from '../../src/lib/base/errors.js';
import {withSession} from '../../src/lib/postgres/client.js';
import {type Connection, libpqEnvironment} from '../../src/lib/postgres/connect/connection.js';
import {checkMachine} from '../../src/lib/services/doctor/doctor.js';
import {backupDatabase} from '../../src/lib/services/backup/local-backup.js';
import {listBackups} from '../../src/lib/services/status/list-backups.js';
import {refresh} from '../../src/lib/services/refresh/refresh.js';
import {restoreDatabase, type RestoreResult} from '../../src/lib/services/restore/execute.js';
import type {RestoreRequest} from '../../src/lib/services/restore/options.js';
import type {MasksConfig} from '../../src/lib/settings/mask-config.js';
import {accessOf} from '../support/access-of.js';
import {databaseFacts, differences} from '../support/database-facts.js';
import {tempFolder} from '../support/run-cli.js';
import {startSupabaseServer, supabaseMajors, type SupabaseServer} from '../support/supabase-server.js';
import {urlOf} from '../support/temp-database.js';
import {type TestContext, testContext} from '../support/test-context.js';
import {cases, isLongForm} from '../support/long-form.js';

/** Objects of a new project itself, and objects tied to one: migrations of the services, jobs, secrets, settings. */
const tiedToProject = [
  'rows | auth.schema_migrations', 'rows | storage.migrations', 'rows | realtime.', 'rows | vault.secrets', 'setting |', 'database |', 'sequence | realtime.',
]; // prettier-ignore
const withoutTied = (facts: readonly string[]): string[] =>
  facts.filter((line) => !tiedToProject.some((start) => line.startsWith(start)));

/** The user's own objects, for databases without the platform's extensions, event triggers and default privileges. */
const ofUser = (facts: readonly string[]): string[] =>
  facts.filter(
    (line) =>
      /\| "?(public|app|supabase_migrations)"?[.| ]/.test(line) &&
      !/^(?:member|comment|setting|extension|default right \| supabase_admin)/.test(line),
  );

/** All rows, in a plain dump. */
const rowsOf = (server: SupabaseServer): string => {
  const connection = server.admin();
  return execFileSync(join(server.binFolder, 'pg_dump'), ['--data-only', connection.database], {
    env: {...process.env, ...libpqEnvironment(connection)},
    encoding: 'utf8',
  });
};

describe.each(await supabaseMajors())('a project at Supabase, on PostgreSQL %i', (major) => {
  let server: SupabaseServer;
  let fresh: SupabaseServer;
  let folder: string;
  let before: string[];
  /** Whether a test changed the project, which is created again then. */
  let isChanged: boolean;
  let access: string[];
  const who = {
    roles: ['anon', 'authenticated', 'service_role', 'reporting'],
    schemas: ['public', 'app', 'auth', 'storage', 'supabase_migrations'],
    claims:
      '{"sub": "00000000-0000-4000-8000-000000000002", "email": "member2@club.example", "role": "authenticated"}',
  };

  beforeAll(async () => {
    [server, fresh] = await Promise.all([startSupabaseServer(major), startSupabaseServer(major, 'platform')]);
    access = await accessOf(server.admin(), who);
    isChanged = true;
  });
  afterAll(() => Promise.all([server.stop(), fresh.stop()]));
  beforeEach(async () => {
    folder = await tempFolder();
    if (isChanged) {
      await server.reset('application');
      before = await databaseFacts(server.admin());
      isChanged = false;
    }
    return () => rm(folder, {recursive: true, force: true});
  });

  const contextOf = (connection: Connection = server.project) =>
    testContext(folder, {settings: {databaseUrl: urlOf(connection)}});
  const backUp = async (format: 'custom' | 'directory' | 'sql'): Promise<string> => {
    const {id} = await backupDatabase(contextOf(), {format});
    if (id === null) throw new Error('no backup was made');
    return id;
  };
  const restore = (request: RestoreRequest, connection?: Connection): Promise<RestoreResult> => {
    isChanged ||= connection === undefined;
    return restoreDatabase(contextOf(connection), request);
  };
  const asAdmin = (sql: string) => {
    isChanged = true;
    return withSession(server.admin(), (session) => session.client.query(sql));
  };

  it.each(cases(['custom', 'sql', 'directory'] as const))(
    'leaves no fact different, and opens no right, when it is restored over itself after damage, from %s',
    async (format) => {
      const backupFile = await backUp(format);
      await asAdmin(`DELETE FROM public.payments WHERE id < 500; DROP TABLE public.promo_codes; DROP POLICY "own payments" ON public.payments;
        DROP POLICY "room files are read by members" ON storage.objects; GRANT SELECT ON public.payments TO anon;
        DROP TRIGGER on_auth_user_created ON auth.users; ALTER FUNCTION app.count_payments() OWNER TO postgres`);
      const {notCompared} = await restore({backupFile, clean: true});
      expect(differences(before, await databaseFacts(server.admin()))).toEqual([]);
      expect(differences(access, await accessOf(server.admin(), who))).toEqual([]);
      expect(notCompared.join('\n')).toMatch(/which are the platform's: .*auth/);
    },
  );

  it('keeps extensions with their secrets and jobs, adds missing users and keeps present ones', async () => {
    const extensions = () =>
      withSession(server.admin(), (session) =>
        session.query(
          'SELECT extname, oid, (SELECT secret FROM vault.secrets) AS secret, (SELECT count(*) FROM cron.job) AS jobs FROM pg_extension ORDER BY 1',
        ),
      );
    const earlier = await extensions();
    const backupFile = await backUp('custom');
    await asAdmin(
      `SET session_replication_role = replica; DELETE FROM auth.users WHERE email = 'member3@club.example'`,
    );
    const preview = await restore({backupFile, clean: true, dryRun: true});
    expect(preview.notes.join('\n')).toMatch(/event triggers?|which already exist in the target/);
    expect(preview.notes.join('\n')).toMatch(/present ones are kept \(.*auth\.users 1 missing, 11 present/);
    expect(preview.wouldLose).toEqual([]);
    expect(preview.schemaDifferences).toEqual([]);
    const {notes} = await restore({backupFile, clean: true});
    expect(notes.join('\n')).toMatch(/auth\.users 1 added, 11 already present/);
    expect(await extensions()).toEqual(earlier);
    expect(differences(before, await databaseFacts(server.admin()))).toEqual([]);
  });

  it('is what doctor reports about the newest backup, from the same plan', async () => {
    for (const format of cases(['custom', 'sql'] as const)) {
      const id = await backUp(format);
      const {checks, commands} = await checkMachine(contextOf());
      const checkOf = (name: string) => checks.find((check) => check.name === name);
      expect(checkOf('swap')).toMatchObject({
        ok: false,
        message: expect.stringContaining('the hosting service needs') as string,
      });
      expect(checkOf('restore-plan')?.message).toMatch(
        new RegExp(
          `${id}, restores over "postgres": \\d+ objects; left out: \\d+ objects which are the platform's`,
        ),
      );
      const worksOf = (name: string) => commands.find(({command}) => command === name)?.works;
      expect([worksOf('restore'), worksOf('restore --drop-existing')]).toEqual([true, false]);
    }
  });

  it('is rolled back if rows refer to a user whose address belongs to another user now', async () => {
    const backupFile = await backUp('custom');
    await asAdmin(`SET session_replication_role = replica;
      UPDATE public.payments SET user_id = (SELECT id FROM auth.users WHERE email = 'member2@club.example') WHERE user_id = (SELECT id FROM auth.users WHERE email = 'member3@club.example');
      DELETE FROM auth.identities WHERE user_id = (SELECT id FROM auth.users WHERE email = 'member3@club.example');
      UPDATE auth.users SET id = gen_random_uuid() WHERE email = 'member3@club.example'`);
    await expect(restore({backupFile, clean: true})).rejects.toMatchObject({
      code: 'RESTORE_FAILED',
      message: expect.stringMatching(/foreign key.*rolled back/) as string,
    });
  });

  it('refuses by its name, before any change, a column that the target lacks', async () => {
    await asAdmin(`ALTER TABLE auth.users ADD COLUMN nickname text; UPDATE auth.users SET nickname = 'x'`);
    const backupFile = await backUp('custom');
    await asAdmin('ALTER TABLE auth.users DROP COLUMN nickname');
    const earlier = await databaseFacts(server.admin());
    await expect(restore({backupFile, clean: true})).rejects.toMatchObject({
      code: 'NOT_SUPPORTED_HERE',
      message: expect.stringContaining('auth.users.nickname') as string,
    });
    expect(differences(earlier, await databaseFacts(server.admin()))).toEqual([]);
  });

  const roleOf = (connection: Connection): Promise<unknown[]> =>
    withSession(connection, async (session) => [
      ...(await session.query("SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = 'reporting'")),
    ]);
  const emptyProject = async (): Promise<void> => {
    await fresh.reset('platform');
    if ((await roleOf(fresh.admin())).length > 0)
      await withSession(fresh.admin(), (session) =>
        session.client.query('DROP OWNED BY reporting; DROP ROLE reporting'),
      );
  };

  it.each(cases(['sql', 'custom'] as const))(
    'restores all objects of the user into a new project, including roles, from %s',
    async (format) => {
      await emptyProject();
      const backupFile = await backUp(format);
      const {way, notes} = await restore({backupFile}, fresh.project);
      expect(way).toBe('fill');
      expect(notes.join('\n')).toMatch(
        /created first: 1 role that the server lacks, without passwords: reporting \(LOGIN NOINHERIT\); give them passwords: ALTER ROLE "reporting" PASSWORD/,
      );
      const found = await databaseFacts(fresh.admin());
      expect(differences(withoutTied(before), withoutTied(found))).toEqual([]);
      const ofRole = (facts: readonly string[]) =>
        facts.filter((line) => line.startsWith('setting | reporting'));
      expect(ofRole(found)).toEqual(ofRole(before));
      expect(differences(access, await accessOf(fresh.admin(), who))).toEqual([]);
    },
  );

  it('creates no role without confirmation or if the restore fails, and none with --no-roles', async () => {
    await emptyProject();
    const backupFile = await backUp('custom');
    const questions: string[] = [];
    const refusing = testContext(folder, {
      settings: {databaseUrl: urlOf(fresh.project)},
      confirm: ({plan}) => {
        questions.push(...plan);
        return Promise.reject(new AppError('NOT_CONFIRMED', 'no'));
      },
    });
    await expect(restoreDatabase(refusing, {backupFile})).rejects.toMatchObject({code: 'NOT_CONFIRMED'});
    expect(questions.join('\n')).toMatch(/created first: 1 role .* reporting/);
    await expect(restore({backupFile, roles: false}, fresh.project)).rejects.toMatchObject({
      code: 'OWNER_NOT_KEPT',
    });
    await withSession(fresh.admin(), (session) =>
      session.client
        .query(`CREATE FUNCTION extensions.refuse() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not today'; END $$;
        CREATE EVENT TRIGGER refuse ON ddl_command_start WHEN TAG IN ('CREATE INDEX') EXECUTE FUNCTION extensions.refuse()`),
    );
    await expect(restore({backupFile}, fresh.project)).rejects.toMatchObject({code: 'RESTORE_FAILED'});
    expect(await roleOf(fresh.admin())).toEqual([]);
  });

  it('creates jobs of pg_cron in a new project, and keeps present ones', async () => {
    await emptyProject();
    const jobsOf = ({admin}: SupabaseServer) =>
      withSession(admin(), (session) =>
        session.query('SELECT jobname, schedule, database, username, active FROM cron.job ORDER BY jobid'),
      );
    const run = ({project}: SupabaseServer, sql: string) =>
      withSession(project, (session) => session.client.query(sql));
    isChanged = true;
    await run(
      server,
      `SELECT cron.schedule('*/5 * * * *', 'SELECT 1'), cron.schedule_in_database('paused', '0 4 * * *', 'VACUUM', 'postgres', NULL, false)`,
    );
    await asAdmin(`SELECT cron.schedule('theirs', '0 5 * * *', 'SELECT 2')`);
    await run(fresh, `SELECT cron.schedule('nightly', '0 9 * * *', 'SELECT 3')`);
    const backupFile = await backUp('custom');
    const {notes} = await restore({backupFile}, fresh.project);
    expect(notes.join('\n')).toMatch(/cron\.job 2 added, 1 already present/);
    expect(notes.join('\n')).toMatch(/the job "theirs" of pg_cron was not created: .*must be superuser/);
    const [nightly, ...others] = await jobsOf(server);
    expect(await jobsOf(fresh)).toEqual([{...nightly, schedule: '0 9 * * *'}, ...others.slice(0, 2)]);
  });

  it.each(cases(['custom', 'sql'] as const))(
    'names the jobs and other objects that wait for pg_cron if a new project has not enabled it, and how to create the jobs, from %s',
    async (format) => {
      await emptyProject();
      const asFreshAdmin = (sql: string) =>
        withSession(fresh.admin(), (session) => session.client.query(sql));
      await asFreshAdmin('DROP EXTENSION pg_cron');
      await asAdmin(`SET ROLE postgres; CREATE VIEW app.jobs AS SELECT jobname FROM cron.job; COMMENT ON VIEW app.jobs IS 'all of them';
        GRANT SELECT ON app.jobs TO reporting; CREATE MATERIALIZED VIEW public.job_names AS SELECT jobname FROM app.jobs;
        CREATE TABLE app.runs (at timestamptz); INSERT INTO app.runs VALUES ('2026-11-01')`);
      const backupFile = await backUp(format);
      const preview = await restore({backupFile, dryRun: true}, fresh.project);
      const waiting = 'extension pg_cron, view app.jobs, materialized view public.job_names';
      expect(preview.notes.join('\n')).toMatch(
        new RegExp(`^enabled if the service allows it to this role, .*: ${waiting}$`, 'm'),
      );
      const {notes} = await restore({backupFile}, fresh.project);
      expect(notes.join('\n')).toMatch(
        new RegExp(
          `^left out: \\d+ objects which need extensions that are not enabled here: ${waiting}$[^]*^1 row of cron.job not restored, .* --data-only --include-table cron.job$`,
          'm',
        ),
      );
      const rows = (await databaseFacts(server.admin())).filter((line) =>
        /^rows \| (?:public\.(?!job_names)|app\.)/.test(line),
      );
      expect(await databaseFacts(fresh.admin())).toEqual(expect.arrayContaining(rows));
      await asFreshAdmin('CREATE EXTENSION pg_cron');
      const jobs = await restore({backupFile, dataOnly: true, includeTables: ['cron.job']}, fresh.project);
      expect(jobs.notes.join('\n')).toMatch(/cron\.job 1 added, 0 already present/);
    },
  );

  it('changes nothing if tables need a refused extension, and names them', async () => {
    await emptyProject();
    await withSession(fresh.admin(), (session) => session.client.query('DROP EXTENSION pg_cron'));
    const earlier = await databaseFacts(fresh.admin());
    await asAdmin('CREATE TABLE public.watched (job cron.job)');
    const backupFile = await backUp('custom');
    await expect(restore({backupFile}, fresh.project)).rejects.toMatchObject({
      code: 'NOT_SUPPORTED_HERE',
      message: expect.stringContaining('public.watched') as string,
    });
    expect(differences(earlier, await databaseFacts(fresh.admin()))).toEqual([]);
  });

  it('distinguishes projects in one folder, whose databases are all called "postgres"', async () => {
    const at = (reference: string, {project}: SupabaseServer): TestContext => {
      const url = new URL(urlOf(project));
      url.searchParams.set('hostaddr', url.hostname);
      url.hostname = `db.${reference}.supabase.co`;
      return testContext(folder, {settings: {databaseUrl: url.href}});
    };
    await fresh.reset('platform');
    isChanged = true;
    // As if the service does not report the cluster's number.
    for (const cluster of [server, fresh])
      await withSession(cluster.admin(), (session) =>
        session.query('REVOKE EXECUTE ON FUNCTION pg_catalog.pg_control_system() FROM PUBLIC'),
      );
    const [first, second] = [at('abcdefghijkl', server), at('mnopqrstuvwx', fresh)];
    await backupDatabase(first, {});
    await backupDatabase(second, {});
    const {backups} = await listBackups(second, {});
    expect(backups.map(({id, server: where}) => `${id.slice(0, -20)} at ${where ?? ''}`)).toEqual([
      'postgres-mnopqrstuvwx at mnopqrstuvwx',
      'postgres-abcdefghijkl at abcdefghijkl',
    ]);
    for (const context of [first, second]) {
      const {backup} = await restoreDatabase(context, {
        isLatest: true,
        createDb: true,
        targetDb: 'x',
        dryRun: true,
      });
      expect(backup).toContain(context === first ? 'abcdefghijkl' : 'mnopqrstuvwx');
    }
  });

  it.each(['sql'] as const)(
    'restores into a new project the definitions alone, then the rows alone, from %s',
    async (format) => {
      await emptyProject();
      const backupFile = await backUp(format);
      await restore({backupFile, schemaOnly: true}, fresh.project);
      const {notes} = await restore({backupFile, dataOnly: true}, fresh.project);
      expect(notes.join('\n')).toMatch(/auth\.users 12 added, 0 already present/);
      await withSession(fresh.project, (session) =>
        session.query('REFRESH MATERIALIZED VIEW app.room_activity'),
      );
      expect(differences(withoutTied(before), withoutTied(await databaseFacts(fresh.admin())))).toEqual([]);
    },
  );

  it('adds the rows of chosen tables to emptied ones, in place', async () => {
    const backupFile = await backUp('custom');
    await asAdmin(`TRUNCATE public.payments, public.messages, public.room_members, public.rooms;
      SET session_replication_role = replica; DELETE FROM auth.users WHERE email = 'member3@club.example'`);
    await restore({
      backupFile,
      dataOnly: true,
      includeTables: ['rooms', 'room_members', 'messages', 'payments', 'auth.users', 'auth.identities'],
    });
    expect(differences(before, await databaseFacts(server.admin()))).toEqual([]);
  });

  it.each(['custom'] as const)(
    'restores chosen tables with the objects that they need into a new project and a new database, from %s',
    async (format) => {
      await emptyProject();
      const backupFile = await backUp(format);
      const includeTables = ['public.profiles', 'public.payments', 'app.settings'];
      const {notCompared} = await restore({backupFile, includeTables}, fresh.project);
      expect(notCompared.join('\n')).toMatch(/fk constraint public.payments payments_user_id_fkey/);
      await restore({backupFile, includeTables, createDb: true, targetDb: 'part'}, fresh.project);
      const rows = before.filter((line) =>
        /^rows \| (?:public\.p(?:rofiles|ayments)|app\.settings) /.test(line),
      );
      expect(rows).toHaveLength(3);
      for (const admin of [fresh.admin(), fresh.admin('part')])
        expect(await databaseFacts(admin)).toEqual(expect.arrayContaining(rows));
      await withSession(fresh.admin('template1'), (session) =>
        session.query('DROP DATABASE part WITH (FORCE)'),
      );
    },
  );

  it('restores one schema over itself and keeps objects outside that depend on it', async () => {
    await asAdmin(`SET ROLE postgres; CREATE VIEW app.payers AS SELECT user_id FROM public.payments; GRANT SELECT ON app.payers TO reporting;
      CREATE VIEW app.first_payer AS SELECT * FROM app.payers LIMIT 1; CREATE TABLE app.visits (room uuid REFERENCES public.rooms)`);
    before = await databaseFacts(server.admin());
    const {id} = await backupDatabase(contextOf(), {includeSchemas: ['public']});
    const request = {backupFile: id ?? '', clean: true};
    await asAdmin(`DELETE FROM public.payments WHERE id < 500; DROP POLICY "own payments" ON public.payments; GRANT SELECT ON public.payments TO anon;
      INSERT INTO public.rooms (id, name) VALUES (gen_random_uuid(), 'of after the backup'); INSERT INTO app.visits SELECT id FROM public.rooms`);
    const {notes} = await restore({...request, dryRun: true});
    const told = notes.filter((note) => note.startsWith('dropped and created again'));
    expect(told.join('')).toMatch(
      /: 10 objects outside the backup: .*materialized view app.room_activity, policy room files .*trigger on_auth_user_created.*view app.payers$/,
    );
    const done = await restore(request);
    expect(done.notes).toEqual(expect.arrayContaining(told));
    expect(done.notes.join('\n')).toMatch(/^NOT VALID, .* foreign key app.visits visits_room_fkey/m);
    await asAdmin('TRUNCATE app.visits; ALTER TABLE app.visits VALIDATE CONSTRAINT visits_room_fkey');
    expect(differences(before, await databaseFacts(server.admin()))).toEqual([]);
    await asAdmin('CREATE TABLE app.log (role public.member_role)');
    await expect(restore({...request, dryRun: true})).rejects.toMatchObject({
      code: 'NOT_SUPPORTED_HERE',
      message: expect.stringContaining('table app.log. Nothing was changed') as string,
    });
  });

  it('restores a backup of one schema elsewhere, and names missing objects before', async () => {
    await emptyProject();
    const {id, warnings} = await backupDatabase(contextOf(), {includeSchemas: ['public']});
    expect(warnings.join('\n')).toMatch(/rows that the backup does not contain: auth\.users\./);
    const rows = before.filter((line) => line.startsWith('rows | public.'));
    expect(rows).toHaveLength(7);
    const restoreInto = async (request: RestoreRequest, database?: string): Promise<string> => {
      const asked = {...request, backupFile: id ?? ''};
      const preview = await restore({...asked, dryRun: true}, fresh.project);
      const {notes} = await restore(asked, fresh.project);
      const told = preview.notes.filter((note) => /^(?:left out|2 foreign keys)/.test(note));
      expect(notes).toEqual(expect.arrayContaining(told));
      expect(await databaseFacts(fresh.admin(database))).toEqual(expect.arrayContaining(rows));
      return notes.join('\n');
    };
    const inProject = await restoreInto({});
    expect(inProject).toMatch(/nor in the target: trigger public.profiles touch_profile$/m);
    expect(inProject).toMatch(/^NOT VALID, .* foreign key public.payments payments_user_id_fkey/m);
    const inDatabase = await restoreInto({createDb: true, targetDb: 'part'}, 'part');
    expect(inDatabase).toMatch(
      /left out: 10 objects .* nor in the target: .*fk constraint public.payments payments_user_id_fkey/,
    );
    await withSession(fresh.admin('template1'), (session) =>
      session.query('DROP DATABASE part WITH (FORCE)'),
    );
    await asAdmin('CREATE TYPE app.mood AS ENUM (); ALTER TABLE public.rooms ADD COLUMN mood app.mood');
    const {id: incomplete} = await backupDatabase(contextOf(), {includeSchemas: ['public']});
    await expect(
      restore({backupFile: incomplete ?? '', createDb: true, targetDb: 'part', dryRun: true}, fresh.project),
    ).rejects.toMatchObject({
      code: 'NOT_SUPPORTED_HERE',
      message: expect.stringContaining('public.rooms (app.mood). Nothing was changed') as string,
    });
  });

  it('restores beside itself on the same server, without objects that only the platform may create', async () => {
    const backupFile = await backUp('custom');
    await restore({backupFile, createDb: true, targetDb: 'copy'});
    const facts = await databaseFacts(server.admin('copy'));
    await withSession(server.admin('template1'), (session) =>
      session.query('DROP DATABASE copy WITH (FORCE)'),
    );
    expect(differences(ofUser(before), ofUser(facts))).toEqual([]);
    expect(facts).toEqual(
      expect.arrayContaining(before.filter((line) => line.startsWith('rows | auth.users'))),
    );
  });

  const peopleSql = `SELECT email AS value FROM auth.users UNION SELECT raw_user_meta_data ->> 'full_name' FROM auth.users UNION SELECT full_name FROM public.profiles UNION SELECT handle FROM public.profiles`;
  const joinsSql = `SELECT (SELECT count(*) FROM auth.users u JOIN auth.identities i USING (email)) AS identities, (SELECT count(*) FROM public.profiles p JOIN auth.users u USING (id)) AS profiles,
      (SELECT count(*) FROM public.messages m JOIN public.profiles p ON p.id = m.author) AS messages`;
  const refreshContext = (masks: MasksConfig, env: Record<string, string> = {}) =>
    testContext(folder, {
      env: {STAGING_URL: urlOf(fresh.project), ...env},
      settings: {databaseUrl: urlOf(server.project), config: {masks, keepDefinitions: {'POLICY public.payments club mail only': 'domain of the club'}}},
    }); // prettier-ignore
  const asked = {targetUrlEnv: 'STAGING_URL', keepSetAside: 1} as const;

  it('replaces the content of another project by a masked copy, with the users and sessions that were there', async () => {
    await emptyProject();
    await backUp('custom');
    await expect(refresh(refreshContext({}), {}, asked)).rejects.toMatchObject({
      code: 'PERSONAL_DATA',
      details: expect.not.arrayContaining([expect.stringMatching(/^(?:vault|cron)\./)]) as unknown,
    });
    const masks = {
      'public.profiles.full_name': {mask: 'name'},
      'public.profiles.handle': {mask: 'hash'},
      'public.promo_codes.secret_note': {mask: 'text'},
      // Its rows are not restored, so that the rule has no effect.
      'cron.job.username': {mask: 'keep', reason: 'a role'},
    } as const;
    const asFresh = (sql: string) =>
      withSession(fresh.admin(), async (session) => {
        await session.client.query(`SET session_replication_role = replica; ${sql}`);
      });
    const find = (one: SupabaseServer, sql: string) =>
      withSession(one.admin(), (session) => session.query(sql));
    const people = (await find(server, peopleSql)).map(({value}) => value ?? '');
    const left = `INSERT INTO auth.users (id, email) VALUES ('99999999-0000-4000-8000-000000000001', 'left@real.example');
        INSERT INTO auth.sessions (id, user_id) VALUES ('99999999-0000-4000-8000-000000000001', '99999999-0000-4000-8000-000000000001')`;
    if (isLongForm) {
      await asFresh(`CREATE FUNCTION extensions.refuse() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not today'; END $$;
      CREATE EVENT TRIGGER refuse ON ddl_command_start WHEN TAG IN ('CREATE INDEX') EXECUTE FUNCTION extensions.refuse()`);
      await expect(refresh(refreshContext(masks), {}, asked)).rejects.toMatchObject({
        code: 'RESTORE_FAILED',
        hint: expect.stringMatching(
          /without masks.*: destino-db verify postgres-\S+ --level restore$/,
        ) as string,
      });
      await asFresh('DROP EVENT TRIGGER refuse; DROP FUNCTION extensions.refuse()');
    }
    // Over an empty project, and in the long form over a full one.
    for (const way of cases(['fill', 'clean'])) {
      await asFresh(left);
      const done = await refresh(refreshContext(masks), {}, asked);
      expect(done).toMatchObject({isInPlace: true, setAside: null, masked: {proof: {passed: true}}});
      expect(done.safetyBackup === null).toBe(way === 'fill');
      const rows = rowsOf(fresh);
      expect(rows).toContain('@masked.invalid');
      expect(
        [...people, 'left@real.example'].filter((value) => value !== '' && rows.includes(value)),
      ).toEqual([]);
      expect(await find(fresh, joinsSql)).toEqual(await find(server, joinsSql));
      expect(await find(fresh, 'SELECT count(*) AS rows FROM auth.sessions')).toEqual([{rows: '0'}]);
      expect(await find(fresh, 'SELECT conname FROM pg_constraint WHERE NOT convalidated')).toEqual([]);
      expect(await find(fresh, `SELECT datname FROM pg_database WHERE datname LIKE 'postgres\\_%'`)).toEqual(
        [],
      );
      expect(
        await find(
          fresh,
          `SELECT shobj_description(oid, 'pg_database') AS comment FROM pg_database WHERE datname = 'postgres'`,
        ),
      ).toEqual([{comment: expect.stringMatching(/^destino-db masked /) as string}]);
    }
    const all = differences(withoutTied(before), withoutTied(await databaseFacts(fresh.admin())));
    expect(
      all.filter((line) => !/^. (?:rows|comment|sequence \| (?:auth|cron)\.\S+) \| /.test(line)),
    ).toEqual([]);
  });
});
