/** A proxy between the program and the store that sees every request, and can break it off at a chosen moment. */
import {once} from 'node:events';
import {createServer, type IncomingMessage, request, type ServerResponse} from 'node:http';

/** The progress of a request: received and not forwarded; half forwarded; answered by the store, with the answer not yet forwarded; half of the answer forwarded. */
export type RequestStage = 'begun' | 'half sent' | 'answered' | 'half answered';

export interface Moment {
  /** Counts the moments from 0: four for each request. */
  readonly number: number;
  readonly stage: RequestStage;
  /** "PUT", "POST", ... */
  readonly method: string;
  /** Path and query. */
  readonly url: string;
}

export interface WatchedStore {
  readonly endpoint: string;
  /** Number of moments so far. */
  moments(): number;
  /** Resolves once the store has answered or broken off all forwarded requests, also those that nobody waits for any more. */
  settled(): Promise<void>;
  close(): Promise<void>;
}

/** "break" drops the request and its connections; "spoil", after the answer, changes a bit of the answer's body. */
type Trouble = 'break' | 'spoil' | undefined;

/** @param at called at each moment */
export async function watchRequests(
  target: string,
  at: (moment: Moment) => Trouble | Promise<Trouble>,
): Promise<WatchedStore> {
  let count = 0;
  const {hostname, port} = new URL(target);

  async function pass(incoming: IncomingMessage, answer: ServerResponse): Promise<void> {
    const {method = '', url = '', headers} = incoming;
    const troubleAt = async (stage: RequestStage): Promise<Trouble> =>
      at({number: count++, stage, method, url});
    const isBroken = async (stage: RequestStage): Promise<boolean> => (await troubleAt(stage)) === 'break';
    const body: Buffer[] = [];
    for await (const chunk of incoming as AsyncIterable<Buffer>) body.push(chunk);
    const bytes = Buffer.concat(body);
    if (await isBroken('begun')) return void incoming.socket.destroy();
    const onward = request({hostname, port, method, path: url, headers});
    const answered = once(onward, 'response') as Promise<[IncomingMessage]>;
    answered.catch(() => undefined); // reported below, when it is awaited
    onward.write(bytes.subarray(0, bytes.length / 2));
    if (await isBroken('half sent')) {
      onward.destroy();
      return void incoming.socket.destroy();
    }
    onward.end(bytes.subarray(bytes.length / 2));
    const [reply] = await answered;
    const trouble = await troubleAt('answered');
    if (trouble === 'break') return void incoming.socket.destroy();
    answer.writeHead(reply.statusCode ?? 500, reply.headers);
    const content: Buffer[] = [];
    for await (const chunk of reply as AsyncIterable<Buffer>) content.push(chunk);
    const all = Buffer.concat(content);
    if (trouble === 'spoil') all.writeUInt8(all.readUInt8(0) ^ 1, 0);
    const half = all.subarray(0, all.length / 2);
    await new Promise((resolve) => answer.write(half, resolve));
    if (await isBroken('half answered')) return void incoming.socket.destroy();
    answer.end(all.subarray(half.length));
  }

  const passing = new Set<Promise<void>>();
  const server = createServer((incoming, answer) => {
    // A stopped store does not answer: the program sees its connection break.
    const passed = pass(incoming, answer).catch(() => void incoming.socket.destroy());
    passing.add(passed);
    void passed.then(() => passing.delete(passed));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (typeof address !== 'object' || address === null) throw new Error('no port');
  return {
    endpoint: `http://127.0.0.1:${address.port}`,
    moments: () => count,
    async settled() {
      await Promise.all(passing);
    },
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
