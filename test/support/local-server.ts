/** A local HTTP server that records requests and gives prepared answers. */
import {createServer} from 'node:http';
import type {AddressInfo} from 'node:net';

export interface ReceivedRequest {
  /** "POST /abc/start?rid=..." */
  readonly line: string;
  readonly contentType: string;
  readonly body: string;
}

export interface LocalServer {
  readonly url: string;
  readonly received: readonly ReceivedRequest[];
  close(): Promise<void>;
}

/** @param answer the status for the n-th request, from 1; undefined never answers */
export async function startLocalServer(
  answer: (count: number) => number | undefined = () => 200,
): Promise<LocalServer> {
  const received: ReceivedRequest[] = [];
  const server = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8');
    request.on('data', (chunk: string) => (body += chunk));
    request.on('end', () => {
      received.push({
        line: `${request.method ?? ''} ${request.url ?? ''}`,
        contentType: request.headers['content-type'] ?? '',
        body,
      });
      const status = answer(received.length);
      if (status !== undefined) response.writeHead(status).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    received,
    close: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}
