import {once} from 'node:events';
import {type AddressInfo, createServer} from 'node:net';
import {expect, it} from 'vitest';
import {withSession} from '../../../src/lib/postgres/client.js';
import {parseConnectionUrl} from '../../../src/lib/postgres/connection.js';

/** A message of the server (manual, 55.7): its type, its length with the four bytes of the length itself, its body. */
function message(type: string, body: Buffer | string): Buffer {
  const content = Buffer.from(body);
  const head = Buffer.alloc(5);
  head.write(type);
  head.writeInt32BE(content.length + 4, 1);
  return Buffer.concat([head, content]);
}

it('tells a session that the server ended in the moment it was opened by its code', async () => {
  const welcomeAndEnd = Buffer.concat([
    message('R', Buffer.alloc(4)),
    message('Z', 'I'),
    message('E', 'SFATAL\0C57P01\0Mterminating connection due to administrator command\0\0'),
  ]);
  const server = createServer((socket) => {
    socket.on('error', () => undefined).once('data', () => socket.end(welcomeAndEnd));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const {port} = server.address() as AddressInfo;
  const connection = parseConnectionUrl(`postgresql://u@127.0.0.1:${port}/d?sslmode=disable`, 'test');
  await expect(withSession(connection, () => Promise.resolve('reached'))).rejects.toMatchObject({
    code: 'CONNECTION_LOST',
  });
  server.close();
});
