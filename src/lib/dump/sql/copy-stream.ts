/** Reads a plain dump, or the output of pg_restore, as a stream of bytes: finds and hashes the rows of its tables. */
import {createHash, type Hash} from 'node:crypto';
import {qualifiedName} from '../../base/qualified-name.js';
import {AppError} from '../../base/errors.js';
import type {RowTakerOf} from '../../postgres/take-rows.js';
import {CopyBlock} from './copy-block.js';
import {
  type DumpContents,
  type DumpedTable,
  inOrder,
  largeObjectTable,
  type ObjectName,
  TableList,
} from '../../fingerprint/table-contents.js';
import {createRowHashSum, fingerprintText, type RowHashSum} from '../../fingerprint/row-hash.js';
import {type CopyStatement, readCopyStatement} from './sql-names.js';
import {longestToken, SqlLexer} from './sql-lexer.js';
import {StateList} from './state-statements.js';
import {textOf} from '../../postgres/client-encoding.js';
import {unsafe, unsafeCommand, unusualCopy} from './unsafe-dump-errors.js';

/** Longer lines outside COPY blocks are processed in pieces. */
const longestLine = 1 << 20;

const newline = 0x0a;

/** The last line of pg_restore's output and of a plain dump, except for a psql command. */
export const closingComment = '-- PostgreSQL database dump complete';

/** The table that is being read. Only its result is kept, because there may be very many. */
interface OpenTable extends CopyStatement {
  readonly block: CopyBlock;
  readonly sum: RowHashSum | undefined;
}

export class CopyStream {
  private readonly tables = new TableList();
  private readonly state = new StateList();
  private textBytes = 0;
  private encoding = 'UTF8';

  private copying: OpenTable | undefined;
  /** The beginning, in earlier chunks, of a line outside COPY blocks. */
  private line: Buffer[] = [];
  private lineBytes = 0;

  private largeObjects: RowHashSum | undefined;
  private largeObjectCount = 0;
  private openLargeObject = false;

  private isComplete = false;
  private restrictKey: string | undefined;
  private unrestrictKey: string | undefined;

  /** Of every byte outside COPY blocks, except comments, which contain times, and the key of \\restrict, which is random. */
  private readonly definitions: Hash | undefined;

  private readonly lexer = new SqlLexer({
    onStatement: (statement, endsLine) => this.takeStatement(statement, endsLine),
    onComment: (comment) => {
      if (comment === closingComment) this.isComplete = true;
    },
    onMetaCommand: (line) => this.takeMetaCommand(line),
  });

  /**
   * @param fingerprints whether to hash rows, or only count them
   * @param takerOf without fingerprints, the receiver of a table's rows
   */
  constructor(
    private readonly fingerprints: boolean,
    private readonly takerOf?: RowTakerOf,
  ) {
    this.definitions = fingerprints ? createHash('sha256') : undefined;
  }

  /** Processes the next bytes, in arbitrary chunks. @throws UNSAFE_DUMP, VERIFY_FAILED */
  write(chunk: Buffer): void {
    // psql ignores the rest of a line after a NUL; PostgreSQL's texts never contain one.
    if (chunk.includes(0)) throw unsafe('a NUL byte');
    this.textBytes += chunk.length;
    let position = 0;
    while (position < chunk.length) {
      const {copying} = this;
      position = copying ? copying.block.take(chunk, position) : this.takeLine(chunk, position);
      if (copying?.block.hasEnded !== true) continue;
      this.tables.add(copying, copying.block.rows, copying.sum);
      this.copying = undefined;
    }
  }

  /** The result. @throws VERIFY_FAILED if the dump is not complete */
  end(): DumpContents {
    if (this.copying) throw incomplete(`it ends within the rows of ${displayName(this.copying)}`);
    if (this.lineBytes > 0) this.lexLine(Buffer.concat(this.line), true);
    if (!this.isComplete) throw incomplete(`its closing line "${closingComment}" is missing`);
    if (!this.lexer.isBetweenStatements) throw incomplete('it ends inside a statement');
    if (this.restrictKey !== this.unrestrictKey) {
      throw incomplete('its closing \\unrestrict line is missing or does not match the opening \\restrict');
    }
    return {
      tables: inOrder(this.tableList()),
      refreshedViews: this.state.refreshedViews,
      sequences: this.state.sequences,
      encoding: this.encoding,
      definitions: this.definitions?.digest('hex') ?? null,
      textBytes: this.textBytes,
    };
  }

  private tableList(): DumpedTable[] {
    const tables = this.tables.all();
    if (this.largeObjectCount > 0) {
      const fingerprint = this.largeObjects ? fingerprintText(this.largeObjects) : null;
      tables.push({...largeObjectTable, columns: ['loid', 'data'], rows: this.largeObjectCount, fingerprint});
    }
    return tables;
  }

  /** Processes one line outside COPY blocks, or a part of it; returns the position after it. */
  private takeLine(chunk: Buffer, start: number): number {
    const end = chunk.indexOf(newline, start);
    const stop = end === -1 ? chunk.length : end + 1;
    const part = chunk.subarray(start, stop);
    if (end !== -1 && this.lineBytes === 0) {
      this.lexLine(part, true);
      return stop;
    }
    // A copy, because the chunk's memory may be reused.
    this.line.push(Buffer.from(part));
    this.lineBytes += part.length;
    if (end !== -1) this.lexLine(Buffer.concat(this.line), true);
    else if (this.lineBytes > longestLine + longestToken) this.lexLine(Buffer.concat(this.line), false);
    return stop;
  }

  private lexLine(line: Buffer, isWhole: boolean): void {
    const text = line.toString('latin1');
    if (this.isComplete && !/^(?:--.*|\\.*)?\r?\n?$/.test(text)) {
      throw new AppError('VERIFY_FAILED', 'The dump continues after its closing line.', {
        details: [text.slice(0, 60).trimEnd()],
      });
    }
    const isNoise = this.lexer.isBetweenStatements && /^(?:--|\\(?:un)?restrict )/.test(text);
    const taken = this.lexer.take(text, isWhole);
    if (!isNoise) this.definitions?.update(line.subarray(0, taken));
    const rest = line.subarray(taken);
    this.line = rest.length > 0 ? [rest] : [];
    this.lineBytes = rest.length;
  }

  private takeMetaCommand(line: string): void {
    const [, command, key] = /^\\(restrict|unrestrict) ([A-Za-z0-9]+)\r?$/.exec(line) ?? [];
    const closing = `\\unrestrict ${this.restrictKey ?? ''}`;
    if (command === 'restrict' && this.restrictKey === undefined && this.tables.size === 0)
      this.restrictKey = key;
    else if (command === 'unrestrict' && this.isComplete && key === this.restrictKey)
      this.unrestrictKey = key;
    // A truncated closing line is reported at the end: the dump is not complete.
    else if (!this.isComplete || !closing.startsWith(line))
      throw unsafeCommand(line, command === 'unrestrict' && key === this.restrictKey);
  }

  private takeStatement(statement: string, endsLine: boolean): void {
    if (/^copy\b/i.test(statement)) this.beginRows(statement, endsLine);
    else if (statement.startsWith('SELECT pg_catalog.lo')) this.takeLargeObject(statement);
    else if (statement.startsWith('SET client_encoding')) {
      this.encoding = /^SET client_encoding = '(.*)';$/.exec(statement)?.[1] ?? this.encoding;
    } else this.state.take(textOf(statement, this.encoding));
  }

  private beginRows(statement: string, endsLine: boolean): void {
    const copy = readCopyStatement(textOf(statement, this.encoding));
    if (!copy || !endsLine) {
      throw unusualCopy(statement);
    }
    const sum = this.fingerprints ? createRowHashSum() : undefined;
    this.copying = {...copy, sum, block: new CopyBlock(sum ?? this.takerOf?.(copy, this.encoding))};
  }

  /** lo_open begins an object, lowrite adds to it, lo_close ends it: the row `loid TAB \\x<hex>`, independent of its pieces. */
  private takeLargeObject(statement: string): void {
    const call =
      /^SELECT pg_catalog\.(lo_open|lowrite|lo_close)\((?:'(\d+)', \d+|0, E?'\\{1,2}x([0-9a-f]*)'|0)\);$/.exec(
        statement,
      );
    if (!call) return;
    const [, name, oid, hex] = call;
    if (this.fingerprints) this.largeObjects ??= createRowHashSum();
    if (name === 'lo_open' && oid !== undefined) {
      this.openLargeObject = true;
      this.append(`${oid}\t\\\\x`);
    } else if (name === 'lowrite' && hex !== undefined) this.append(hex);
    else if (name === 'lo_close' && this.openLargeObject) {
      this.openLargeObject = false;
      this.largeObjects?.endRow();
      this.largeObjectCount++;
    }
  }

  private append(text: string): void {
    if (!this.largeObjects) return;
    const bytes = Buffer.from(text, 'latin1');
    this.largeObjects.append(bytes, 0, bytes.length);
  }
}

function displayName(table: ObjectName): string {
  return table.schema === '' ? table.name : qualifiedName(table);
}

function incomplete(why: string): AppError {
  return new AppError('VERIFY_FAILED', `The dump is not complete: ${why}.`, {
    hint: 'Make a new backup; this one is not reliable.',
  });
}
