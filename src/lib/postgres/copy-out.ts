/** COPY ... TO STDOUT: rows in the form that the server writes into dumps. */
import {messageOf} from '../base/errors.js';
import type {Session} from './client.js';
import {explainDatabaseError} from './explain-failure.js';

/**
 * Runs a COPY ... TO STDOUT statement and passes its bytes on as they arrive, with bounded memory.
 * @throws AppError with the code for the server's error, and the errors of `take`
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
      // After a failure the rest is read and discarded: with unread data, the session could not even roll back.
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
