import {afterAll, beforeAll, describe, expect, it} from 'vitest';
import {withSession} from '../../src/lib/postgres/client.js';
import {type Connection, withDatabase} from '../../src/lib/postgres/connect/connection.js';
import {
  inspectOwnership,
  type Ownership,
  type Party,
} from '../../src/lib/postgres/inspect/platform-objects.js';
import {startSupabaseServer, supabaseMajors, type SupabaseServer} from '../support/supabase-server.js';

/** Roles according to the services' public documents; names do not matter for the decision. */
const services = [
  {
    service: 'rds',
    roles: `CREATE ROLE rdsadmin SUPERUSER LOGIN; CREATE ROLE rds_superuser NOLOGIN; GRANT pg_monitor TO rds_superuser;
      CREATE ROLE rds_customer LOGIN CREATEROLE CREATEDB; GRANT rds_superuser TO rds_customer WITH ADMIN OPTION`,
    superuser: 'rdsadmin',
    customer: 'rds_customer',
    databaseOwner: 'rds_customer',
    schema: 'rds_tools',
  },
  {
    service: 'cloudsql',
    roles: `CREATE ROLE cloudsqladmin SUPERUSER LOGIN; CREATE ROLE cloudsqlsuperuser NOLOGIN CREATEROLE CREATEDB;
      CREATE ROLE cloudsql_customer LOGIN CREATEROLE CREATEDB; GRANT cloudsqlsuperuser TO cloudsql_customer`,
    superuser: 'cloudsqladmin',
    customer: 'cloudsql_customer',
    databaseOwner: 'cloudsqlsuperuser',
    schema: 'google_vacuum_mgmt',
  },
  {
    service: 'neon',
    roles: `CREATE ROLE cloud_admin SUPERUSER LOGIN; CREATE ROLE neon_superuser NOLOGIN CREATEROLE CREATEDB REPLICATION BYPASSRLS;
      GRANT pg_read_all_data TO neon_superuser; CREATE ROLE neondb_owner LOGIN CREATEROLE CREATEDB; GRANT neon_superuser TO neondb_owner`,
    superuser: 'cloud_admin',
    customer: 'neondb_owner',
    databaseOwner: 'neondb_owner',
    schema: 'neon_migration',
  },
  {
    service: 'azure',
    roles: `CREATE ROLE azuresu SUPERUSER LOGIN; CREATE ROLE azure_pg_admin NOLOGIN CREATEROLE; CREATE ROLE azure_customer LOGIN CREATEROLE CREATEDB;
      GRANT azure_pg_admin TO azure_customer`,
    superuser: 'azuresu',
    customer: 'azure_customer',
    databaseOwner: 'azure_pg_admin',
    schema: 'query_store',
  },
];

const byName = (items: readonly {name: string; party: Party}[]): Record<string, Party> =>
  Object.fromEntries(items.map(({name, party}) => [name, party]));
const namesOf = (items: readonly {name: string; party: Party}[], party: Party): string[] =>
  items.flatMap((item) => (item.party === party ? [item.name] : [])).sort();

describe.each(await supabaseMajors())('owners of objects, on PostgreSQL %i', (major) => {
  let server: SupabaseServer;

  beforeAll(async () => {
    server = await startSupabaseServer(major);
  });

  afterAll(() => server.stop());

  const run = (connection: Connection, sql: string) =>
    withSession(connection, (session) => session.client.query(sql));
  const as = (user: string, database: string): Connection => ({
    ...withDatabase(server.project, database),
    user,
  });

  describe('a project at Supabase', () => {
    let ownership: Ownership;

    beforeAll(async () => {
      ownership = await withSession(server.project, inspectOwnership);
    });

    it('never counts a schema of the user as one of the platform, nor the reverse', () => {
      expect(ownership.isManaged).toBe(true);
      expect(namesOf(ownership.schemas, 'user')).toEqual([
        'app',
        'extensions',
        'public',
        'supabase_migrations',
      ]);
      expect(namesOf(ownership.schemas, 'platform')).toEqual(
        'auth cron graphql graphql_public net pgbouncer realtime storage vault'.split(' '),
      );
    });

    it('never takes an owner that the user may act for as the platform', () => {
      const tables = (party: Party) =>
        ownership.relations.flatMap((item) => (item.party === party ? [`${item.schema}.${item.name}`] : []));
      expect(tables('platform')).toEqual(
        expect.arrayContaining([
          'auth.users',
          'storage.objects',
          'realtime.messages',
          'cron.job',
          'vault.secrets',
        ]),
      );
      expect(tables('user')).toEqual(
        expect.arrayContaining(['storage.upload_notes', 'public.profiles', 'app.events']),
      );
      expect(tables('user').filter((name) => /^(auth|realtime|cron|net|vault)\./.test(name))).toEqual([]);
    });

    it('never leaves out a trigger, a policy or a published table that the user made', () => {
      expect(namesOf(ownership.triggers, 'user')).toEqual(['on_auth_user_created']);
      expect(namesOf(ownership.triggers, 'platform')).toHaveLength(4);
      expect(namesOf(ownership.policies, 'user')).toEqual([
        'buckets are seen',
        'people keep their own avatar',
        'room files are read by members',
      ]);
      expect(namesOf(ownership.policies, 'platform')).toEqual(['cron_job_policy']);
      expect(byName(ownership.publications)).toEqual({
        supabase_realtime: 'user',
        supabase_realtime_messages_publication: 'platform',
      });
    });

    it('never counts an extension, event trigger or function that the user cannot create as one to restore', () => {
      expect(namesOf(ownership.extensions, 'user')).toEqual(['citext', 'pgcrypto', 'plpgsql']);
      expect(namesOf(ownership.eventTriggers, 'user')).toEqual(['issue_pg_net_access']);
      const own = ownership.functions.flatMap(({schema, signature, party}) =>
        party === 'user' ? [`${schema}.${signature}`] : [],
      );
      expect(own.sort()).toEqual([
        'app.count_payments()',
        'app.touch()',
        'extensions.grant_pg_net_access()',
        'public.close_room(room uuid)',
        'public.handle_new_user()',
        'public.is_member(room uuid)',
      ]);
    });

    it("distinguishes the user's role from those of the platform", () => {
      expect(namesOf(ownership.roles, 'user')).toEqual(['postgres', 'reporting']);
    });

    it('has no platform objects for a superuser', async () => {
      const all = await withSession(server.admin(), inspectOwnership);
      expect(all.isManaged).toBe(false);
      for (const kind of [
        'schemas',
        'relations',
        'roles',
        'functions',
        'extensions',
        'eventTriggers',
      ] as const)
        expect(all[kind].filter(({party}) => party === 'platform')).toEqual([]);
    });
  });

  it.each(services)('decides on $service without knowing its names', async (service) => {
    const {customer, superuser, schema} = service;
    await run(server.admin(), service.roles);
    await run(server.admin(), `ALTER ROLE ${customer} PASSWORD '${server.project.password ?? ''}'`);
    await run(
      server.admin(),
      `CREATE DATABASE ${service.service} TEMPLATE template0 OWNER ${service.databaseOwner}`,
    );
    await run(
      server.admin(service.service),
      `SET SESSION AUTHORIZATION ${superuser};
       CREATE EXTENSION citext SCHEMA public; CREATE EXTENSION pg_stat_statements SCHEMA public;
       CREATE SCHEMA ${schema}; CREATE TABLE ${schema}.state (id int);
       CREATE FUNCTION ${schema}.watch() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
       CREATE EVENT TRIGGER watch_${service.service} ON ddl_command_end EXECUTE FUNCTION ${schema}.watch();`,
    );
    const app = `${service.service}_app`;
    await run(
      as(customer, service.service),
      `CREATE TABLE public.people (mail public.citext); CREATE SCHEMA shop; CREATE TABLE shop.orders (id int); CREATE ROLE ${app};
       GRANT ${app} TO CURRENT_USER; GRANT CREATE ON DATABASE ${service.service} TO ${app}; SET ROLE ${app};
       CREATE SCHEMA own_app; CREATE TABLE own_app.t (id int); RESET ROLE; REVOKE ${app} FROM CURRENT_USER`,
    );
    const ownership = await withSession(as(customer, service.service), inspectOwnership);
    expect(ownership.isManaged).toBe(true);
    expect(byName(ownership.schemas)).toEqual({
      public: 'user',
      shop: 'user',
      own_app: 'user',
      [schema]: 'platform',
    });
    expect(byName(ownership.eventTriggers)).toEqual({[`watch_${service.service}`]: 'platform'});
    // A column has the extension's type, so its rows could not be restored without the extension.
    expect(byName(ownership.extensions)).toMatchObject({citext: 'user', pg_stat_statements: 'platform'});
    expect(byName(ownership.roles)).toMatchObject({
      [superuser]: 'platform',
      [customer]: 'user',
      [app]: 'user',
    });
  });

  it('does not call a server managed if an application owns its database', async () => {
    await run(
      server.admin(),
      `CREATE ROLE shop_owner LOGIN PASSWORD '${server.project.password ?? ''}'; CREATE ROLE analyst`,
    );
    await run(server.admin(), 'CREATE DATABASE plain TEMPLATE template0 OWNER shop_owner');
    await run(
      server.admin('plain'),
      `CREATE SCHEMA analytics AUTHORIZATION analyst; CREATE SCHEMA dba; CREATE TABLE public.forgotten (id int)`,
    );
    const ownership = await withSession(as('shop_owner', 'plain'), inspectOwnership);
    expect(ownership.isManaged).toBe(false);
    expect(byName(ownership.schemas)).toEqual({public: 'user', analytics: 'user', dba: 'platform'});
    // A table that a superuser created still belongs to the user, and a backup without it must fail.
    expect(ownership.relations.find(({name}) => name === 'forgotten')).toMatchObject({
      party: 'user',
      isReadable: false,
    });
  });
});
