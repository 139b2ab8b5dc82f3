/** Sends one statement as bytes, in the extended protocol, which rejects a text with a second statement (manual, 53.2.3). */
import type {Duplex} from 'node:stream';
import {once} from 'node:events';
import type {Session} from './client.js';

/** A COPY ... FROM stdin that the server has accepted. */
export interface AcceptedRows {
  /** Resolves when more may be sent; the server discards rows after an error. */
  write(chunk: Buffer): Promise<void>;
}

export interface RunningStatement {
  /** Null if the statement is finished. @throws the server's error */
  readonly started: Promise<AcceptedRows | null>;
  /** Ends the rows and the statement. @throws the server's error */
  end(): Promise<void>;
  /** Cancels the COPY on the server and waits for its end. */
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
const copyFail = message('f', Buffer.from('the copy was cancelled\0'));

/**
 * @param sql without a NUL
 * @param hasRows whether rows follow; otherwise a COPY is cancelled
 */
export function sendStatement(session: Session, sql: Buffer, hasRows: boolean): RunningStatement {
  const statement = new SingleStatement(sql, hasRows);
  session.client.query(statement);
  return statement;
}

/** The methods that the driver calls with the server's answers. */
class SingleStatement implements RunningStatement {
  /** The driver sets it if it is missing. */
  readonly callback = (): void => undefined;
  readonly started: Promise<AcceptedRows | null>;
  private readonly finished: Promise<void>;
  private accept!: (rows: AcceptedRows | null) => void;
  private complete!: () => void;
  private refuse!: (error: Error) => void;
  private failure: Error | undefined;
  /** The driver expects one answer to a Sync per statement. */
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
    // A COPY consumes the Sync that follows it (manual, 53.2.6).
    this.isSynced = !this.hasRows;
    this.send(parse, bind, execute, this.hasRows ? flush : sync);
  }

  async end(): Promise<void> {
    this.synchronize(copyDone);
    await this.finished;
  }

  async abandon(): Promise<void> {
    this.synchronize(copyFail);
    await this.finished.catch(() => undefined); // it fails because it was cancelled
  }

  handleCopyInResponse(): void {
    this.isCopying = true;
    if (this.hasRows) this.accept({write: (chunk) => this.write(chunk)});
    else this.send(copyFail, sync);
  }

  handleError(error: Error): void {
    this.failure = error;
    // The server skips everything before it.
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
