/** A real SMTP server on this machine that keeps the messages. */
import {once} from 'node:events';
import {readFile} from 'node:fs/promises';
import type {AddressInfo} from 'node:net';
import {text} from 'node:stream/consumers';
import {SMTPServer} from 'smtp-server';
import type {Certificates} from './certificates.js';

export interface MailServer {
  readonly port: number;
  /** The messages with their headers. */
  readonly received: readonly string[];
  close(): Promise<void>;
}

/** @param login the only user, required if given; with `certificates`, STARTTLS is offered for "localhost" */
export async function startMailServer({
  certificates,
  login,
}: {
  readonly certificates?: Certificates;
  readonly login?: {readonly user: string; readonly password: string};
} = {}): Promise<MailServer> {
  const received: string[] = [];
  const server = new SMTPServer({
    ...(certificates
      ? {key: await readFile(certificates.serverKey), cert: await readFile(certificates.serverCert)}
      : {}),
    disabledCommands: [...(certificates ? [] : ['STARTTLS']), ...(login ? [] : ['AUTH'])],
    onAuth({username, password}, _session, done) {
      if (username === login?.user && password === login?.password) done(null, {user: username});
      else done(new Error(`Invalid password ${password ?? ''}`));
    },
    onRcptTo({address}, _session, done) {
      done(address.startsWith('nobody@') ? new Error('No such user') : null);
    },
    onData(stream, _session, done) {
      void text(stream).then((message) => {
        received.push(message);
        done();
      });
    },
  });
  server.on('error', () => undefined); // a client that gives up resets its connection
  server.listen(0, '127.0.0.1');
  await once(server.server, 'listening');
  return {
    port: (server.server.address() as AddressInfo).port,
    received,
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
}
