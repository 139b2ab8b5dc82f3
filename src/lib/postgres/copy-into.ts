/** COPY ... FROM STDIN with bounded memory. */
import {once} from 'node:events';
import {finished} from 'node:stream/promises';
import type {Session} from './client.js';
import {explainDatabaseError} from './explain-failure.js';

/** A running COPY; its methods throw AppError with the code that the server's SQLSTATE stands for. */
export interface CopyInput {
  /** Sends data; resolves when more may be sent. */
  write(data: Buffer): Promise<void>;
  /** Completes the copy. */
  end(): Promise<void>;
  /** Makes the copy fail, so that the session can go on. */
  abandon(): Promise<void>;
}

/** Starts the COPY statement `sql`; it must be ended or abandoned before anything else runs in the session. */
export async function beginCopy(session: Session, sql: string): Promise<CopyInput> {
  const {from} = await import('pg-copy-streams');
  const stream = session.client.query(from(sql));
  const done = finished(stream);
  done.catch(() => undefined); // told by `write` or `end`
  // The stream cannot be used once the server has refused the data: it would fail for want of a connection, and not say why.
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
        if (!stream.write(data)) await once(stream, 'drain'); // rejects with what the server says instead
      }),
    end: () =>
      explained(() => {
        stream.end();
        return done;
      }),
    abandon: async () => {
      stream.destroy(new Error('the copy was given up'));
      await done.catch(() => undefined); // it fails, for it was told to
    },
  };
}
