/** Sends one statement as bytes, in the protocol form that the server refuses when the text contains a second one (manual, 53.2.3). */
import type {Duplex} from 'node:stream';
import {once} from 'node:events';
import type {Session} from './client.js';

/** Rows of a COPY ... FROM stdin that the server has accepted. */
export interface AcceptedRows {
  /** Resolves when more may be sent; rows behind an error are dropped by the server. */
  write(chunk: Buffer): Promise<void>;
}

export interface RunningStatement {
  /** Null when the statement is done. @throws the server's error */
  readonly started: Promise<AcceptedRows | null>;
  /** Ends the rows and the statement. @throws the server's error */
  end(): Promise<void>;
  /** Makes the server give up the COPY, and waits for it. */
  abandon(): Promise<void>;
}

interface ServerConnection {
  readonly stream: Duplex;
}

const message = (type: string, ...parts: Buffer[]): Buffer => {
  const length = parts.reduce((sum, part) => sum + part.length, 4);
  const head = Buffer.alloc(5);
  head.write(type, 'latin1');
  head.writeInt32BE(length, 1);
  return Buffer.concat([head, ...parts]);
};

/** No name and no parameters. */
const bind = message('B', Buffer.alloc(8));
const execute = message('E', Buffer.alloc(5));
const sync = message('S');
const flush = message('H');
const copyDone = message('c');
const copyFail = message('f', Buffer.from('the rows were given up\0'));

/**
 * @param sql without a NUL
 * @param hasRows whether rows are to follow; a COPY that comes without them is given up
 */
export function sendStatement(session: Session, sql: Buffer, hasRows: boolean): RunningStatement {
  const statement = new SingleStatement(sql, hasRows);
  session.client.query(statement);
  return statement;
}

/** What the driver calls with the server's answers. */
class SingleStatement implements RunningStatement {
  /** The driver sets one where there is none. */
  readonly callback = (): void => undefined;
  readonly started: Promise<AcceptedRows | null>;
  private readonly finished: Promise<void>;
  private accept!: (rows: AcceptedRows | null) => void;
  private complete!: () => void;
  private refuse!: (error: Error) => void;
  private failure: Error | undefined;
  /** The driver counts one answer to a Sync for each statement. */
  private isSynced = false;
  private isCopying = false;
  private connection: ServerConnection | undefined;

  constructor(
    private readonly sql: Buffer,
    private readonly hasRows: boolean,
  ) {
    this.finished = new Promise((resolve, reject) => {
      this.complete = resolve;
      this.refuse = reject;
    });
    this.started = new Promise((resolve, reject) => {
      this.accept = resolve;
      this.finished.then(() => resolve(null), reject);
    });
    this.finished.catch(() => undefined); // `started` and `end` reject with it
    this.started.catch(() => undefined);
  }

  submit(connection: ServerConnection): void {
    this.connection = connection;
    const parse = message('P', Buffer.from('\0'), this.sql, Buffer.from('\0\0\0'));
    // A COPY swallows the Sync that follows it (manual, 53.2.6).
    this.isSynced = !this.hasRows;
    this.send(parse, bind, execute, this.hasRows ? flush : sync);
  }

  async end(): Promise<void> {
    this.synchronize(copyDone);
    await this.finished;
  }

  async abandon(): Promise<void> {
    this.synchronize(copyFail);
    await this.finished.catch(() => undefined); // it fails, for it was given up
  }

  handleCopyInResponse(): void {
    this.isCopying = true;
    if (this.hasRows) this.accept({write: (chunk) => this.write(chunk)});
    else this.send(copyFail, sync);
  }

  handleError(error: Error): void {
    this.failure = error;
    // The server skips everything up to it.
    this.synchronize();
    this.refuse(error);
  }

  handleCommandComplete(): void {
    if (!this.isCopying) this.synchronize();
  }

  handleReadyForQuery(): void {
    this.complete();
  }

  handleRowDescription(): void {}
  handleDataRow(): void {}
  handleCopyData(): void {}
  handlePortalSuspended(): void {}
  handleEmptyQuery(): void {}

  private synchronize(...before: Buffer[]): void {
    if (!this.isSynced) this.send(...before, sync);
    this.isSynced = true;
  }

  private send(...messages: Buffer[]): boolean {
    const stream = this.connection?.stream;
    if (stream?.writable !== true) return true;
    return stream.write(messages.length === 1 && messages[0] ? messages[0] : Buffer.concat(messages));
  }

  private async write(chunk: Buffer): Promise<void> {
    if (this.failure) throw this.failure;
    const stream = this.connection?.stream;
    if (!stream) return;
    const head = Buffer.alloc(5);
    head.write('d', 'latin1');
    head.writeInt32BE(chunk.length + 4, 1);
    stream.cork();
    stream.write(head);
    const hasRoom = stream.write(chunk);
    stream.uncork();
    if (!hasRoom) await Promise.race([once(stream, 'drain'), this.finished]);
  }
}
