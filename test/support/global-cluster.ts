/** vitest global setup: one temporary server for the whole run, with a template of the sample shop. */
import {readFile} from 'node:fs/promises';
import {fileURLToPath} from 'node:url';
import type {TestProject} from 'vitest/node';
import {
  type LocalCluster,
  serverBinFolders,
  startLocalCluster,
} from '../../src/lib/postgres/tools/local-cluster.js';
import {withDatabase, type Connection} from '../../src/lib/postgres/connect/connection.js';
import {requirePrograms} from './require-programs.js';
import {withAppSession} from './app-session.js';

declare module 'vitest' {
  export interface ProvidedContext {
    /** Superuser connection to the database "postgres". */
    cluster: Connection;
    clusterPid: number;
    clusterFolder: string;
    serverBin: string;
    serverMajor: number;
  }
}

const root = fileURLToPath(new URL('../../', import.meta.url));

let cluster: LocalCluster | undefined;

export async function setup(project: TestProject): Promise<void> {
  // Without any variable vitest omits `env`, in spite of its types.
  const {env} = project.config as {env?: Readonly<Record<string, string>>};
  const server = await chooseServer(env?.['DESTINO_TEST_PG']);
  cluster = await startLocalCluster({
    binFolder: server.folder,
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
  project.provide('serverBin', server.folder);
  project.provide('serverMajor', server.major);
}

export async function teardown(): Promise<void> {
  await cluster?.stop();
}

/**
 * The project's configuration or DESTINO_TEST_PG names the major version; the default is the oldest installed one, which has the most newer versions.
 */
async function chooseServer(
  wanted = process.env['DESTINO_TEST_PG'],
): Promise<{folder: string; major: number}> {
  const choose = async () => {
    const servers = await serverBinFolders();
    return wanted === undefined ? servers.at(-1) : servers.find((server) => String(server.major) === wanted);
  };
  const installed = await choose();
  if (installed) return installed;
  requirePrograms('postgres');
  const server = await choose();
  if (!server) throw new Error(`no PostgreSQL ${wanted ?? ''} server programs were found`);
  return server;
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
