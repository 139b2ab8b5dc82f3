/** COPY ... TO STDOUT: rows as the server writes them into dumps. */
import {messageOf} from '../base/errors.js';
import type {Session} from './client.js';
import {explainDatabaseError} from './explain-failure.js';

/**
 * Runs a COPY ... TO STDOUT statement and hands its bytes on as they come; memory stays bounded.
 * @throws AppError with the code that the server's answer stands for, and what `take` throws
 */
export async function copyOut(
  session: Session,
  statement: string,
  take: (chunk: Buffer) => void | Promise<void>,
): Promise<void> {
  const {to} = await import('pg-copy-streams');
  const stream = session.client.query(to(statement));
  let failure: unknown;
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      // The rest is read and thrown away after a failure: with bytes unread, the session could not even roll back.
      if (failure === undefined) failure = await failureOf(() => take(chunk));
    }
  } catch (error) {
    throw explainDatabaseError(error, 'Reading rows');
  }
  if (failure !== undefined) throw failure instanceof Error ? failure : new Error(messageOf(failure));
}

async function failureOf(work: () => void | Promise<void>): Promise<unknown> {
  try {
    await work();
    return undefined;
  } catch (error) {
    return error;
  }
}
