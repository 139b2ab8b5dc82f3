/** restore:rows at a project like Supabase's, as its user: deleted rows of the service's tables are restored with dependent rows. */
import {rm} from 'node:fs/promises';
import {afterAll, beforeAll, expect, it} from 'vitest';
import {backupDatabase} from '../../src/lib/services/backup/local-backup.js';
import {restoreRows} from '../../src/lib/services/rows/restore-rows.js';
import {undoRows} from '../../src/lib/services/rows/undo-rows.js';
import {withAppSession} from '../support/app-session.js';
import {databaseFacts, differences} from '../support/database-facts.js';
import {rowsRequest} from '../support/rows-request.js';
import {tempFolder} from '../support/run-cli.js';
import {startSupabaseServer, type SupabaseServer} from '../support/supabase-server.js';
import {urlOf} from '../support/temp-database.js';
import {testContext} from '../support/test-context.js';

let server: SupabaseServer;
let folder: string;

beforeAll(async () => {
  [server, folder] = await Promise.all([startSupabaseServer(), tempFolder()]);
});
afterAll(() => Promise.all([server.stop(), rm(folder, {recursive: true, force: true})]));

it('restores users with their profiles, identities and sessions, though the service owns the table and its triggers', async () => {
  const context = testContext(folder, {settings: {databaseUrl: urlOf(server.project)}});
  await backupDatabase(context, {});
  const whole = await databaseFacts(server.admin());
  await withAppSession(server.admin(), async (session) => {
    await session.query(
      `UPDATE public.messages SET author = NULL WHERE author IN (SELECT id FROM auth.users ORDER BY id LIMIT 3)`,
    );
    await session.query(
      `DELETE FROM public.payments WHERE user_id IN (SELECT id FROM auth.users ORDER BY id LIMIT 3)`,
    );
    await session.query(`DELETE FROM auth.users WHERE id IN (SELECT id FROM auth.users ORDER BY id LIMIT 3)`);
  });
  const damaged = await databaseFacts(server.admin());
  const request = rowsRequest({
    tables: ['auth.users', 'public.payments', 'public.messages'],
    withChildren: true,
  });
  const result = await restoreRows(context, {}, request, (id) => ['destino-db', id]);
  expect(result.conflicts).toEqual([]);
  expect(result.triggers.fire).toEqual([]);
  expect(result.triggers.off).toContain('auth.users: on_auth_user_created');
  expect(differences(whole, await databaseFacts(server.admin()))).toEqual([]);
  await undoRows(context, {}, {undo: 'latest', execute: true, firesTriggers: false});
  expect(differences(damaged, await databaseFacts(server.admin()))).toEqual([]);
});
