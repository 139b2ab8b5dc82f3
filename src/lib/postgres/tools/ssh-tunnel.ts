/** Forwards a port of this machine to a database server through the system's ssh. */
import {once} from 'node:events';
import {connect, createServer} from 'node:net';
import {setTimeout as wait} from 'node:timers/promises';
import {AppError, messageOf} from '../../base/errors.js';
import type {Environment} from '../../settings/environment.js';
import type {ForwardedServer, SshConfig, SshTunnel} from '../../settings/ssh-config.js';
import {runTool} from './run-tool.js';

const defaultTimeoutSeconds = 20;
const pollMs = 50;

/** @param signal of the run; it ends an attempt to connect, not a tunnel, which sessions that clean up still need */
export function createSshTunnel(config: SshConfig, environment: Environment, signal: AbortSignal): SshTunnel {
  const ended = new AbortController();
  const ports = new Map<string, number>();
  const opening = new Map<string, Promise<number>>();
  const running: Promise<unknown>[] = [];
  const keyOf = ({host, port}: ForwardedServer): string => `${host}:${port}`;
  const start = async (target: ForwardedServer): Promise<number> => {
    const port = await freePort();
    const lines: string[] = [];
    const ssh = runTool({
      tool: 'ssh',
      path: 'ssh',
      args: argumentsOf(config, port, target),
      environment: agentOf(environment),
      signal: ended.signal,
      endsWithUs: true,
      onLine: (line) => lines.push(line),
      failureCode: 'SSH_FAILED',
    });
    running.push(ssh.catch(() => undefined));
    const failed = ssh.then(
      () => Promise.reject(explainSsh(config, lines, 'ssh ended')),
      (error: unknown) => Promise.reject(explainSsh(config, lines, messageOf(error))),
    );
    failed.catch(() => undefined); // a tunnel that breaks later breaks the sessions in it
    const attempt = new AbortController();
    try {
      await Promise.race([failed, acceptsConnections(port, AbortSignal.any([signal, attempt.signal]))]);
    } finally {
      attempt.abort();
    }
    ports.set(keyOf(target), port);
    return port;
  };
  return {
    passwords: new Map(),
    port: (target) => ports.get(keyOf(target)),
    open: async (target) => {
      const known = ports.get(keyOf(target));
      if (known !== undefined) return known;
      const started = opening.get(keyOf(target)) ?? start(target);
      opening.set(keyOf(target), started);
      return started.finally(() => opening.delete(keyOf(target)));
    },
    close: async () => {
      ended.abort();
      await Promise.all(running);
    },
  };
}

function argumentsOf(
  {host, port, user, identityFile, knownHostsFile, timeoutSeconds}: SshConfig,
  localPort: number,
  target: ForwardedServer,
): string[] {
  const options = [
    'BatchMode=yes',
    'StrictHostKeyChecking=yes',
    'ExitOnForwardFailure=yes',
    `ConnectTimeout=${timeoutSeconds ?? defaultTimeoutSeconds}`,
    'ConnectionAttempts=1',
    'ServerAliveInterval=15',
    'ServerAliveCountMax=3',
    // Another ssh would otherwise own the forwarded port, and outlive this run.
    'ControlMaster=no',
    'ControlPath=none',
    'PermitLocalCommand=no',
    ...(identityFile === undefined ? [] : ['IdentitiesOnly=yes']),
    ...(knownHostsFile === undefined
      ? []
      : [`UserKnownHostsFile=${knownHostsFile}`, 'GlobalKnownHostsFile=none']),
  ];
  const to = target.host.includes(':') ? `[${target.host}]` : target.host;
  return [
    '-N',
    '-T',
    '-a',
    '-x',
    ...options.flatMap((option) => ['-o', option]),
    ...(port === undefined ? [] : ['-p', String(port)]),
    ...(user === undefined ? [] : ['-l', user]),
    ...(identityFile === undefined ? [] : ['-i', identityFile]),
    '-L',
    `127.0.0.1:${localPort}:${to}:${target.port}`,
    '--',
    host,
  ];
}

function agentOf(environment: Environment): Record<string, string> {
  const socket = environment.get('SSH_AUTH_SOCK');
  return socket === undefined ? {} : {SSH_AUTH_SOCK: socket};
}

/** If another program takes the port in the meantime, ssh cannot listen and ends. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (typeof address !== 'object' || address === null)
    throw new AppError('SSH_FAILED', 'No local port is free for ssh.');
  return address.port;
}

/** ssh listens after its login. */
async function acceptsConnections(port: number, signal: AbortSignal): Promise<void> {
  for (;;) {
    signal.throwIfAborted();
    const socket = connect(port, '127.0.0.1');
    try {
      await once(socket, 'connect', {signal});
      return;
    } catch {
      await wait(pollMs, undefined, {signal}).catch(() => undefined);
    } finally {
      socket.destroy();
    }
  }
}

const explanations = [
  {
    pattern: /IDENTIFICATION HAS CHANGED|host key .* has changed|Offending .* key/i,
    code: 'SSH_HOST_KEY_CHANGED',
    what: 'has another host key than the known one',
    hint: 'Somebody may read along. Ask the owner of the server before you replace the key in the file of known hosts.',
  },
  {
    pattern: /host key is known for|Host key verification failed/i,
    code: 'SSH_HOST_UNKNOWN',
    what: 'has an unknown host key',
    hint: 'Compare the fingerprint with its owner, then add the key: ssh-keyscan HOST >> ~/.ssh/known_hosts',
  },
  {
    pattern: /Permission denied|Too many authentication failures|no such identity/i,
    code: 'SSH_KEY_REFUSED',
    what: 'refused the key or the user',
    hint: 'Check ssh.user and ssh.identityFile in the config file: ssh -o BatchMode=yes USER@HOST. A key with a passphrase must be in the agent.',
  },
  {
    pattern:
      /Could not resolve hostname|Connection refused|timed out|No route to host|unreachable|Connection (?:closed|reset)/i,
    code: 'SSH_UNREACHABLE',
    what: 'cannot be reached',
    hint: 'Check ssh.host and ssh.port in the config file, and the network.',
  },
] as const;

function explainSsh({host}: SshConfig, lines: readonly string[], fallback: string): AppError {
  const text = lines.join('\n');
  const details = lines.slice(-10);
  if (lines.length === 0 && fallback.startsWith('Cannot start ssh'))
    return new AppError('SSH_NOT_FOUND', 'ssh is not installed or was not found. No connection was made.', {
      hint: 'Install it (apt-get install openssh-client), or remove ssh from the config file.',
    });
  const found = explanations.find(({pattern}) => pattern.test(text));
  if (!found)
    return new AppError(
      'SSH_FAILED',
      `The tunnel through "${host}" failed: ${fallback.replace(/\.$/, '')}.`,
      {details},
    );
  return new AppError(found.code, `The SSH server "${host}" ${found.what}. No connection was made.`, {
    hint: found.hint,
    details,
  });
}
