/** A second session that sees the rows of a cleaning as they are before any is deleted. */
import {beginCopy} from '../postgres/copy-into.js';
import {copyOut} from '../postgres/copy-out.js';
import {type Session, withSession} from '../postgres/client.js';
import type {Connection} from '../postgres/connection.js';
import {quoteLiteral} from '../postgres/quote.js';
import {createNotes, type NotedRows, type Notes} from './collect-rows.js';

/**
 * Hands `work` a session that has the notes of `session`, sees what that one sees now (manual, 9.28.5), and goes on seeing it
 * whatever is deleted meanwhile. So one session can read while the other deletes.
 * @param session in a transaction, which must stay open
 */
export async function withReaderOf<T>(
  session: Session,
  connection: Connection,
  notes: Notes,
  signal: AbortSignal,
  work: (reader: Session) => Promise<T>,
): Promise<T> {
  const [row] = await session.query('SELECT pg_catalog.pg_export_snapshot() AS snapshot');
  return withSession(
    connection,
    async (reader) => {
      await reader.query('SET jit = off');
      await createNotes(reader, notes);
      await reader.query('BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY');
      await reader.query(`SET TRANSACTION SNAPSHOT ${quoteLiteral(row?.['snapshot'] ?? '')}`);
      for (const noted of [...notes.deleted, ...notes.unlinked]) await handOver(session, reader, noted);
      return work(reader);
    },
    {signal},
  );
}

async function handOver(session: Session, reader: Session, {sql, stored}: NotedRows): Promise<void> {
  const columns = ['part', 'tid', 'ver', 'round', ...stored.map((_name, index) => `k${index}`)].join(', ');
  const input = await beginCopy(reader, `COPY ${sql} (${columns}) FROM STDIN`);
  try {
    await copyOut(session, `COPY ${sql} (${columns}) TO STDOUT`, (chunk) => input.write(chunk));
  } catch (error) {
    await input.abandon();
    throw error;
  }
  await input.end();
  await reader.query(`ANALYZE ${sql}`);
}
