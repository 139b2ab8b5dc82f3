/** A server of its own that offers TLS. */
import {chmod, chown, copyFile, stat, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {expect, inject, vi} from 'vitest';
import {withSession} from '../../src/lib/postgres/client.js';
import {type LocalCluster, startLocalCluster} from '../../src/lib/postgres/tools/local-cluster.js';
import type {Certificates} from './certificates.js';

interface TlsServerOptions {
  /** The lines of pg_hba.conf; "postgres" must be among them. */
  readonly hostRules: string;
  /** Roles whose passwords are their names. */
  readonly users: readonly string[];
  /** Lines for postgresql.conf. */
  readonly settings?: readonly string[];
}

export async function startTlsServer(
  certificates: Certificates,
  {hostRules, users, settings = []}: TlsServerOptions,
): Promise<LocalCluster> {
  const server = await startLocalCluster({binFolder: inject('serverBin'), settings});
  const data = join(server.folder, 'data');
  const {uid, gid} = await stat(data);
  for (const [from, name] of [
    [certificates.serverCert, 'server.crt'],
    [certificates.serverKey, 'server.key'],
    [certificates.rootCert, 'root.crt'],
  ] as const) {
    await copyFile(from, join(data, name));
    await chmod(join(data, name), 0o600);
    await chown(join(data, name), uid, gid);
  }
  await writeFile(join(data, 'pg_hba.conf'), hostRules);
  await withSession(server.connection, async ({client}) => {
    for (const user of users) await client.query(`CREATE ROLE ${user} LOGIN PASSWORD '${user}'`);
    await client.query("ALTER SYSTEM SET ssl_ca_file = 'root.crt'");
    await client.query('ALTER SYSTEM SET ssl = on');
    await client.query('SELECT pg_reload_conf()');
  });
  // The reload is a signal: connections of new sessions follow it once the postmaster has read its files.
  const question = 'SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()';
  const encrypted = {...server.connection, options: {...server.connection.options, sslmode: 'require'}};
  await vi.waitFor(
    async () =>
      expect(await withSession(encrypted, (session) => session.query(question))).toEqual([{ssl: 't'}]),
    60_000,
  );
  return server;
}
