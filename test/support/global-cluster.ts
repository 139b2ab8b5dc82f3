/** vitest global setup: one temporary server for the whole run, with a template of the sample shop. */
import {readFile} from 'node:fs/promises';
import {fileURLToPath} from 'node:url';
import type {TestProject} from 'vitest/node';
import {type LocalCluster, startLocalCluster} from '../../src/lib/postgres/tools/local-cluster.js';
import {withDatabase, type Connection} from '../../src/lib/postgres/connect/connection.js';
import {withAppSession} from './app-session.js';
import {provideServer} from './server-programs.js';

declare module 'vitest' {
  export interface ProvidedContext {
    /** Superuser connection to the database "postgres". */
    cluster: Connection;
    clusterPid: number;
    clusterFolder: string;
  }
}

const root = fileURLToPath(new URL('../../', import.meta.url));

let cluster: LocalCluster | undefined;

export async function setup(project: TestProject): Promise<void> {
  cluster = await startLocalCluster({
    binFolder: await provideServer(project),
    settings: [
      'max_connections = 200',
      'shared_buffers = 64MB',
      'max_prepared_transactions = 20',
      // A worker that visits a database of a test changes its statistics, and is one more session in it.
      'autovacuum = off',
      'jit = off',
    ],
  });
  await loadTemplate(cluster.connection);
  project.provide('cluster', cluster.connection);
  project.provide('clusterPid', cluster.pid);
  project.provide('clusterFolder', cluster.folder);
}

export async function teardown(): Promise<void> {
  await cluster?.stop();
}

/** Creates the database "shop_template" with the sample shop. */
export async function loadTemplate(connection: Connection): Promise<void> {
  await withAppSession(connection, async (session) => {
    await session.query('CREATE DATABASE shop_template');
  });
  await withAppSession(withDatabase(connection, 'shop_template'), async (session) => {
    for (const file of [
      'test/fixtures/shop-schema.sql',
      'scripts/seed-shop.sql',
      'test/fixtures/shop-data.sql',
    ]) {
      await session.client.query(await readFile(`${root}${file}`, 'utf8'));
    }
    await session.query('ANALYZE');
  });
}
