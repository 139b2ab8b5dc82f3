/** Restores of a project at Supabase: over itself after damage, into a new project, and beside it on the same server. */
import {rm} from 'node:fs/promises';
import {afterAll, beforeAll, beforeEach, describe, expect, it} from 'vitest';
import {withSession} from '../../src/lib/postgres/client.js';
import type {Connection} from '../../src/lib/postgres/connection.js';
import {backupDatabase} from '../../src/lib/services/backup-database.js';
import {restoreDatabase, type RestoreResult} from '../../src/lib/services/restore-database.js';
import type {RestoreRequest} from '../../src/lib/services/restore-request.js';
import {databaseFacts, differences} from '../support/database-facts.js';
import {tempFolder} from '../support/run-cli.js';
import {startSupabaseServer, supabaseMajors, type SupabaseServer} from '../support/supabase-server.js';
import {urlOf} from '../support/temp-database.js';
import {testContext} from '../support/test-context.js';

/** What a new project has of its own, and what is tied to one: migrations of the services, jobs, secrets, settings. */
const tiedToProject = [
  'rows | auth.schema_migrations', 'rows | storage.migrations', 'rows | realtime.', 'rows | cron.job', 'sequence | cron.jobid_seq',
  'rows | vault.secrets', 'setting |', 'database |', 'sequence | realtime.',
]; // prettier-ignore
const withoutTied = (facts: readonly string[]): string[] =>
  facts.filter((line) => !tiedToProject.some((start) => line.startsWith(start)));

/** The user's own: for databases without the platform's extensions, event triggers and default privileges. */
const ofUser = (facts: readonly string[]): string[] =>
  facts.filter(
    (line) =>
      /\| "?(public|app|supabase_migrations)"?[.| ]/.test(line) &&
      !/^(?:member|comment|setting|extension|default right \| supabase_admin)/.test(line),
  );

describe.each(await supabaseMajors())('a project at Supabase, on PostgreSQL %i', (major) => {
  let server: SupabaseServer;
  let fresh: SupabaseServer;
  let folder: string;
  let before: string[];

  beforeAll(async () => {
    [server, fresh] = await Promise.all([startSupabaseServer(major), startSupabaseServer(major, 'platform')]);
  });
  afterAll(() => Promise.all([server.stop(), fresh.stop()]));
  beforeEach(async () => {
    folder = await tempFolder();
    await server.reset('application');
    before = await databaseFacts(server.admin());
    return () => rm(folder, {recursive: true, force: true});
  });

  const contextOf = (connection: Connection = server.project) =>
    testContext(folder, {settings: {databaseUrl: urlOf(connection)}});
  const backUp = async (format: 'custom' | 'directory' | 'sql'): Promise<string> => {
    const {id} = await backupDatabase(contextOf(), {format});
    if (id === null) throw new Error('no backup was made');
    return id;
  };
  const restore = (request: RestoreRequest, connection?: Connection): Promise<RestoreResult> =>
    restoreDatabase(contextOf(connection), request);
  const asAdmin = (sql: string) => withSession(server.admin(), (session) => session.client.query(sql));

  it.each(['custom', 'directory'] as const)(
    'leaves no fact different, and opens no right, when it is restored over itself after damage, from %s',
    async (format) => {
      const backupFile = await backUp(format);
      await asAdmin(`DELETE FROM public.payments WHERE id < 500; DROP TABLE public.promo_codes; DROP POLICY "own payments" ON public.payments;
        DROP POLICY "room files are read by members" ON storage.objects; GRANT SELECT ON public.payments TO anon;
        DROP TRIGGER on_auth_user_created ON auth.users; ALTER FUNCTION app.count_payments() OWNER TO postgres`);
      const {notCompared} = await restore({backupFile, clean: true});
      expect(differences(before, await databaseFacts(server.admin()))).toEqual([]);
      expect(notCompared.join('\n')).toMatch(/which are the platform's: .*auth/);
    },
  );

  it('keeps extensions with their secrets and jobs, adds users that are gone and keeps those that are there', async () => {
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
    expect(preview.notes.join('\n')).toMatch(/event triggers?|which the target has already/);
    expect(preview.notes.join('\n')).toMatch(/missing ones are added, present ones stay \(.*auth\.users 12/);
    const {notes} = await restore({backupFile, clean: true});
    expect(notes.join('\n')).toMatch(/auth\.users 1 added, 11 there/);
    expect(await extensions()).toEqual(earlier);
    expect(differences(before, await databaseFacts(server.admin()))).toEqual([]);
  });

  it('is rolled back where rows refer to a user whose address is somebody else’s by now', async () => {
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

  it('refuses by its name, before anything is touched, a column that the target lacks', async () => {
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

  it.each(['custom', 'sql'] as const)(
    'brings a new project all that is the user’s, from %s',
    async (format) => {
      await fresh.reset('platform');
      await withSession(fresh.admin(), (session) =>
        session.client.query('DROP OWNED BY reporting; DROP ROLE reporting').catch(() => undefined),
      );
      await withSession(fresh.project, (session) =>
        session.client.query(
          'CREATE ROLE reporting LOGIN NOINHERIT; GRANT reporting TO postgres; GRANT reporting TO authenticator; ALTER ROLE reporting SET search_path = app',
        ),
      );
      const backupFile = await backUp(format);
      const {way} = await restore({backupFile}, fresh.project);
      expect(way).toBe('fill');
      const found = withoutTied(await databaseFacts(fresh.admin()));
      expect(differences(withoutTied(before), found)).toEqual([]);
    },
  );

  it('restores beside itself on the same server, without what only the platform may make', async () => {
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
});
