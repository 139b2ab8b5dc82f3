/** A separate server for a fault test (recover looks at every database of a server), with templates and initial folders. */
import {spawn} from 'node:child_process';
import {cp, open, readFile, stat} from 'node:fs/promises';
import {join} from 'node:path';
import {inject} from 'vitest';
import {readCatalogue} from '../../src/lib/catalog/catalogue.js';
import {withAppSession} from './app-session.js';
import {type Connection, withDatabase} from '../../src/lib/postgres/connect/connection.js';
import {type LocalCluster, startLocalCluster} from '../../src/lib/postgres/tools/local-cluster.js';
import {contentOf} from './check-promises.js';
import {processState, until} from './observe.js';
import {runCli, tempFolder} from './run-cli.js';
import {urlOf} from './temp-database.js';

export interface FaultServer {
  readonly server: Connection;
  at(database: string): Connection;
  urlOf(database: string): string;
  contentOf(database: string): Promise<string>;
  run(sql: string, database?: string): Promise<void>;
  /** Drops all databases except the server's own and the templates, and creates these from templates. */
  reset(databases: Readonly<Record<string, string>>): Promise<void>;
  /** Stops the server: "fast" ends its sessions first, "immediate" is like a crash (manual, 19.5). */
  halt(mode: 'fast' | 'immediate'): Promise<void>;
  /** Starts it again and returns when it accepts connections. */
  resume(): Promise<void>;
  /** Ends the sessions of the program and of its tools. */
  endSessions(): Promise<void>;
  stop(): Promise<void>;
}

/** Text in the middle of the rows of dishes, and nowhere else. */
export const needle = 'the needle';

const small = `
  CREATE TABLE menus (id int PRIMARY KEY, name text NOT NULL);
  CREATE TABLE dishes (id int PRIMARY KEY, menu int NOT NULL REFERENCES menus, price numeric(10, 2), note text);
  INSERT INTO menus SELECT n, 'menu ' || n FROM generate_series(1, 50) AS n;
  INSERT INTO dishes SELECT n, n % 50 + 1, n / 7.0, CASE n WHEN 1000 THEN '${needle}' END FROM generate_series(1, 2000) AS n;`;

const ours = `application_name IN ('destino-db', 'pg_dump', 'pg_restore', 'psql') AND pid <> pg_backend_pid()`;

/** Starts the server with the template "small_template": two linked tables. */
export async function startFaultServer(): Promise<FaultServer> {
  const cluster: LocalCluster = await startLocalCluster({binFolder: inject('serverBin')});
  const server = cluster.connection;
  const at = (database: string): Connection => withDatabase(server, database);
  const run = (sql: string, database = 'postgres'): Promise<void> =>
    withAppSession(at(database), async (session) => {
      await session.client.query(sql);
    });
  const postmaster = processOf(cluster, inject('serverBin'));
  await run('CREATE DATABASE small_template');
  await run(small, 'small_template');
  return {
    server,
    at,
    run,
    urlOf: (database) => urlOf(at(database)),
    contentOf: (database) => contentOf(at(database)),
    reset: async (databases) => {
      await withAppSession(server, async (session) => {
        const old = await session.query(
          `SELECT format('DROP DATABASE %I WITH (FORCE)', datname) AS sql FROM pg_database
            WHERE NOT datistemplate AND datname <> 'postgres' AND NOT datname LIKE '%\\_template'`,
        );
        for (const {sql} of old) await session.query(sql ?? '');
        for (const [name, template] of Object.entries(databases))
          await session.query(`CREATE DATABASE ${name} TEMPLATE ${template}`);
      });
    },
    halt: (mode) => postmaster.halt(mode === 'fast' ? 'SIGINT' : 'SIGQUIT'),
    resume: () => postmaster.resume(),
    endSessions: () => run(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE ${ours}`),
    stop: async () => {
      await postmaster.halt('SIGQUIT');
      await cluster.stop();
    },
  };
}

/** The server's process; `startLocalCluster` cannot restart it. */
function processOf(cluster: LocalCluster, binFolder: string) {
  const data = join(cluster.folder, 'data');
  let pid: number | undefined = cluster.pid;
  const isGone = async (ended: number): Promise<boolean> =>
    ['Z', undefined].includes(await processState(ended));
  return {
    halt: async (signal: NodeJS.Signals) => {
      if (pid === undefined) return;
      const ended = pid;
      process.kill(ended, signal);
      await until('the server has ended', () => isGone(ended));
      pid = undefined;
    },
    resume: async () => {
      if (pid !== undefined) return;
      const {uid, gid} = await stat(data);
      const log = await open(cluster.logFile, 'a');
      const child = spawn(join(binFolder, 'postgres'), ['-D', data], {
        ...(process.getuid?.() === 0 ? {uid, gid} : {}),
        cwd: '/',
        env: {PATH: process.env['PATH'], LC_ALL: 'C', TZ: 'UTC'},
        detached: true,
        stdio: ['ignore', log.fd, log.fd],
      });
      await log.close();
      child.unref();
      pid = child.pid;
      await until('the server takes connections', async () =>
        isReadyAs(pid, await readFile(join(data, 'postmaster.pid'), 'utf8').catch(() => '')),
      );
    },
  };
}

/** A working directory, with a copy of the backups folder in `from` if given. */
export async function freshHome(from?: string): Promise<string> {
  const home = await tempFolder();
  if (from !== undefined) await cp(join(from, 'backups'), join(home, 'backups'), {recursive: true});
  return home;
}

/** Runs a command that must succeed. */
export async function mustRun(home: string, url: string, ...args: string[]): Promise<void> {
  const {status, stderr} = await runCli(args, {cwd: home, env: {DIRECT_URL: url}});
  if (status !== 0) throw new Error(`${args.join(' ')} ended with ${String(status)}: ${stderr}`);
}

/** Ids of the backups in a working directory, newest first. */
export async function backupIds(home: string): Promise<string[]> {
  return (await readCatalogue(join(home, 'backups', 'database'))).backups.map(({id}) => id);
}

/** Whether a pid file belongs to this process and is not left from a crash. */
function isReadyAs(pid: number | undefined, file: string): boolean {
  return file.startsWith(`${pid ?? ''}\n`) && /^ready\s*$/m.test(file);
}
