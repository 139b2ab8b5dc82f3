/**
 * Recognises a pooler that gives no session of its own by what it does, on whatever port. Setting anything on such a connection would
 * stay on the server's session, which the application's next client is given.
 */
import {z} from 'zod';
import {type Connection, describeConnection, transactionPooler} from './connection.js';

/** Where connections are known to keep their session. A pooler may have another mode for each database and user. */
const keepers = new Set<string>();

/** Whether the server was found to give each connection a session of its own, in this process. */
export const keepsSessions = (connection: Connection): boolean => keepers.has(addressOf(connection));

/**
 * The first statement of a session at an address that is not known: it empties search_path only where the backend is the one that
 * the client was given the cancellation key of (protocol message BackendKeyData). A pooler cannot pass that key on, as its client has no
 * backend of its own.
 */
export const firstStatement = (keyPid: number): string =>
  `SELECT pg_catalog.pg_backend_pid() AS pid, CASE WHEN pg_catalog.pg_backend_pid() OPERATOR(pg_catalog.=) ${keyPid} THEN pg_catalog.set_config('search_path', '', false) END`;

/** As much of the driver's client as is needed. */
interface Querying {
  query(sql: string): Promise<{rows: unknown[]}>;
  end(): Promise<void>;
}

const pidRows = z.tuple([z.object({pid: z.string()})]);

/** How often two connections are compared: with other clients at work, a pooler of transactions hands its sessions out in any order. */
const rounds = 10;

/**
 * Runs the first statement and makes sure that the session is the connection's own.
 * @param open makes a second connection to the same address
 * @throws TRANSACTION_POOLER; nothing was set on the connection then
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
      // Two connections that are idle outside of transactions have two sessions, and keep them, unless they share those of a pool.
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
