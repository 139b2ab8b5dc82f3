/** Forwards a port of this machine to a database server through the system's ssh. */
import {once} from 'node:events';
import {createServer} from 'node:net';
import {AppError, messageOf} from '../../base/errors.js';
import type {Environment} from '../../settings/environment.js';
import type {ForwardedServer, SshConfig, SshTunnel} from '../../settings/ssh-config.js';
import {runTool} from './run-tool.js';

const defaultTimeoutSeconds = 20;

/** @param signal of the run; it ends an attempt to connect, not a tunnel, which sessions that clean up still need */
export function createSshTunnel(config: SshConfig, environment: Environment, signal: AbortSignal): SshTunnel {
  const ended = new AbortController();
  const ports = new Map<string, number>();
  const opening = new Map<string, Promise<number>>();
  const running: Promise<unknown>[] = [];
  const start = async (target: ForwardedServer): Promise<number> => {
    const port = await freePort();
    const lines: string[] = [];
    const login = watchLogin(port, lines);
    const seconds = config.timeoutSeconds ?? defaultTimeoutSeconds;
    const limit = AbortSignal.timeout(seconds * 1000);
    const expired = new AbortController();
    const ssh = runTool({
      tool: 'ssh',
      path: 'ssh',
      args: argumentsOf(config, port, target),
      environment: agentOf(environment),
      signal: AbortSignal.any([ended.signal, expired.signal]),
      endsWithUs: true,
      onLine: login.onLine,
      failureCode: 'SSH_FAILED',
    });
    running.push(ssh.catch(() => undefined));
    const failed = ssh.then(
      () => Promise.reject(explainSsh(config, lines, 'ssh ended')),
      (error: unknown) => Promise.reject(explainSsh(config, lines, messageOf(error))),
    );
    // A tunnel that breaks later breaks the sessions in it; the next session opens another one.
    failed.catch(() => ports.delete(addressOf(target)));
    try {
      await untilAborted(Promise.race([failed, login.listening]), AbortSignal.any([signal, limit]));
    } catch (error) {
      signal.throwIfAborted();
      if (!limit.aborted) throw error;
      expired.abort();
      await ssh.catch(() => undefined);
      throw explainSsh(config, lines, login.isConnected() ? loginTimedOut : connectTimedOut);
    }
    ports.set(addressOf(target), port);
    return port;
  };
  return {
    host: config.host,
    passwords: new Map(),
    port: (target) => {
      const port = ports.get(addressOf(target));
      // Without this, a program would connect to a server on this machine.
      if (port === undefined)
        throw new AppError('SSH_FAILED', `The tunnel through "${config.host}" has ended.`);
      return port;
    },
    open: async (target) => {
      const known = ports.get(addressOf(target));
      if (known !== undefined) return known;
      const started = opening.get(addressOf(target)) ?? start(target);
      opening.set(addressOf(target), started);
      return started.finally(() => opening.delete(addressOf(target)));
    },
    close: async () => {
      ended.abort();
      await Promise.all(running);
    },
  };
}

/** "OpenSSH_9.2p1 Debian-2, OpenSSL 3.0.19". @throws SSH_NOT_FOUND */
export async function sshVersion(config: SshConfig): Promise<string> {
  try {
    const {stderrTail} = await runTool({
      tool: 'ssh',
      path: 'ssh',
      args: ['-V'],
      environment: {},
      failureCode: 'SSH_FAILED',
    });
    return stderrTail.join(' ');
  } catch (error) {
    throw explainSsh(config, [], messageOf(error));
  }
}

/** The address as the SSH server uses it. */
function addressOf({host, port, options}: ForwardedServer): string {
  const address = options?.['hostaddr'] ?? host;
  if (address.startsWith('/')) return `${address}/.s.PGSQL.${port}`;
  return `${address.includes(':') ? `[${address}]` : address}:${port}`;
}

/** As ssh writes it itself, where it has a limit of its own. */
const connectTimedOut = 'Connection timed out';
const loginTimedOut = 'Connection timed out during the login';

interface Login {
  readonly onLine: (line: string) => void;
  readonly listening: Promise<void>;
  /** Whether the SSH server, or a jump host before it, has answered. */
  readonly isConnected: () => boolean;
}

/**
 * Collects ssh's messages, and reports that ssh itself listens on the port: a connection would not show that, because another
 * program may have taken the port. A jump host's ssh also begins a session, but forwards no port.
 */
function watchLogin(port: number, lines: string[]): Login {
  let isNext = false;
  let isConnected = false;
  let onListening = (): void => undefined;
  const listening = new Promise<void>((resolve) => (onListening = resolve));
  const onLine = (line: string): void => {
    if (/Connection established\.|Remote protocol version/.test(line)) isConnected = true;
    if (line.includes(`Local forwarding listening on 127.0.0.1 port ${port}.`)) isNext = true;
    else if (isNext && line.includes('Entering interactive session')) onListening();
    if (!/^(?:debug\d: |OpenSSH_|Authenticated to |Transferred: |Bytes per second: )/.test(line))
      lines.push(line);
  };
  return {onLine, listening, isConnected: () => isConnected};
}

async function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const stop = new AbortController();
  const aborted = once(signal, 'abort', {signal: stop.signal}).then(() => {
    throw signal.reason;
  });
  try {
    signal.throwIfAborted();
    return await Promise.race([work, aborted]);
  } finally {
    aborted.catch(() => undefined);
    stop.abort();
  }
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
  return [
    '-v', // for watchLogin
    '-N',
    '-T',
    '-a',
    '-x',
    ...options.flatMap((option) => ['-o', option]),
    ...(port === undefined ? [] : ['-p', String(port)]),
    ...(user === undefined ? [] : ['-l', user]),
    ...(identityFile === undefined ? [] : ['-i', identityFile]),
    '-L',
    `127.0.0.1:${localPort}:${addressOf(target)}`,
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

const explanations = [
  {
    // "during banner exchange", "during the login"
    pattern: /timed out during/i,
    code: 'SSH_TIMEOUT',
    what: 'accepted the connection and did not finish the login in time',
    hint: 'Check that ssh.port in the config file is that of an SSH server, and its load. ssh.timeoutSeconds is the limit.',
  },
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
  const text = [...lines, fallback].join('\n');
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
