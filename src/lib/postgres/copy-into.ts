/** COPY ... FROM STDIN with bounded memory. */
import {once} from 'node:events';
import {finished} from 'node:stream/promises';
import type {Session} from './client.js';
import {explainDatabaseError} from './explain-failure.js';

/** A running COPY; its methods throw AppError with the code for the server's SQLSTATE. */
export interface CopyInput {
  /** Sends data; resolves when more may be sent. */
  write(data: Buffer): Promise<void>;
  /** Completes the COPY. */
  end(): Promise<void>;
  /** Cancels the COPY, so that the session can continue. */
  abandon(): Promise<void>;
}

/** Starts the COPY statement `sql`; end or abandon it before anything else runs in the session. */
export async function beginCopy(session: Session, sql: string): Promise<CopyInput> {
  const {from} = await import('pg-copy-streams');
  const stream = session.client.query(from(sql));
  const done = finished(stream);
  done.catch(() => undefined); // reported by `write` or `end`
  // After the server has refused the data, the stream only reports a missing connection and not the reason.
  let refusal: Error | undefined;
  stream.once('error', (error: Error) => (refusal = error));
  const explained = async (work: () => Promise<unknown>): Promise<void> => {
    try {
      if (refusal) throw refusal;
      await work();
    } catch (error) {
      throw error instanceof Error && 'severity' in error
        ? explainDatabaseError(error, 'Copying rows')
        : error;
    }
  };
  return {
    write: (data) =>
      explained(async () => {
        if (!stream.write(data)) await once(stream, 'drain'); // rejects with the server's error
      }),
    end: () =>
      explained(() => {
        stream.end();
        return done;
      }),
    abandon: async () => {
      stream.destroy(new Error('the copy was cancelled'));
      await done.catch(() => undefined); // it fails because it was cancelled
    },
  };
}
