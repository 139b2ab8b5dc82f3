/** A project at Supabase from an encrypted backup in a bucket: over itself after damage, and beside itself. */
import {rm} from 'node:fs/promises';
import {join} from 'node:path';
import {afterAll, beforeAll, expect, it} from 'vitest';
import {withSession} from '../../src/lib/postgres/client.js';
import {backupToPlaces} from '../../src/lib/services/backup/backup.js';
import {restoreFrom} from '../../src/lib/services/restore/restore.js';
import {makeKey} from '../support/age.js';
import {createBucket, storeEnvironment} from '../support/bucket.js';
import {databaseFacts, differences} from '../support/database-facts.js';
import {tempFolder} from '../support/run-cli.js';
import {startSupabaseServer, type SupabaseServer} from '../support/supabase-server.js';
import {urlOf} from '../support/temp-database.js';
import {type TestContext, testContext} from '../support/test-context.js';

let server: SupabaseServer;
let folder: string;
let context: TestContext;

beforeAll(async () => {
  [server, folder] = await Promise.all([startSupabaseServer(), tempFolder()]);
  context = testContext(folder, {settings: {databaseUrl: urlOf(server.project)}, env: storeEnvironment()});
});
afterAll(async () => {
  await server.stop();
  await rm(folder, {recursive: true});
});

it('leaves no fact different when it comes from an encrypted backup without a local copy', async () => {
  const before = await databaseFacts(server.admin());
  const key = join(folder, 'key.txt');
  const place = `s3://${await createBucket()}/project`;
  await backupToPlaces(
    context,
    {format: 'custom'},
    {to: [place], recipients: [makeKey(key)], isLocal: false},
  );
  const source = {from: place, identityFile: 'key.txt'};
  await withSession(server.admin(), (session) =>
    session.client.query(
      'SET session_replication_role = replica; DELETE FROM public.payments; DELETE FROM auth.users; GRANT ALL ON public.payments TO anon; DROP TABLE public.promo_codes',
    ),
  );
  await restoreFrom(context, source, {isLatest: true, clean: true});
  expect(differences(before, await databaseFacts(server.admin()))).toEqual([]);
  // Straight from the bucket, as into any separate database.
  const {way, tables} = await restoreFrom(context, source, {
    isLatest: true,
    targetDb: 'copy',
    createDb: true,
  });
  expect(way).toBe('create');
  expect(tables).toEqual(
    expect.arrayContaining([
      expect.objectContaining({table: 'public.payments', rows: 1040}),
      expect.objectContaining({table: 'auth.users', rows: 12}),
    ]),
  );
});
