import {rm} from 'node:fs/promises';
import {join} from 'node:path';
import {afterAll, beforeAll} from 'vitest';
import {type FaultServer, freshHome, startFaultServer} from '../support/fault-server.js';
import {type Situation, tellStories} from '../support/fault-story.js';
import {loadTemplate} from '../support/global-cluster.js';
import {runCli} from '../support/run-cli.js';

let host: FaultServer;
/** Holds the order backup of one cleaning. */
let origin = '';
let whole = '';
let after = '';
let rows = 0;

const clean = ['orders:clean', '--execute', '--yes', '--json'];

beforeAll(async () => {
  host = await startFaultServer();
  await loadTemplate(host.server);
  await host.reset({shop: 'shop_template'});
  whole = await host.contentOf('shop');
  origin = await freshHome();
  const run = await runCli(clean, {cwd: origin, env: {DIRECT_URL: host.urlOf('shop')}});
  const {tables} = run.json() as {tables: Record<string, {deleted: number}>};
  rows = Object.values(tables).reduce((sum, {deleted}) => sum + deleted, 0);
  after = await host.contentOf('shop');
  await host.run('CREATE DATABASE cleaned_template TEMPLATE shop');
});
afterAll(async () => {
  await host.stop();
  await rm(origin, {recursive: true, force: true});
});

function situation(home: string, args: readonly string[], wanted: string): Situation {
  return {
    home,
    url: host.urlOf('shop'),
    args,
    watched: {
      backupsDir: join(home, 'backups'),
      server: host.server,
      databases: {shop: [whole, after]},
      kept: [],
      cleaned: {database: 'shop', after, rows},
    },
    isDone: async () => (await host.contentOf('shop')) === wanted,
  };
}

tellStories('orders', [
  {
    command: 'orders:clean',
    points: ['clean.locked', 'clean.file-written', 'clean.file-named', 'clean.deleted', 'clean.committed'],
    also: [
      ['clean.file-written', 'SIGINT'],
      ['clean.deleted', 'SIGTERM'],
      ['clean.file-named', 'error:CONNECTION_LOST'],
      ['clean.committed', 'error:CONNECTION_LOST'],
    ],
    prepare: async () => {
      await host.reset({shop: 'shop_template'});
      return situation(await freshHome(), clean, after);
    },
  },
  {
    command: 'orders:restore',
    points: ['orders.staged', 'orders.inserted', 'orders.committed'],
    also: [['orders.inserted', 'error:QUERY_FAILED']],
    prepare: async () => {
      await host.reset({shop: 'cleaned_template'});
      const args = ['orders:restore', '--backup-file', 'latest', '--execute', '--no-confirm'];
      return situation(await freshHome(origin), args, whole);
    },
  },
]);
