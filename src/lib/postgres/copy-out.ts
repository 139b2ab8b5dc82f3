/** COPY ... TO STDOUT: rows as the server writes them into dumps. */
import type {Session} from './client.js';
import {explainDatabaseError} from './explain-failure.js';

/**
 * Runs a COPY ... TO STDOUT statement and hands its bytes on as they come; memory stays bounded.
 * @throws AppError with the code that the server's answer stands for, and what `take` throws
 */
export async function copyOut(
  session: Session,
  statement: string,
  take: (chunk: Buffer) => void,
): Promise<void> {
  const {to} = await import('pg-copy-streams');
  const stream = session.client.query(to(statement));
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) take(chunk);
  } catch (error) {
    throw explainDatabaseError(error, 'Reading rows');
  }
}
