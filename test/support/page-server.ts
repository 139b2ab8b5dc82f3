/** A separate server whose databases may have the names in the documentation. */
import {rm} from 'node:fs/promises';
import {afterAll, beforeAll, beforeEach, inject} from 'vitest';
import {withAppSession} from './app-session.js';
import {type LocalCluster, startLocalCluster} from '../../src/lib/postgres/tools/local-cluster.js';
import {quoteIdentifier} from '../../src/lib/postgres/quote.js';
import {loadTemplate} from './global-cluster.js';
import {tempFolder} from './run-cli.js';
import {requirePrograms} from './require-programs.js';

export interface PageServer {
  readonly cluster: LocalCluster;
  /** postgresql://... of a database, with the superuser's password. */
  url(database: string): string;
  /** Drops all databases except the server's own, and creates `shop` again. */
  freshShop(): Promise<void>;
  /** Runs several statements in a database as superuser. */
  load(sql: string, database: string): Promise<void>;
  /** A statement as superuser, in the database "postgres" or another. */
  run(sql: string, database?: string): Promise<Readonly<Record<string, string | null>>[]>;
}

/** One server for all tests of the file; each test gets it with a new shop, and an empty folder. */
export function beforeEachPage(begin: (server: PageServer, folder: string) => void): void {
  let server: PageServer;
  beforeAll(async () => {
    requirePrograms('age', 'jq');
    server = await startPageServer();
  });
  beforeEach(async () => {
    await server.freshShop();
    const folder = await tempFolder();
    begin(server, folder);
    return () => rm(folder, {recursive: true, force: true});
  });
  afterAll(() => server.cluster.stop());
}

async function startPageServer(): Promise<PageServer> {
  const cluster = await startLocalCluster({binFolder: inject('serverBin'), settings: ['jit = off']});
  await loadTemplate(cluster.connection);
  const {host, port, user, password} = cluster.connection;
  const run: PageServer['run'] = (sql, database = 'postgres') =>
    withAppSession({...cluster.connection, database}, async (session) => [...(await session.query(sql))]);
  return {
    cluster,
    run,
    load: (sql, database) =>
      withAppSession({...cluster.connection, database}, async (session) => {
        await session.client.query(sql);
      }),
    url: (database) => `postgresql://${user}:${password ?? ''}@${host}:${port}/${database}?sslmode=disable`,
    freshShop: async () => {
      const rows = await run(
        "SELECT datname FROM pg_database WHERE datname NOT IN ('postgres', 'template0', 'template1', 'shop_template')",
      );
      for (const {datname} of rows) await run(`DROP DATABASE ${quoteIdentifier(datname ?? '')} WITH (FORCE)`);
      await run('CREATE DATABASE shop TEMPLATE shop_template');
    },
  };
}
