import {rm} from 'node:fs/promises';
import {join} from 'node:path';
import {afterAll, beforeAll} from 'vitest';
import {backupIds, type FaultServer, freshHome, mustRun, startFaultServer} from '../support/fault-server.js';
import {type Situation, type Story, tellStories} from '../support/fault-story.js';
import {runCli} from '../support/run-cli.js';

let host: FaultServer;
let origin = '';
let ids: string[] = [];
let backedUp = '';
let changed = '';

const change = `DELETE FROM dishes WHERE id % 3 = 0; UPDATE dishes SET price = 0; CREATE TABLE extra AS SELECT 1 AS one`;

beforeAll(async () => {
  host = await startFaultServer();
  await host.reset({shop: 'small_template'});
  backedUp = await host.contentOf('shop');
  origin = await freshHome();
  for (const format of ['custom', 'sql', 'directory'])
    await mustRun(origin, host.urlOf('shop'), 'backup', '--format', format);
  ids = (await backupIds(origin)).reverse();
  await host.run('CREATE DATABASE changed_template TEMPLATE small_template');
  await host.run(change, 'changed_template');
  changed = await host.contentOf('changed_template');
});
afterAll(async () => {
  await host.stop();
  await rm(origin, {recursive: true, force: true});
});

async function situation(
  args: readonly string[],
  target: string,
  allowed: readonly (string | null)[],
  wanted: string,
): Promise<Situation> {
  const home = await freshHome(origin);
  return {
    home,
    url: host.urlOf('shop'),
    args,
    watched: {
      backupsDir: join(home, 'backups'),
      server: host.server,
      databases: {shop: [changed, backedUp], [target]: allowed},
      kept: ids,
    },
    isDone: async () => (await host.contentOf(target)) === wanted,
  };
}

const restore = (round: number, ...more: string[]) => [
  'restore', '--backup-file', ids[round % 3] ?? '', '--yes', ...more,
]; // prettier-ignore

const throughStaging = [
  'staging.made', 'staging.marked', 'staging.filled', 'staging.finished',
  'swap.begun', 'swap.renamed', 'swap.committed',
] as const; // prettier-ignore

const stories: readonly Story[] = [
  {
    command: 'restore --drop-existing',
    points: throughStaging,
    also: [
      ['staging.made', 'error:QUERY_FAILED'],
      ['staging.filled', 'SIGTERM'],
      ['swap.renamed', 'error:CONNECTION_LOST'],
      ['swap.committed', 'error:CONNECTION_LOST'],
    ],
    prepare: async (round) => {
      await host.reset({shop: 'changed_template'});
      return situation(restore(round, '--drop-existing'), 'shop', [changed, backedUp], backedUp);
    },
  },
  {
    command: 'restore --create-db',
    points: throughStaging,
    also: [['staging.filled', 'error:QUERY_FAILED']],
    prepare: async (round) => {
      await host.reset({shop: 'changed_template'});
      return situation(
        restore(round, '--create-db', '--target-db', 'copy'),
        'copy',
        [null, backedUp],
        backedUp,
      );
    },
  },
  {
    command: 'restore into an empty database',
    points: ['restore.loaded', 'restore.compared'],
    also: [],
    prepare: async (round) => {
      await host.reset({shop: 'changed_template', empty: 'template0'});
      return situation(restore(round, '--target-db', 'empty'), 'empty', ['no tables', backedUp], backedUp);
    },
  },
  {
    command: 'undo',
    points: ['swap.begun', 'swap.renamed', 'swap.committed'],
    also: [['swap.renamed', 'error:CONNECTION_LOST']],
    prepare: async (round) => {
      await host.reset({shop: 'changed_template'});
      const made = await situation(['undo', '--yes'], 'shop', [changed, backedUp], changed);
      await mustRun(made.home, made.url, ...restore(round, '--drop-existing'));
      return made;
    },
  },
  {
    command: 'recover',
    points: ['recover.planned', 'recover.one-done', 'recover.all-done'],
    also: [['recover.planned', 'SIGINT']],
    prepare: async (round) => {
      await host.reset({shop: 'changed_template'});
      const made = await situation(['recover', '--yes'], 'shop', [changed], changed);
      const {home, url} = made;
      const broken = (args: readonly string[], fault: string) =>
        runCli(args, {cwd: home, env: {DIRECT_URL: url, DESTINO_DB_FAULT: `${fault}=SIGKILL`}});
      await broken(restore(round, '--drop-existing'), 'staging.filled');
      await broken(['backup'], 'backup.verified');
      return made;
    },
  },
];

tellStories('databases', stories);
