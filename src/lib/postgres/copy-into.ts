/** COPY ... FROM STDIN with bounded memory. */
import {once} from 'node:events';
import {finished} from 'node:stream/promises';
import type {Session} from './client.js';
import {explainDatabaseError} from './explain-failure.js';

export interface CopyInput {
  /** Sends data; resolves when more may be sent. */
  write(data: Buffer): Promise<void>;
}

/**
 * Runs the COPY statement `sql` and hands `work` its input; the copy ends when `work` does, and fails when it throws.
 * @throws AppError with the code that the server's SQLSTATE stands for, and what `work` throws
 */
export async function copyInto(
  session: Session,
  sql: string,
  work: (input: CopyInput) => Promise<void>,
): Promise<void> {
  const {from} = await import('pg-copy-streams');
  const stream = session.client.query(from(sql));
  const done = finished(stream);
  done.catch(() => undefined); // awaited below; it may fail before that
  try {
    await work({
      write: async (data) => {
        if (!stream.write(data)) await Promise.race([once(stream, 'drain'), done]);
      },
    });
  } catch (error) {
    stream.destroy(error instanceof Error ? error : new Error(String(error)));
    await done.catch(() => undefined); // the first error is the one to tell
    throw explainCopyError(error);
  }
  try {
    stream.end();
    await done;
  } catch (error) {
    throw explainCopyError(error);
  }
}

function explainCopyError(error: unknown): unknown {
  return error instanceof Error && 'severity' in error ? explainDatabaseError(error, 'Copying rows') : error;
}
