/** A real pgbouncer in front of the run's server, on a free port. */
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {chown, mkdtemp, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {tmpdir, userInfo} from 'node:os';
import type {Connection} from '../../src/lib/postgres/connect/connection.js';
import {answers, freePort} from './ports.js';
import {requirePrograms} from './require-programs.js';

export type PoolMode = 'session' | 'transaction' | 'statement';

export interface Pooler {
  readonly port: number;
  /** postgresql://... of a database through the pooler. */
  url(database: string): string;
  stop(): Promise<void>;
}

/** @param server superuser of the server behind it, as which all clients are connected */
export async function startPooler(server: Connection, mode: PoolMode): Promise<Pooler> {
  requirePrograms('pgbouncer');
  const port = await freePort();
  // Outside the run's folder, which the pooler's account may not enter.
  const folder = await mkdtemp(join(tmpdir(), 'pgbouncer-'));
  const file = join(folder, 'pgbouncer.ini');
  const {host, user, password = ''} = server;
  await writeFile(
    file,
    `[databases]
* = host=${host} port=${server.port} user=${user} password=${password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = any
pool_mode = ${mode}
default_pool_size = ${mode === 'session' ? 40 : 4}
max_client_conn = 100
ignore_startup_parameters = extra_float_digits,options
`,
    {mode: 0o600},
  );
  // pgbouncer refuses to run as root.
  const account = userInfo().uid === 0 ? {uid: 65_534, gid: 65_534} : {};
  if (account.uid !== undefined) {
    await chown(file, account.uid, account.gid);
    await chown(folder, account.uid, account.gid);
  }
  const running = spawn('pgbouncer', [file], {...account, stdio: 'ignore'});
  const ended = once(running, 'exit');
  while (!(await answers(port))) {
    if (running.exitCode !== null) throw new Error(`pgbouncer ended with ${running.exitCode}`);
  }
  return {
    port,
    url: (database) => `postgresql://${user}@127.0.0.1:${port}/${database}?sslmode=disable`,
    stop: async () => {
      running.kill('SIGKILL');
      await ended;
      await rm(folder, {recursive: true});
    },
  };
}
