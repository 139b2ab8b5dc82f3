/** Tasks with a project at Supabase, from the damage to the recovery, with the commands that the program itself prints. */
import {execFile} from 'node:child_process';
import {readFile, rm} from 'node:fs/promises';
import {fileURLToPath} from 'node:url';
import {promisify} from 'node:util';
import {afterAll, beforeAll, beforeEach, expect, it} from 'vitest';
import {readBackupRecord} from '../../src/lib/catalog/backup-record.js';
import {withSession} from '../../src/lib/postgres/client.js';
import {startLocalCluster} from '../../src/lib/postgres/tools/local-cluster.js';
import {backupDatabase} from '../../src/lib/services/backup/local-backup.js';
import {recoveryGuide} from '../../src/lib/services/recover/guide.js';
import {restoreDatabase} from '../../src/lib/services/restore/execute.js';
import type {RestoreRequest} from '../../src/lib/services/restore/options.js';
import {safeCleanup} from '../../src/lib/services/orders/workflow/safe-cleanup.js';
import {undoRestore} from '../../src/lib/services/restore/undo.js';
import {withAppSession} from '../support/app-session.js';
import {cleanRequest} from '../support/clean-request.js';
import {databaseFacts, differences} from '../support/database-facts.js';
import {isLongForm} from '../support/long-form.js';
import {tempFolder} from '../support/run-cli.js';
import {startSupabaseServer, type SupabaseServer} from '../support/supabase-server.js';
import {urlOf} from '../support/temp-database.js';
import {type TestContext, testContext} from '../support/test-context.js';

let server: SupabaseServer;
let folder: string;
let context: TestContext;

beforeAll(async () => {
  server = await startSupabaseServer();
});
afterAll(() => server.stop());
beforeEach(async () => {
  folder = await tempFolder();
  context = testContext(folder, {settings: {databaseUrl: urlOf(server.project)}});
  return () => rm(folder, {recursive: true, force: true});
});

/** Runs files of this repository as the role that users have, in one session. */
async function load(...files: string[]): Promise<void> {
  await withAppSession(server.project, async (session) => {
    for (const file of files)
      await session.client.query(
        await readFile(fileURLToPath(new URL(`../../${file}`, import.meta.url)), 'utf8'),
      );
  });
}

it('undoes a safe cleanup with the command that it prints', async () => {
  await server.reset('platform');
  await load('test/fixtures/shop-schema.sql', 'scripts/seed-shop.sql', 'test/fixtures/shop-data.sql');
  const before = await databaseFacts(server.admin());
  const {backup, undo} = await safeCleanup(context, {
    clean: cleanRequest(),
    fullBackup: {},
    command: (id) => ['destino-db', id],
    pause: undefined,
  });
  const path = backup?.path ?? '';
  expect(undo[0]).toBe(`destino-db restore --backup-file ${path} --clean`);
  await restoreDatabase(context, {backupFile: path, clean: true});
  expect(differences(before, await databaseFacts(server.admin()))).toEqual([]);
  await expect(undoRestore(context, {})).rejects.toMatchObject({
    code: 'BACKUP_NOT_FOUND',
    hint: expect.stringContaining('restore --latest --clean') as string,
  });
  // Refusals do not suggest a swap either, because this database refuses it.
  for (const request of [{}, {createDb: true}])
    await expect(restoreDatabase(context, {backupFile: path, ...request})).rejects.toMatchObject({
      hint: expect.stringMatching(/^(?!.*--drop-existing).*--clean/) as string,
    });
});

/** The user's objects of a database, with or without the service around it. */
const ofUser = (facts: readonly string[]): string[] =>
  facts.filter(
    (line) =>
      /\| "?(public|app|supabase_migrations)"?[.| ]/.test(line) &&
      !/^(?:member|comment|setting|extension|default right \| supabase_admin)/.test(line),
  );
const asAdmin = (sql: string) => withSession(server.admin(), (session) => session.client.query(sql));

// restore-managed-server.test.ts has its parts.
const itInLongForm = isLongForm ? it : () => {};
itInLongForm(
  'does the tasks of the old restore-db: deletion, corruption, another environment, the nearest time',
  async () => {
    await server.reset('application');
    const before = await databaseFacts(server.admin());
    const restore = (request: RestoreRequest) => restoreDatabase(context, request);
    const {id, path, metadataPath} = await backupDatabase(context, {});
    const backupFile = path ?? '';
    const facts = (database?: string) => databaseFacts(server.admin(database));
    // Accidental deletion: --target-db recovery --create-db, then the rows are copied from there.
    await asAdmin('SET session_replication_role = replica; DELETE FROM public.payments WHERE id <= 10');
    await restore({backupFile, targetDb: 'recovery', createDb: true});
    const rows = await withSession(server.admin('recovery'), (session) =>
      session.query('SELECT pg_catalog.row_to_json(p)::text AS row FROM public.payments p WHERE id <= 10'),
    );
    for (const {row} of rows)
      await withSession(server.admin(), (session) =>
        session.query(
          'INSERT INTO public.payments SELECT (pg_catalog.json_populate_record(NULL::public.payments, $1::json)).*',
          [row ?? ''],
        ),
      );
    expect(differences(before, await facts())).toEqual([]);
    // Another environment: the database under another name has all objects of the user.
    expect(differences(ofUser(before), ofUser(await facts('recovery')))).toEqual([]);
    // Corruption: --clean over the damaged database, its safety backup first.
    await asAdmin('DROP TABLE public.messages CASCADE; DROP FUNCTION public.is_member CASCADE');
    const {safetyBackup} = await restore({backupFile, clean: true});
    expect(safetyBackup).not.toBeNull();
    expect(differences(before, await facts())).toEqual([]);
    // The nearest time: --at names the backup before the damage, but --latest is of the damaged database.
    await asAdmin('DELETE FROM public.payments');
    await backupDatabase(context, {acceptShrink: true});
    const metadata = await readBackupRecord(metadataPath ?? '');
    const chosen = await restore({at: new Date(metadata.timestamp), clean: true, dryRun: true});
    expect(chosen).toMatchObject({
      backup: id,
      wouldLose: expect.arrayContaining([expect.objectContaining({table: 'public.payments'})]) as unknown,
    });
  },
);

it("restores the user's objects onto a private server, and counts the left out ones", async () => {
  await server.reset('application');
  const {path} = await backupDatabase(context, {});
  const plain = await startLocalCluster({binFolder: server.binFolder, superuser: 'owner'});
  try {
    const there = testContext(folder, {settings: {databaseUrl: urlOf(plain.connection)}});
    const request = {backupFile: path ?? '', targetDb: 'club', createDb: true};
    // The restore itself compares rows and catalog.
    const [preview, done] = [
      await restoreDatabase(there, {...request, dryRun: true}),
      await restoreDatabase(there, request),
    ];
    for (const {notes} of [preview, done]) {
      expect(notes.join('\n')).toMatch(/created first: \d+ roles .*anon \(NOLOGIN INHERIT\)/);
      expect(notes.join('\n')).toMatch(
        /left out: \d+ objects which need extensions that this server does not have: .*extension pg_cron, .*extension supabase_vault/,
      );
    }
    // The rows of pg_cron's jobs are not restored, so no comparison would verify them, and the backup is read first.
    expect(there.steps.indexOf('Read the backup')).toBeGreaterThan(
      there.steps.lastIndexOf('Check the backup'),
    );
  } finally {
    await plain.stop();
  }
});

it("restores with PostgreSQL's own tools as the emergency guide says, over the project, into a new one and beside it", async () => {
  await server.reset('application');
  const before = await databaseFacts(server.admin());
  /** The commands in the last part of the guide, for the newest backup. */
  const guide = async (): Promise<string[]> => {
    const {markdown} = await recoveryGuide(context, (id) => ['destino-db', id]);
    const [, part = ''] = markdown.split('## Without this program');
    return [...part.matchAll(/```sh\n([^]*?)```/g)].map(([, commands = '']) => commands);
  };
  const env = {PATH: process.env['PATH'], PGPASSWORD: server.project.password, PGSSLMODE: 'disable'};
  const run = async (...commands: string[]): Promise<string> =>
    (
      await promisify(execFile)('/bin/bash', ['-euo', 'pipefail', '-c', commands.join('')], {
        cwd: folder,
        env,
      })
    ).stdout;
  const changed = async (): Promise<string[]> =>
    differences(before, await databaseFacts(server.admin())).filter(
      (line) => !line.includes('count_payments'),
    );
  await backupDatabase(context, {format: 'sql'});
  const [, beside = ''] = await guide();
  await run(beside);
  const rows = await withSession(server.admin('postgres_check'), (session) =>
    session.query(
      'SELECT (SELECT count(*) FROM public.payments) AS payments, (SELECT count(*) FROM auth.users) AS users',
    ),
  );
  expect(rows).toEqual([{payments: '1040', users: '12'}]);
  await backupDatabase(context, {});
  const [checksum = '', list = '', over = '', owners = '', anew = '', clear = ''] = await guide();
  await asAdmin(
    'DELETE FROM public.payments; GRANT ALL ON public.payments TO anon; DROP TABLE public.promo_codes; DROP POLICY "buckets are seen" ON storage.buckets',
  );
  expect(await run(checksum, list, over)).toContain(': OK');
  expect(await run(owners)).toMatch(/^[^\n]* FUNCTION app count_payments\(\) reporting\n$/);
  expect(await changed()).toEqual([]);
  await server.reset('platform');
  await asAdmin('ALTER ROLE reporting RENAME TO reporting_of_the_old_project');
  const {host, port, user} = server.project;
  await run(anew.replace('NEW_HOST --port 5432', `${host} --port ${port}`).replace('NEW_USER', user), clear);
  // Objects that these tools alone cannot restore into a new project.
  const tied =
    /^. (?:setting|member|role|rows \| (?:cron\.job|realtime\.|storage\.migrations|vault\.)|sequence \| cron\.)/;
  expect((await changed()).filter((line) => !tied.test(line))).toEqual([]);
});
