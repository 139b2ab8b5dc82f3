/** A server that replays the WAL of another one. */
import {execFileSync} from 'node:child_process';
import {chmod, chown, copyFile, mkdir, stat} from 'node:fs/promises';
import {join} from 'node:path';
import {conninfoValue} from '../../src/lib/postgres/quote.js';
import {type LocalCluster, startLocalCluster} from '../../src/lib/postgres/tools/local-cluster.js';
import {tempFolder} from './run-cli.js';

/** Copies the primary with pg_basebackup and starts the copy as its standby. @param settings lines for postgresql.conf */
export async function startStandby(
  primary: LocalCluster,
  binFolder: string,
  settings: readonly string[] = [],
): Promise<LocalCluster> {
  const {host, port, user, password = ''} = primary.connection;
  const folder = join(await tempFolder(), 'standby');
  const data = join(folder, 'data');
  await mkdir(folder);
  execFileSync(
    join(binFolder, 'pg_basebackup'),
    ['-h', host, '-p', String(port), '-U', user, '-D', data, '--write-recovery-conf', '--checkpoint=fast'],
    {env: {...process.env, PGPASSWORD: password}, stdio: ['ignore', 'ignore', 'inherit']},
  );
  await copyFile(join(primary.folder, 'password'), join(folder, 'password'));
  const {uid, gid} = await stat(join(primary.folder, 'data'));
  if (process.getuid?.() === 0) {
    execFileSync('chown', ['-R', `${uid}:${gid}`, folder]);
    // That account must be able to enter all folders above it.
    await chmod(join(folder, '..'), 0o755);
  }
  await chown(folder, uid, gid);
  const conninfo = [
    `host=${host}`,
    `port=${port}`,
    `user=${user}`,
    `password=${conninfoValue(password)}`,
  ].join(' ');
  return startLocalCluster({
    binFolder,
    keepIn: folder,
    settings: [
      ...settings,
      'max_connections = 100',
      `primary_conninfo = '${conninfo.replaceAll("'", "''")}'`,
    ],
  });
}
