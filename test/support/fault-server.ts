/** A server of a fault test's own (recover looks at every database of a server), with templates and folders to begin from. */
import {cp} from 'node:fs/promises';
import {join} from 'node:path';
import {inject} from 'vitest';
import {readCatalogue} from '../../src/lib/backups/catalogue.js';
import {withSession} from '../../src/lib/postgres/client.js';
import {type Connection, withDatabase} from '../../src/lib/postgres/connection.js';
import {type LocalCluster, startLocalCluster} from '../../src/lib/postgres/local-cluster.js';
import {contentOf} from './check-promises.js';
import {runCli, tempFolder} from './run-cli.js';
import {urlOf} from './temp-database.js';

export interface FaultServer {
  readonly server: Connection;
  at(database: string): Connection;
  urlOf(database: string): string;
  contentOf(database: string): Promise<string>;
  run(sql: string, database?: string): Promise<void>;
  /** Drops every database but the server's own and the templates, and makes these from templates. */
  reset(databases: Readonly<Record<string, string>>): Promise<void>;
  stop(): Promise<void>;
}

const small = `
  CREATE TABLE menus (id int PRIMARY KEY, name text NOT NULL);
  CREATE TABLE dishes (id int PRIMARY KEY, menu int NOT NULL REFERENCES menus, price numeric(10, 2));
  INSERT INTO menus SELECT n, 'menu ' || n FROM generate_series(1, 50) AS n;
  INSERT INTO dishes SELECT n, n % 50 + 1, n / 7.0 FROM generate_series(1, 2000) AS n;`;

/** Starts it with the template "small_template": two linked tables. */
export async function startFaultServer(): Promise<FaultServer> {
  const cluster: LocalCluster = await startLocalCluster({binFolder: inject('serverBin')});
  const server = cluster.connection;
  const at = (database: string): Connection => withDatabase(server, database);
  const run = (sql: string, database = 'postgres'): Promise<void> =>
    withSession(at(database), async (session) => {
      await session.client.query(sql);
    });
  await run('CREATE DATABASE small_template');
  await run(small, 'small_template');
  return {
    server,
    at,
    run,
    urlOf: (database) => urlOf(at(database)),
    contentOf: (database) => contentOf(at(database)),
    reset: async (databases) => {
      await withSession(server, async (session) => {
        const old = await session.query(
          `SELECT format('DROP DATABASE %I WITH (FORCE)', datname) AS sql FROM pg_database
            WHERE NOT datistemplate AND datname <> 'postgres' AND NOT datname LIKE '%\\_template'`,
        );
        for (const {sql} of old) await session.query(sql ?? '');
        for (const [name, template] of Object.entries(databases))
          await session.query(`CREATE DATABASE ${name} TEMPLATE ${template}`);
      });
    },
    stop: () => cluster.stop(),
  };
}

/** A working directory whose backups folder is a copy of the one in `from`, when given. */
export async function freshHome(from?: string): Promise<string> {
  const home = await tempFolder();
  if (from !== undefined) await cp(join(from, 'backups'), join(home, 'backups'), {recursive: true});
  return home;
}

/** Runs a command that has to succeed. */
export async function mustRun(home: string, url: string, ...args: string[]): Promise<void> {
  const {status, stderr} = await runCli(args, {cwd: home, env: {DIRECT_URL: url}});
  if (status !== 0) throw new Error(`${args.join(' ')} ended with ${String(status)}: ${stderr}`);
}

/** Ids of the backups in a working directory, newest first. */
export async function backupIds(home: string): Promise<string[]> {
  return (await readCatalogue(join(home, 'backups', 'database'))).backups.map(({id}) => id);
}
