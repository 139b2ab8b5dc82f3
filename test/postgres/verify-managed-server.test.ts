/** Restore tests of a project at Supabase: on its own server as "postgres", and on a temporary server without the platform's extensions. */
import {rm} from 'node:fs/promises';
import {afterAll, beforeAll, beforeEach, describe, expect, it} from 'vitest';
import {withSession} from '../../src/lib/postgres/client.js';
import {backupDatabase} from '../../src/lib/services/backup/local-backup.js';
import type {ScratchPlace} from '../../src/lib/services/verify/scratch-database.js';
import {type VerifiedBackup, verifyBackups} from '../../src/lib/services/verify/verify.js';
import {tempFolder} from '../support/run-cli.js';
import {startSupabaseServer, supabaseMajors, type SupabaseServer} from '../support/supabase-server.js';
import {urlOf} from '../support/temp-database.js';
import {testContext} from '../support/test-context.js';
import {cases} from '../support/long-form.js';

describe.each(await supabaseMajors())(
  'a restore test of a project at Supabase, on PostgreSQL %i',
  (major) => {
    let server: SupabaseServer;
    let folder: string;

    beforeAll(async () => {
      server = await startSupabaseServer(major);
      await withSession(server.admin(), (session) =>
        session.client.query('CREATE VIEW app.jobs AS SELECT jobname FROM cron.job'),
      );
    });
    afterAll(() => server.stop());
    beforeEach(async () => {
      folder = await tempFolder();
      return () => rm(folder, {recursive: true, force: true});
    });

    const prove = async (
      format: 'custom' | 'directory' | 'sql',
      kind: 'same' | 'local',
    ): Promise<VerifiedBackup | undefined> => {
      const context = testContext(folder, {settings: {databaseUrl: urlOf(server.project)}});
      const {id} = await backupDatabase(context, {format});
      if (id === null) throw new Error('no backup was made');
      const scratch: ScratchPlace = {kind};
      const {results} = await verifyBackups(context, {}, {backupFile: id, level: 'restore', scratch});
      return results[0];
    };

    const places = [
      ['sql', 'same'],
      ['directory', 'local'],
      ['custom', 'same'],
      ['sql', 'local'],
    ] as const;
    it.each(cases(places))(
      'never fails for extensions that the scratch server lacks: format %s, %s',
      async (format, kind) => {
        const result = await prove(format, kind);
        expect(result).toMatchObject({outcome: 'passed', findings: []});
        const notes = result?.notes.join('\n') ?? '';
        expect(notes).toMatch(
          /^Left out, because the scratch server cannot install them: \d extensions \(.*pg_cron/m,
        );
        if (kind === 'local')
          expect(notes).toMatch(/pg_graphql.*supabase_vault.*2 rows of cron\.job, vault\.secrets/);
      },
    );

    it('does not pass if tables need a missing extension, and names them', async () => {
      await withSession(server.admin(), (session) =>
        session.client.query(`CREATE TABLE public.tokens (token text DEFAULT extensions.sign('{}', 'key'))`),
      );
      const result = await prove('custom', 'local');
      expect(result).toMatchObject({outcome: 'not-possible', ok: false});
      expect(result?.findings.join('\n')).toMatch(/1 table of the backup need.* public\.tokens/);
      await server.reset('application');
    });
  },
);
