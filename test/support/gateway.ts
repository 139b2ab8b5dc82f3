/** Separate gateways to the run's object store, which may be killed, stopped, have a certificate or a different clock. */
import {type ChildProcess, execFileSync, spawn} from 'node:child_process';
import {once} from 'node:events';
import {closeSync, openSync} from 'node:fs';
import {join} from 'node:path';
import {store} from './bucket.js';
import {answers, freePort} from './ports.js';
import {requirePrograms} from './require-programs.js';

export interface Gateway {
  readonly endpoint: string;
  /** Of the process that answers requests. */
  signal(signal: NodeJS.Signals): Promise<void>;
  /** Starts it again on the same port, after it was killed. */
  startAgain(): Promise<void>;
}

export interface GatewayOptions {
  /** Files in PEM form; plain HTTP without them. */
  readonly tls?: {readonly certificate: string; readonly key: string};
  /** Options of the daemon. */
  readonly settings?: readonly string[];
  /** How far its clock is ahead. */
  readonly aheadSeconds?: number;
}

const environment = {...process.env, CEPH_CONF: join(store.folder, 'ceph.conf')};

export async function startGateway(options: GatewayOptions = {}): Promise<Gateway> {
  const port = await freePort();
  const {tls} = options;
  const frontend = tls
    ? `beast ssl_endpoint=127.0.0.1:${port} ssl_certificate=${tls.certificate} ssl_private_key=${tls.key}`
    : `beast endpoint=127.0.0.1:${port}`;
  let running: ChildProcess;
  const start = async (): Promise<void> => {
    const log = openSync(join(store.folder, 'log', `gateway-${port}.out`), 'a');
    // It dies with this process, for whatever reason.
    const daemon = [
      '--pdeathsig',
      'KILL',
      'radosgw',
      '-f',
      '-n',
      'client.rgw',
      `--rgw-frontends=${frontend}`,
    ];
    const started = spawn(
      'setpriv',
      [...daemon, '--admin-socket=', '--pid-file=', `--log-file=${store.folder}/log/gateway-${port}.log`, ...(options.settings ?? [])],
      {env: {...environment, ...clockAhead(options.aheadSeconds ?? 0)}, stdio: ['ignore', log, log]},
    ); // prettier-ignore
    closeSync(log);
    running = started;
    while (!(await answers(port)))
      if (started.exitCode !== null || started.signalCode !== null)
        throw new Error(`the gateway ended (${started.exitCode ?? started.signalCode})`);
  };
  await start();
  return {
    endpoint: `${tls ? 'https' : 'http'}://127.0.0.1:${port}`,
    async signal(signal) {
      const ended = once(running, 'exit');
      running.kill(signal);
      if (signal === 'SIGKILL') await ended;
    },
    startAgain: start,
  };
}

/** Variables that move a program's clock, by libfaketime. */
export function clockAhead(seconds: number): Record<string, string> {
  if (seconds === 0) return {};
  requirePrograms('faketime');
  // The loader replaces $LIB on this kind of machine.
  const library = '/usr/$LIB/faketime/libfaketimeMT.so.1';
  return {
    LD_PRELOAD: library,
    FAKETIME: `${seconds < 0 ? '' : '+'}${seconds}s`,
    DONT_FAKE_MONOTONIC: '1',
  };
}

/** radosgw-admin on the run's store; returns its output. */
export function administrate(args: readonly string[], input = ''): string {
  return execFileSync('radosgw-admin', args, {
    env: environment,
    encoding: 'utf8',
    input,
    stdio: ['pipe', 'pipe', 'ignore'],
  });
}
