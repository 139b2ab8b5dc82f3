import {afterAll, beforeAll, describe, expect, it} from 'vitest';
import {withAppSession} from '../support/app-session.js';
import {databaseFacts, differences} from '../support/database-facts.js';
import {startSupabaseServer, supabaseMajors, type SupabaseServer} from '../support/supabase-server.js';

describe.each(await supabaseMajors())("a project like Supabase's, on PostgreSQL %i", (major) => {
  let server: SupabaseServer;
  let before: string[];

  beforeAll(async () => {
    server = await startSupabaseServer(major);
    before = await databaseFacts(server.admin());
  });

  afterAll(() => server.stop());

  const asUser = (sql: string) => withAppSession(server.project, (session) => session.query(sql));
  const asAdmin = (sql: string) => withAppSession(server.admin(), (session) => session.client.query(sql));

  it('gives its user neither superuser nor superuser rights', async () => {
    const [me] =
      await asUser(`SELECT current_user, rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls
      FROM pg_roles WHERE rolname = current_user`);
    expect(Object.values(me ?? {})).toEqual(['postgres', 'f', 't', 't', 't', 't']);
    await expect(asUser('DROP EVENT TRIGGER pgrst_drop_watch')).rejects.toThrow('must be owner');
    await expect(asUser('CREATE SCHEMA x AUTHORIZATION supabase_admin')).rejects.toThrow('supabase_admin');
    await expect(asUser('DROP EXTENSION pg_graphql')).rejects.toThrow('must be owner');
    await expect(asUser('DELETE FROM cron.job')).rejects.toThrow('permission denied');
    await expect(asUser('CREATE EXTENSION file_fdw')).rejects.toThrow('permission denied');
    await asUser('SET session_replication_role = replica');
  });

  it('has the objects of a project, in the numbers that tests expect', async () => {
    const [counts] =
      await asUser(`SELECT (SELECT count(*) FROM auth.users) AS users, (SELECT count(*) FROM public.profiles) AS profiles,
      (SELECT count(*) FROM storage.objects) AS objects, (SELECT count(*) FROM storage.buckets) AS buckets, (SELECT count(*) FROM cron.job) AS jobs,
      (SELECT count(*) FROM vault.decrypted_secrets) AS secrets, (SELECT count(*) FROM public.messages) AS messages`);
    expect(Object.values(counts ?? {})).toEqual(['12', '12', '20', '2', '1', '1', '5000']);
    const extensions = before.filter((line) => line.startsWith('extension | '));
    for (const name of ['pg_graphql', 'supabase_vault', 'pg_net', 'pg_cron', 'pgjwt', 'citext'])
      expect(extensions.join('\n')).toContain(`| ${name} |`);
  });

  it('is created again with the same facts', async () => {
    await asUser('DROP TABLE public.promo_codes');
    expect(differences(before, await databaseFacts(server.admin()))).not.toEqual([]);
    await server.reset('application');
    expect(differences(before, await databaseFacts(server.admin()))).toEqual([]);
  });

  it('contains nothing of an application when it is new', async () => {
    await server.reset('platform', 'beside');
    const facts = await databaseFacts(server.admin('beside'));
    expect(facts.filter((line) => /^(relation|function|policy) \| (public|app)\./.test(line))).toEqual([]);
    expect(facts.find((line) => line.startsWith('rows | auth.users |'))).toContain('| 0 |');
  });

  // Errors of a restore that no row shows.
  const changes: [string, string, string][] = [
    ['an owner', 'ALTER FUNCTION app.count_payments() OWNER TO postgres', 'function | app.count_payments()'],
    ['a right', 'GRANT SELECT ON public.payments TO anon', 'relation | public.payments'],
    [
      'a right on a column',
      'GRANT SELECT (contact) ON public.profiles TO anon',
      'column | public.profiles | contact',
    ],
    ['a right on a schema', 'GRANT USAGE ON SCHEMA app TO anon', 'schema | app'],
    [
      'a right to execute',
      'GRANT EXECUTE ON FUNCTION public.close_room(uuid) TO anon',
      'function | public.close_room(uuid)',
    ],
    ['a right on a type', 'REVOKE USAGE ON TYPE public.member_role FROM PUBLIC', 'type | public.member_role'],
    [
      'a default right',
      'ALTER DEFAULT PRIVILEGES FOR ROLE postgres IN SCHEMA app GRANT SELECT ON TABLES TO anon',
      'default right | postgres | app',
    ],
    ['row security', 'ALTER TABLE public.rooms DISABLE ROW LEVEL SECURITY', 'relation | public.rooms'],
    [
      'a policy',
      'DROP POLICY "room files are read by members" ON storage.objects',
      'policy | storage | objects',
    ],
    ['a trigger', 'ALTER TABLE auth.users DISABLE TRIGGER on_auth_user_created', 'trigger | auth.users'],
    [
      'SECURITY DEFINER',
      'ALTER FUNCTION public.handle_new_user() SECURITY INVOKER',
      'function | public.handle_new_user()',
    ],
    [
      'a published table',
      'ALTER PUBLICATION supabase_realtime DROP TABLE public.rooms',
      'published table | supabase_realtime',
    ],
    ['an event trigger', 'ALTER EVENT TRIGGER pgrst_ddl_watch DISABLE', 'event trigger | pgrst_ddl_watch'],
    ['an extension', 'DROP EXTENSION pgjwt', 'extension | pgjwt'],
    ['a comment', `COMMENT ON SCHEMA app IS 'other'`, 'comment | schema app'],
    ['a setting', `ALTER DATABASE postgres SET timezone = 'UTC'`, 'setting | - | this'],
    [
      'a setting of a role',
      `ALTER ROLE reporting IN DATABASE postgres RESET ALL`,
      'setting | reporting | this',
    ],
    ['a sequence', `SELECT setval('app.ticket_numbers', 5)`, 'sequence | app.ticket_numbers'],
    ['a view that is populated', 'REFRESH MATERIALIZED VIEW app.month_totals', 'relation | app.month_totals'],
    [
      'an option of a view',
      'ALTER VIEW public.my_payments RESET (security_invoker)',
      'relation | public.my_payments',
    ],
    [
      'what is written of old rows',
      'ALTER TABLE public.messages REPLICA IDENTITY DEFAULT',
      'relation | public.messages',
    ],
    [
      'a row',
      `UPDATE public.promo_codes SET discount = 99 WHERE code = 'CODE1'`,
      'rows | public.promo_codes',
    ],
  ];

  it('shows by its facts each change that does not affect rows', async () => {
    await server.reset('application');
    for (const [, sql] of changes) await asAdmin(sql);
    const differing = differences(before, await databaseFacts(server.admin()));
    for (const [what, , fact] of changes)
      expect(
        differing.some((line) => line.slice(2).startsWith(fact)),
        what,
      ).toBe(true);
  });
});
