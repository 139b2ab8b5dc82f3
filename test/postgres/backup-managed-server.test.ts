import {readdir, readFile, rm} from 'node:fs/promises';
import {join} from 'node:path';
import {afterAll, beforeAll, beforeEach, describe, expect, it} from 'vitest';
import {readBackupRecord} from '../../src/lib/catalog/backup-record.js';
import {showBackup} from '../../src/lib/cli/show/show-backup.js';
import {showList} from '../../src/lib/cli/show/show-list.js';
import {createStyle} from '../../src/lib/cli/show/style.js';
import {withSession} from '../../src/lib/postgres/client.js';
import {backupDatabase} from '../../src/lib/services/backup/local-backup.js';
import type {BackupRequest} from '../../src/lib/services/backup/options.js';
import {backupToPlaces} from '../../src/lib/services/backup/backup.js';
import {copyBackups} from '../../src/lib/services/copy/copy-backups.js';
import {listBackups} from '../../src/lib/services/status/list-backups.js';
import {recoveryGuide} from '../../src/lib/services/recover/guide.js';
import {tempFolder} from '../support/run-cli.js';
import {startSupabaseServer, supabaseMajors, type SupabaseServer} from '../support/supabase-server.js';
import {urlOf} from '../support/temp-database.js';
import {type TestContext, testContext} from '../support/test-context.js';
import {cases} from '../support/long-form.js';

const plain = createStyle(false, {});
const outside = [
  'files in Storage (20 objects in 2 buckets)',
  'edge functions',
  'settings of the dashboard and of sign-in providers',
];

describe.each(await supabaseMajors())('a backup of a project at Supabase, on PostgreSQL %i', (major) => {
  let server: SupabaseServer;
  let folder: string;
  let context: TestContext;

  beforeAll(async () => {
    server = await startSupabaseServer(major);
  });
  afterAll(() => server.stop());
  beforeEach(async () => {
    folder = await tempFolder();
    context = testContext(folder, {settings: {databaseUrl: urlOf(server.project)}});
    return () => rm(folder, {recursive: true, force: true});
  });

  const asAdmin = (sql: string) => withSession(server.admin(), (session) => session.client.query(sql));
  const backup = (request: BackupRequest = {}) => backupDatabase(context, request);
  const rowsOf = (result: Awaited<ReturnType<typeof backup>>) =>
    Object.fromEntries(result.tables.map(({table, rows}) => [table, rows]));

  it.each(cases(['custom', 'sql', 'directory'] as const))(
    'never leaves out objects that the role may read, in format %s',
    async (format) => {
      const result = await backup({format});
      expect(rowsOf(result)).toMatchObject({
        'auth.users': 12,
        'auth.identities': 12,
        'storage.objects': 20,
        'storage.upload_notes': 1,
        'cron.job': 1,
        'vault.secrets': 1,
        'realtime.messages_2026_11_01': 3,
        'public.messages': 5000,
        'supabase_migrations.schema_migrations': 2,
      });
      expect(result).toMatchObject({unreadable: [], outside});
      expect(context.warnings).toEqual([]);
      const {inventory, config} = await readBackupRecord(result.metadataPath ?? '');
      expect(config.excludeSchemas).toEqual([]);
      expect(inventory.leftOut.map(({table}) => table)).toEqual(
        expect.not.arrayContaining(['auth.users', 'cron.job', 'vault.secrets']),
      );
      expect(inventory.platform).toMatchObject({
        schemas: 'auth cron graphql graphql_public net pgbouncer realtime storage vault'.split(' '),
        tables: expect.arrayContaining(['auth.users', 'cron.job']) as string[],
        extensions: 'pg_cron pg_graphql pg_net pg_stat_statements pgjwt supabase_vault'.split(' '),
        publications: ['supabase_realtime_messages_publication'],
      });
      expect(inventory.platform?.tables).not.toContain('storage.upload_notes');
    },
  );

  it('never writes the value of a secret setting into metadata or result', async () => {
    const result = await backup({schemaOnly: true});
    const metadata = await readFile(result.metadataPath ?? '', 'utf8');
    expect(metadata).toContain('app.settings.jwt_secret');
    expect(metadata + JSON.stringify([result, context.warnings])).not.toContain('a-secret-of-the-fixture');
  });

  it('says that --preset is obsolete, and leaves out nothing for it', async () => {
    const result = await backup({preset: 'supabase', dryRun: true});
    expect(context.warnings).toEqual([expect.stringContaining('--preset is obsolete') as string]);
    expect(rowsOf(result)).toHaveProperty('auth.users');
  });

  it('lists everywhere, with numbers, the objects that are not in the database', async () => {
    const result = await backup();
    const lines = showBackup('', [])({...result, copies: []}, plain).join('\n');
    expect(lines).toContain(`not in it  ${outside.join(', ')}`);
    const list = await listBackups(context, {});
    expect(showList(list, plain, {isVerbose: true}).join('\n')).toContain(
      `${result.id ?? ''} does not contain: ${outside.join(', ')}`,
    );
    expect(showList(list, plain).join('\n')).not.toContain('does not contain');
    const {markdown} = await recoveryGuide(context, () => ['destino-db']);
    expect(markdown).toContain('- files in Storage (20 objects in 2 buckets)\n- edge functions');
  });

  it('warns before it makes a backup with password hashes that is stored elsewhere unencrypted', async () => {
    const plainPlaces = ['s3://bucket/db'];
    await backup({plainPlaces, dryRun: true});
    expect(context.warnings).toEqual([
      expect.stringMatching(
        /password hashes \(auth\.users\), and it is not encrypted in s3:\/\/bucket\/db/,
      ) as string,
    ]);
    context.warnings.length = 0;
    await backup({plainPlaces, dryRun: true, schemaOnly: true});
    await backup({plainPlaces, dryRun: true, excludeTables: ['auth.*']});
    await backup({plainPlaces: [], dryRun: true});
    expect(context.warnings).toEqual([]);
  });

  it('writes nothing unencrypted where encryption is required', async () => {
    const refused = {
      code: 'GUARD',
      exitCode: 5,
      message: expect.stringContaining('Nothing was written') as string,
    };
    await expect(backupToPlaces(context, {}, {isRequired: true})).rejects.toMatchObject(refused);
    const config = {encryption: {require: true}};
    const strict = testContext(folder, {settings: {databaseUrl: urlOf(server.project), config}});
    await expect(backupToPlaces(strict, {}, {})).rejects.toMatchObject(refused);
    expect(await readdir(folder)).toEqual([]);
    const made = await backup();
    await expect(copyBackups(strict, {to: [join(folder, 'elsewhere')]})).rejects.toMatchObject(refused);
    expect(await readdir(folder)).toEqual(['backups']);
    expect(made.encrypted).toBe(false);
  });

  it('raises no alarm for expired sessions, and one for missing users', async () => {
    await backup();
    await asAdmin(`DELETE FROM auth.sessions; DELETE FROM realtime.messages`);
    expect((await backup()).shrink).toEqual([]);
    await asAdmin('SET session_replication_role = replica; DELETE FROM auth.users');
    expect(await backup()).toMatchObject({shrink: [{table: 'auth.users', rowsBefore: 12, rowsNow: 0}]});
    await server.reset('application');
  });

  describe('with a role that may not read everything', () => {
    beforeAll(async () => {
      await asAdmin(`REVOKE pg_read_all_data FROM postgres; REVOKE ALL ON auth.sessions, auth.refresh_tokens_id_seq FROM postgres;
        REVOKE supabase_auth_admin, supabase_storage_admin FROM postgres; REVOKE SELECT ON vault.secrets FROM postgres CASCADE`);
    });

    const hidden = ['auth.refresh_tokens_id_seq', 'auth.sessions', 'cron.jobid_seq', 'vault.secrets'];

    it.each(cases(['custom', 'sql', 'directory'] as const))(
      'leaves out objects that the platform hides, with name and number, in format %s',
      async (format) => {
        const result = await backup({format});
        expect(result.unreadable.map(({table}) => table).sort()).toEqual(hidden);
        expect(rowsOf(result)).toMatchObject({'auth.users': 12, 'public.messages': 5000});
        expect(rowsOf(result)).not.toHaveProperty('auth.sessions');
        expect(context.warnings).toEqual([
          expect.stringMatching(/may not read 4 tables or sequences .* auth\.sessions/) as string,
        ]);
        expect(showBackup('', [])({...result, copies: []}, plain).join('\n')).toContain(
          'left out   4 tables or sequences that this role may not read',
        );
        const {inventory, config} = await readBackupRecord(result.metadataPath ?? '');
        expect(inventory.unreadable).toHaveLength(4);
        expect(inventory.leftOut).toContainEqual({
          table: 'auth.sessions',
          reason: 'this role may not read it',
        });
        // Hidden objects are not the user's choice, which decides whether two backups are comparable.
        expect(config.excludeTables).toEqual([]);
      },
    );

    it('never leaves out a table of the user without being asked', async () => {
      await asAdmin(
        'CREATE TABLE public.by_dashboard (id int); REVOKE ALL ON public.by_dashboard FROM postgres, anon, authenticated, service_role',
      );
      await expect(backup()).rejects.toMatchObject({
        code: 'PERMISSION_DENIED',
        details: ['public.by_dashboard (rights)'],
      });
      await asAdmin('DROP TABLE public.by_dashboard');
    });

    it('leaves out only rows if row security hides them', async () => {
      await asAdmin('ALTER ROLE postgres NOBYPASSRLS');
      const result = await backup({excludeTables: ['public.payments']});
      const byPolicy = result.unreadable.filter(({reason}) => reason.startsWith('row security'));
      expect(byPolicy.map(({table}) => table)).toEqual(
        expect.arrayContaining(['auth.users', 'storage.objects']),
      );
      await expect(backup()).rejects.toMatchObject({
        code: 'ROW_SECURITY',
        details: ['public.payments (row security)'],
      });
    });
  });
});
