/** Records in the audit log which database was set aside, so that `status` and `list` can name it without a connection. */
import type {Session} from '../postgres/client.js';
import type {Connection} from '../postgres/connect/connection.js';
import {type ListedDatabase, listDatabases} from '../postgres/databases/owner-comment.js';
import type {RunContext} from './run-context.js';

/** Call after the swap; does not fail. @param target connection to the database that was replaced */
export async function recordSetAside(
  context: RunContext,
  session: Session,
  target: Connection,
  name: string,
): Promise<void> {
  // The swap is done: if the server does not answer now, only the record is missing.
  const databases = await listDatabases(session).catch((): ListedDatabase[] => []);
  const found = databases.find((database) => database.name === name);
  if (!found?.mark) return;
  const {database, host, port} = target;
  const {owner, sizeBytes: size} = found;
  context.record({setAside: [{event: 'made', name, database, host, port, at: found.mark.at, owner, size}]});
}

/** Call after it was dropped or brought back. */
export function recordGone(
  context: RunContext,
  {database, host, port}: Connection,
  {id, setAsideAt}: {readonly id: string; readonly setAsideAt: string},
): void {
  const at = new Date(setAsideAt).toISOString();
  context.record({setAside: [{event: 'gone', name: id, database, host, port, at, owner: null, size: null}]});
}
