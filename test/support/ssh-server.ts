/** A real sshd on a free port of this machine, which accepts one key of the account that runs the tests. */
import {type ChildProcess, execFileSync, spawn} from 'node:child_process';
import {once} from 'node:events';
import {mkdir, readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {userInfo} from 'node:os';
import {answers, freePort} from './ports.js';
import {requirePrograms} from './require-programs.js';

export interface SshServer {
  readonly port: number;
  /** Private key that the server accepts. */
  readonly key: string;
  /** Private key that it refuses. */
  readonly otherKey: string;
  readonly knownHosts: string;
  /** The server under the host key of somebody else. */
  readonly changedHosts: string;
  readonly emptyHosts: string;
  /** File of sshd's messages. */
  readonly log: string;
  /** Settings for the config file. */
  settings(changes?: object): object;
  stop(): Promise<void>;
}

export async function startSshServer(folder: string): Promise<SshServer> {
  requirePrograms('sshd', 'ssh', 'ssh-keygen');
  const path = (name: string): string => join(folder, name);
  for (const name of ['host', 'stranger', 'key', 'other'])
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', name, '-f', path(name)]);
  const port = await freePort();
  await writeFile(path('authorized'), await readFile(path('key.pub')), {mode: 0o600});
  const known = async (file: string, key: string): Promise<void> =>
    writeFile(path(file), `[127.0.0.1]:${port} ${await readFile(path(key), 'utf8')}`);
  await known('known', 'host.pub');
  await known('changed', 'stranger.pub');
  await writeFile(path('empty'), '');
  await writeFile(
    path('sshd_config'),
    [
      `Port ${port}`,
      'ListenAddress 127.0.0.1',
      `HostKey ${path('host')}`,
      `AuthorizedKeysFile ${path('authorized')}`,
      `PidFile ${path('sshd.pid')}`,
      'LogLevel DEBUG1',
      'StrictModes no',
      'UsePAM no',
      'PasswordAuthentication no',
      'KbdInteractiveAuthentication no',
      'AllowTcpForwarding local',
      'PermitRootLogin prohibit-password',
      '',
    ].join('\n'),
  );
  // As root, sshd separates its privileges in this folder, which the service would make.
  if (process.getuid?.() === 0) await mkdir('/run/sshd', {recursive: true, mode: 0o755});
  const program = execFileSync('sh', ['-c', 'command -v sshd || echo /usr/sbin/sshd'], {
    encoding: 'utf8',
  }).trim();
  const server: ChildProcess = spawn(program, ['-D', '-E', path('sshd.log'), '-f', path('sshd_config')], {
    stdio: 'ignore',
  });
  while (!(await answers(port))) if (server.exitCode !== null) throw new Error('sshd did not start');
  return {
    port,
    key: path('key'),
    otherKey: path('other'),
    knownHosts: path('known'),
    changedHosts: path('changed'),
    emptyHosts: path('empty'),
    log: path('sshd.log'),
    settings: (changes = {}) => ({
      host: '127.0.0.1',
      port,
      user: userInfo().username,
      identityFile: path('key'),
      knownHostsFile: path('known'),
      ...changes,
    }),
    stop: async () => {
      const ended = once(server, 'exit');
      server.kill();
      await ended;
    },
  };
}
