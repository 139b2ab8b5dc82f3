/** Separate databases for a test file on the run's temporary server, or on one of its own. */
import {randomBytes} from 'node:crypto';
import {readFile} from 'node:fs/promises';
import {inject} from 'vitest';
import type {Session} from '../../src/lib/postgres/client.js';
import {type LocalCluster, startLocalCluster} from '../../src/lib/postgres/tools/local-cluster.js';
import {withAppSession} from './app-session.js';
import {type Connection, withDatabase} from '../../src/lib/postgres/connect/connection.js';
import {quoteIdentifier} from '../../src/lib/postgres/quote.js';

export interface TempDatabase {
  readonly connection: Connection;
  /** postgresql://... with the password */
  readonly url: string;
  readonly name: string;
  /** Runs one or more statements. */
  run(sql: string): Promise<void>;
  query(sql: string): Promise<Readonly<Record<string, string | null>>[]>;
  /** Drops it and ends its sessions. */
  drop(): Promise<void>;
}

let own: LocalCluster | undefined;

export function clusterConnection(): Connection {
  return own?.connection ?? inject('cluster');
}

/**
 * For `beforeAll` of a file whose killed runs leave databases behind: `recover` of other files, which looks at every database of a
 * server, would drop them or fail to. The functions below then use this server. @returns its end
 */
export async function startOwnServer(): Promise<() => Promise<void>> {
  const server = await startLocalCluster({binFolder: inject('serverBin')});
  own = server;
  return () => server.stop();
}

/** Runs statements on the database "postgres" as superuser. */
export async function onServer<T>(work: (session: Session) => Promise<T>): Promise<T> {
  return withAppSession(clusterConnection(), work);
}

/** @param template "shop_template" for the sample shop, "template0" for an empty database */
export async function createTempDatabase(template = 'shop_template', name?: string): Promise<TempDatabase> {
  const database = name ?? `t_${randomBytes(6).toString('hex')}`;
  await onServer((session) =>
    session.query(`CREATE DATABASE ${quoteIdentifier(database)} TEMPLATE ${quoteIdentifier(template)}`),
  );
  return existingDatabase(database);
}

/** A handle for an existing database. */
export function existingDatabase(database: string): TempDatabase {
  const connection = withDatabase(clusterConnection(), database);
  return {
    connection,
    url: urlOf(connection),
    name: database,
    run: (sql) =>
      withAppSession(connection, async (session) => {
        await session.client.query(sql);
      }),
    query: (sql) => withAppSession(connection, async (session) => [...(await session.query(sql))]),
    drop: () => dropDatabase(database),
  };
}

export async function dropDatabase(database: string): Promise<void> {
  await onServer((session) =>
    session.query(`DROP DATABASE IF EXISTS ${quoteIdentifier(database)} WITH (FORCE)`),
  );
}

export async function databaseExists(database: string): Promise<boolean> {
  const rows = await onServer((session) =>
    session.query('SELECT 1 FROM pg_database WHERE datname = $1', [database]),
  );
  return rows.length > 0;
}

export function urlOf(connection: Connection): string {
  const encode = encodeURIComponent;
  const password = connection.password === undefined ? '' : `:${encode(connection.password)}`;
  return `postgresql://${encode(connection.user)}${password}@${connection.host}:${connection.port}/${encode(connection.database)}?sslmode=disable`;
}

/** Loads a file of test/fixtures. */
export async function loadFixture(database: TempDatabase, file: string): Promise<void> {
  await database.run(await readFile(new URL(`../fixtures/${file}`, import.meta.url), 'utf8'));
}
