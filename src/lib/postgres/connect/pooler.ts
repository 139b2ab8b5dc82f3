/**
 * Recognises a transaction pooler by its behaviour, on any port. A setting on such a connection would
 * stay in the server's session, which the application's next client receives.
 */
import {z} from 'zod';
import {type Connection, describeConnection, transactionPooler} from './connection.js';

/** Addresses known to keep their session. A pooler may have a different mode for each database and user. */
const keepers = new Set<string>();

/** Whether the address was found, in this process, to give each connection its own session. */
export const keepsSessions = (connection: Connection): boolean => keepers.has(addressOf(connection));

/**
 * The first statement of a session at an unknown address. It empties search_path only if the backend is the one whose
 * cancellation key the client received (protocol message BackendKeyData). A pooler cannot forward that key, because its client has no
 * backend of its own.
 */
export const firstStatement = (keyPid: number): string =>
  `SELECT pg_catalog.pg_backend_pid() AS pid, CASE WHEN pg_catalog.pg_backend_pid() OPERATOR(pg_catalog.=) ${keyPid} THEN pg_catalog.set_config('search_path', '', false) END`;

/** The parts of the driver's client that are needed. */
interface Querying {
  query(sql: string): Promise<{rows: unknown[]}>;
  end(): Promise<void>;
}

const pidRows = z.tuple([z.object({pid: z.string()})]);

/** How often two connections are compared: if other clients are active, a transaction pooler assigns sessions in any order. */
const rounds = 10;

/**
 * Runs the first statement and checks that the session belongs to the connection.
 * @param open opens a second connection to the same address
 * @throws TRANSACTION_POOLER, with nothing set on the connection
 */
export async function startOwnSession(
  client: Querying,
  connection: Connection,
  keyPid: number,
  open: () => Promise<Querying>,
): Promise<void> {
  const ask = async (on: Querying, sql: string): Promise<string> =>
    pidRows.parse((await on.query(sql)).rows)[0].pid;
  const pid = await ask(client, firstStatement(keyPid));
  if (pid !== String(keyPid)) {
    const other = await open();
    try {
      // Two connections that are idle outside transactions have two different sessions, unless they share the sessions of a pool.
      let otherPid: string | undefined;
      for (let round = 0; round < rounds; round += 1) {
        const now = await ask(other, 'SELECT pg_catalog.pg_backend_pid() AS pid');
        const again = await ask(client, 'SELECT pg_catalog.pg_backend_pid() AS pid');
        if (again !== pid || now === pid || now !== (otherPid ?? now))
          throw transactionPooler(
            `${describeConnection(connection)} (${connection.origin})`,
            connection.host,
          );
        otherPid = now;
      }
    } finally {
      await other.end();
    }
  }
  keepers.add(addressOf(connection));
}

function addressOf({host, port, user, database, options}: Connection): string {
  return JSON.stringify([options['hostaddr'] ?? host, port, user, database]);
}
