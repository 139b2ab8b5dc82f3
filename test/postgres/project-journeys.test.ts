/** What people do with a project at Supabase, from the damage to the way back, with the commands that the program itself prints. */
import {readFile, rm} from 'node:fs/promises';
import {fileURLToPath} from 'node:url';
import {afterAll, beforeAll, beforeEach, expect, it} from 'vitest';
import {restoreDatabase} from '../../src/lib/services/restore-database.js';
import {safeCleanup} from '../../src/lib/services/safe-cleanup.js';
import {undoRestore} from '../../src/lib/services/undo-restore.js';
import {withAppSession} from '../support/app-session.js';
import {cleanRequest} from '../support/clean-request.js';
import {databaseFacts, differences} from '../support/database-facts.js';
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

/** Runs files of this repository as the role that users are given, in one session. */
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
  // Neither do refusals name a swap, which this database refuses as well.
  for (const request of [{}, {createDb: true}])
    await expect(restoreDatabase(context, {backupFile: path, ...request})).rejects.toMatchObject({
      hint: expect.stringMatching(/^(?!.*--drop-existing).*--clean/) as string,
    });
});
