/** A proxy between the program and its server that breaks one connection at a chosen byte. */
import {connect, createServer, type AddressInfo, type Socket} from 'node:net';
import type {Connection} from '../../src/lib/postgres/connect/connection.js';

/** The effect on the connection that reaches the given position; earlier bytes have arrived. */
export type Break =
  /** Both ends get a reset (RST). */
  | 'reset'
  /** Both ends get an end (FIN), as when a server shuts down properly. */
  | 'close'
  /** No data arrives any more, in either direction, without an error. */
  | 'silence'
  /** Like silence until `release`, which then forwards everything. */
  | 'hold'
  /** None; the position is only reported. */
  | 'pass';

export interface Place {
  /** Text in the stream, in either direction: the connection breaks after its last byte. */
  readonly needle?: string;
  /** The number of a piece that the program or its tools send to the server, from 1: it breaks before that. */
  readonly piece?: number;
}

export interface ServerProxy {
  /** The server's connection through the proxy. */
  readonly connection: Connection;
  /** Resolves when the position is reached. */
  readonly reached: Promise<void>;
  readonly isReached: () => boolean;
  /** Pieces sent to the server so far. */
  readonly pieces: () => number;
  release(): void;
  /** Closes the connections that have become silent, as a network eventually does. */
  breakSilence(): void;
  close(): Promise<void>;
}

/**
 * Breaks the first connection that reaches the position; all others pass, later ones too. The connection must not
 * use TLS.
 */
export async function startProxy(server: Connection, place: Place, broken: Break): Promise<ServerProxy> {
  let pieces = 0;
  let isOver = false;
  let release = (): void => undefined;
  let tell = (): void => undefined;
  const reached = new Promise<void>((resolve) => (tell = resolve));
  const sockets = new Set<Socket>();
  const silent: Socket[] = [];

  const forward = (from: Socket, to: Socket, isToServer: boolean, pair: {isSilent: boolean}): void => {
    const pass = (data: Buffer): void => {
      if (data.length === 0 || pair.isSilent) return;
      if (to.write(data)) return;
      from.pause();
      to.once('drain', () => from.resume());
    };
    let before: Buffer = Buffer.alloc(0); // the needle may be divided between two pieces
    from.on('data', (data: Buffer) => {
      if (isToServer) pieces += 1;
      const cut = isOver ? -1 : cutAt(place, before, data, isToServer ? pieces : 0);
      before = data.subarray(Math.max(0, data.length - 64));
      if (cut < 0) return pass(data);
      isOver = true;
      pass(data.subarray(0, cut));
      const rest = data.subarray(cut);
      if (broken === 'pass') pass(rest);
      else if (broken === 'reset') {
        from.resetAndDestroy();
        to.resetAndDestroy();
      } else if (broken === 'close') {
        pair.isSilent = true;
        from.end();
        to.end();
      } else if (broken === 'silence') {
        pair.isSilent = true;
        silent.push(from, to);
      } else {
        from.pause();
        release = () => {
          pass(rest);
          from.resume();
        };
      }
      tell();
    });
    from.on('end', () => pair.isSilent || to.end());
    from.on('close', () => pair.isSilent || to.destroy());
    from.on('error', () => to.destroy());
  };

  const listener = createServer((program) => {
    const upstream = connect(server.port, server.host);
    const pair = {isSilent: false};
    for (const socket of [program, upstream]) {
      sockets.add(socket);
      socket.setNoDelay(true);
      socket.once('close', () => sockets.delete(socket));
    }
    forward(program, upstream, true, pair);
    forward(upstream, program, false, pair);
  });
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  return {
    connection: {...server, host: '127.0.0.1', port: (listener.address() as AddressInfo).port},
    reached,
    isReached: () => isOver,
    pieces: () => pieces,
    release: () => release(),
    breakSilence: () => silent.forEach((socket) => socket.destroy()),
    close: async () => {
      const closed = new Promise((resolve) => listener.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

/** How many bytes of the piece still pass, or -1 if it does not contain the position. */
function cutAt({needle, piece}: Place, before: Buffer, data: Buffer, number: number): number {
  if (piece !== undefined) return number === piece ? 0 : -1;
  if (needle === undefined) return -1;
  const at = Buffer.concat([before, data]).indexOf(needle);
  return at < 0 ? -1 : Math.max(0, at + needle.length - before.length);
}

export interface Balancer {
  readonly connection: Connection;
  /** Connections so far. */
  readonly count: () => number;
  close(): Promise<void>;
}

/** One port for several servers. @param choose where the n-th connection goes, from 1 */
export async function startBalancer(choose: (count: number) => Connection): Promise<Balancer> {
  let count = 0;
  const sockets = new Set<Socket>();
  const listener = createServer((program) => {
    const {host, port} = choose((count += 1));
    const upstream = connect(port, host);
    for (const [from, to] of [
      [program, upstream],
      [upstream, program],
    ] as const) {
      sockets.add(from);
      from.setNoDelay(true);
      from.pipe(to);
      from.once('close', () => {
        sockets.delete(from);
        to.destroy();
      });
      from.on('error', () => to.destroy());
    }
  });
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  return {
    connection: {...choose(0), host: '127.0.0.1', port: (listener.address() as AddressInfo).port},
    count: () => count,
    close: async () => {
      const closed = new Promise((resolve) => listener.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
