/** A restore over a project at Supabase: rows of the platform's tables are added in the same transaction. */
import {rm} from 'node:fs/promises';
import {join} from 'node:path';
import {afterAll, beforeAll} from 'vitest';
import {withAppSession} from '../support/app-session.js';
import {contentOf} from '../support/check-promises.js';
import {backupIds, freshHome, mustRun} from '../support/fault-server.js';
import {pointRounds} from '../support/fault-table.js';
import type {Situation} from '../support/fault-story.js';
import {startSupabaseServer, type SupabaseServer} from '../support/supabase-server.js';
import {urlOf} from '../support/temp-database.js';
import {faultsAt, tellStories} from '../support/tell-stories.js';

let project: SupabaseServer;
let origin = '';
let backedUp = '';
beforeAll(async () => {
  project = await startSupabaseServer();
  backedUp = await contentOf(project.admin());
  origin = await freshHome();
  await mustRun(origin, urlOf(project.project), 'backup');
});
afterAll(async () => {
  await project.stop();
  await rm(origin, {recursive: true, force: true});
});

const damage = `DELETE FROM public.payments; SET session_replication_role = replica;
  DELETE FROM auth.users WHERE email = 'member3@club.example'`;

async function prepare(): Promise<Situation> {
  await project.reset('application');
  await withAppSession(project.admin(), (session) => session.client.query(damage));
  const damaged = await contentOf(project.admin());
  const home = await freshHome(origin);
  return {
    home,
    url: urlOf(project.project),
    args: ['restore', '--latest', '--clean', '--yes'],
    watched: {
      backupsDir: join(home, 'backups'),
      server: project.admin('template1'),
      databases: {postgres: [damaged, backedUp]},
      kept: await backupIds(home),
    },
    isDone: async () => (await contentOf(project.admin())) === backedUp,
  };
}

tellStories('project', () => ({server: project.admin('template1')}), [
  {
    story: {command: 'restore over a project', prepare},
    faults: faultsAt(
      ['restore.rows-added', 'restore.prepared', 'restore.loaded', 'restore.compared'],
      [['restore.rows-added', 'error:CONNECTION_LOST']],
    ),
    rounds: pointRounds,
  },
]);
