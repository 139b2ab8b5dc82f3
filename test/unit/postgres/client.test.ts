import {once} from 'node:events';
import {type AddressInfo, createServer, type Server} from 'node:net';
import {expect, it, vi} from 'vitest';
import {withSession} from '../../../src/lib/postgres/client.js';
import type {Connection} from '../../../src/lib/postgres/connect/connection.js';
import {parseConnectionUrl} from '../../../src/lib/postgres/connect/connection-url.js';

/** A message of the server (manual, 55.7): its type, its length with the four bytes of the length itself, its body. */
function message(type: string, body: Buffer | string): Buffer {
  const content = Buffer.from(body);
  const head = Buffer.alloc(5);
  head.write(type);
  head.writeInt32BE(content.length + 4, 1);
  return Buffer.concat([head, content]);
}

/** The first query of each session; the server did not give the client a key either. */
const row = {
  pid: '0',
  started: '2026-11-22T03:10:00.000001Z',
  seen: '2026-11-22T03:10:05.000001Z',
  address: '127.0.0.1',
  port: '5432',
  is_standby: 'false',
  is_read_only: 'off',
};

const counted = (parts: readonly Buffer[]): Buffer => {
  const count = Buffer.alloc(2);
  count.writeInt16BE(parts.length);
  return Buffer.concat([count, ...parts]);
};

const rowAnswer = Buffer.concat([
  message(
    'T',
    counted(Object.keys(row).map((name) => Buffer.concat([Buffer.from(`${name}\0`), Buffer.alloc(18)]))),
  ),
  message(
    'D',
    counted(
      Object.values(row).map((value) => {
        const length = Buffer.alloc(4);
        length.writeInt32BE(value.length);
        return Buffer.concat([length, Buffer.from(value)]);
      }),
    ),
  ),
  message('C', 'SELECT 1\0'),
  message('Z', 'I'),
]);

async function connectionTo(server: Server): Promise<Connection> {
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const {port} = server.address() as AddressInfo;
  return parseConnectionUrl(`postgresql://u@127.0.0.1:${port}/d?sslmode=disable`, 'test');
}

it('reports the code if the server ends a session while it is opened', async () => {
  const welcomeAndEnd = Buffer.concat([
    message('R', Buffer.alloc(4)),
    message('Z', 'I'),
    message('E', 'SFATAL\0C57P01\0Mterminating connection due to administrator command\0\0'),
  ]);
  const server = createServer((socket) => {
    socket.on('error', () => undefined).once('data', () => socket.end(welcomeAndEnd));
  });
  const connection = await connectionTo(server);
  await expect(withSession(connection, () => Promise.resolve('reached'))).rejects.toMatchObject({
    code: 'CONNECTION_LOST',
  });
  server.close();
});

it('aborts a connection attempt when the run is interrupted, and does no work', async () => {
  const stop = new AbortController();
  const server = createServer((socket) => {
    socket.on('error', () => undefined).once('data', () => stop.abort(new Error('Ctrl-C'))); // and no answer
  });
  const connection = await connectionTo(server);
  const session = withSession(connection, () => Promise.resolve('reached'), {signal: stop.signal});
  await expect(session).rejects.toThrow('Ctrl-C');
  server.close();
});

it('ends a session whose server no longer closes the connection', async () => {
  vi.useFakeTimers({toFake: ['setTimeout', 'clearTimeout']});
  const ready = message('Z', 'I');
  const server = createServer({allowHalfOpen: true}, (socket) => {
    socket.on('error', () => undefined);
    socket.once('data', () => socket.write(Buffer.concat([message('R', Buffer.alloc(4)), ready])));
    socket.on('data', (data) => {
      if (data.toString('latin1', 0, 1) === 'Q') socket.write(rowAnswer);
    });
    socket.once('end', () => vi.runAllTimers()); // the closing message, which gets no answer
  });
  const connection = await connectionTo(server);
  expect(await withSession(connection, () => Promise.resolve('reached'))).toBe('reached');
  vi.useRealTimers();
  server.close();
});

it('does no work in a session that was opened during an interruption', async () => {
  const stop = new AbortController();
  const welcome = Buffer.concat([message('R', Buffer.alloc(4)), message('Z', 'I')]);
  const server = createServer((socket) => {
    socket.on('error', () => undefined).on('data', () => socket.write(welcome));
  });
  const connection = await connectionTo(server);
  const session = withSession(connection, () => Promise.resolve('reached'), {signal: stop.signal});
  stop.abort(new Error('Ctrl-C'));
  await expect(session).rejects.toThrow('Ctrl-C');
  server.close();
});
