/** Reads a plain dump, or the output of pg_restore, statement by statement; the rows after a COPY are separate from the SQL. */
import {AppError} from '../base/errors.js';
import {closingComment} from './sql/copy-stream.js';
import {type DumpSection, sectionIn} from './plain-dump-filter.js';
import {longestToken, SqlLexer} from './sql/sql-lexer.js';
import {textOf} from '../postgres/client-encoding.js';
import {unsafe, unsafeCommand, unusualCopy} from './sql/unsafe-dump-errors.js';

export interface DumpStatement {
  /** From its first character to its semicolon, one character per byte: decode with `textOf`. */
  readonly sql: string;
  /** The heading above it; null before the first one. */
  readonly section: DumpSection | null;
  /** The encoding of the text, as PostgreSQL names it. */
  readonly encoding: string;
  /** The rows of a COPY ... FROM stdin, in arbitrary pieces; null for every other statement. Unread rows are skipped. */
  readonly rows: AsyncIterable<Buffer> | null;
}

const newline = 0x0a;
/** Longer lines outside rows are passed to the lexer in pieces. */
const longestLine = 1 << 20;
/** The end of the rows, with the newline before it. */
const endOfRows = Buffer.from('\n\\.\n');

/**
 * The statements of the dump in their order. Row values are never taken for SQL, whatever they contain: only the line `\.` ends them.
 * Memory: a buffer and the longest statement.
 * @throws UNSAFE_DUMP for content that pg_dump does not write, VERIFY_FAILED if the dump ends before its closing line
 */
export async function* dumpStatements(sql: AsyncIterable<Buffer>): AsyncGenerator<DumpStatement> {
  yield* new StatementReader(sql[Symbol.asyncIterator]()).statements();
}

class StatementReader {
  private chunk: Buffer = Buffer.alloc(0);
  private position = 0;
  private section: DumpSection | null = null;
  private encoding = 'UTF8';
  private isComplete = false;
  /** Statements that end in the current line. */
  private readonly found: {sql: string; endsLine: boolean; section: DumpSection | null}[] = [];
  private readonly lexer = new SqlLexer(
    {
      onStatement: (sql, endsLine) => this.found.push({sql, endsLine, section: this.section}),
      onComment: (comment) => {
        if (comment === closingComment) this.isComplete = true;
        if (this.lexer.isBetweenStatements)
          this.section = sectionIn(textOf(comment, this.encoding)) ?? this.section;
      },
      onMetaCommand: (line) => {
        // Psql needs the key; this program does not execute such lines.
        if (!/^\\(?:un)?restrict [A-Za-z0-9]+\r?$/.test(line)) throw unsafeCommand(line);
      },
    },
    {keepsAll: true},
  );

  constructor(private readonly source: AsyncIterator<Buffer>) {}

  async *statements(): AsyncGenerator<DumpStatement> {
    try {
      for (;;) {
        const line = await this.takeLine();
        for (const {sql, endsLine, section} of this.found.splice(0))
          yield* this.statement(sql, endsLine, section);
        if (!line) break;
      }
      if (!this.lexer.isBetweenStatements) throw incomplete('it ends inside a statement');
      if (!this.isComplete) throw incomplete(`its closing line "${closingComment}" is missing`);
    } finally {
      await this.source.return?.();
    }
  }

  private async *statement(
    sql: string,
    endsLine: boolean,
    section: DumpSection | null,
  ): AsyncGenerator<DumpStatement> {
    this.encoding = /^SET client_encoding = '(.*)';$/.exec(sql)?.[1] ?? this.encoding;
    const {encoding} = this;
    if (!/^copy\b/i.test(sql)) {
      yield {sql, section, encoding, rows: null};
      return;
    }
    if (!endsLine || !/\bFROM stdin;$/.test(sql)) throw unusualCopy(sql);
    const rows = this.rows();
    // Without "return": a consumer that stops early must not end the rows.
    yield {sql, section, encoding, rows: {[Symbol.asyncIterator]: () => ({next: () => rows.next()})}};
    // All bytes up to the terminating line are rows, even if the server refused the statement.
    while ((await rows.next()).done !== true);
  }

  private async more(): Promise<boolean> {
    const next = await this.source.next();
    if (next.done === true) return false;
    this.chunk = next.value;
    this.position = 0;
    return true;
  }

  /** Passes the next line to the lexer. @returns whether there was one */
  private async takeLine(): Promise<boolean> {
    let pieces: Buffer[] = [];
    let bytes = 0;
    for (;;) {
      const end = this.chunk.indexOf(newline, this.position);
      const stop = end === -1 ? this.chunk.length : end + 1;
      pieces.push(this.chunk.subarray(this.position, stop));
      bytes += stop - this.position;
      this.position = stop;
      if (end !== -1) break;
      if (bytes > longestLine + longestToken) {
        const piece = Buffer.concat(pieces);
        pieces = [piece.subarray(this.lexer.take(textIn(piece), false))];
        bytes = pieces[0]?.length ?? 0;
      }
      if (!(await this.more())) {
        if (bytes > 0) this.lexer.take(textIn(Buffer.concat(pieces)), true);
        return false;
      }
    }
    this.lexer.take(textIn(pieces.length === 1 && pieces[0] ? pieces[0] : Buffer.concat(pieces)), true);
    return true;
  }

  /** The current rows, up to the terminating line. */
  private async *rows(): AsyncGenerator<Buffer> {
    // Starts with the newline of the COPY statement's line: "\." may be the very first line.
    let pending = Buffer.from('\n');
    let isFirst = true;
    for (;;) {
      const fresh = this.chunk.subarray(this.position);
      const data = pending.length > 0 ? Buffer.concat([pending, fresh]) : fresh;
      const start = isFirst ? 1 : 0;
      const at = data.indexOf(endOfRows);
      if (at !== -1) {
        this.chunk = data;
        this.position = at + endOfRows.length;
        if (at + 1 > start) yield data.subarray(start, at + 1);
        return;
      }
      const stop = data.length - pendingBytes(data);
      if (stop > start) yield data.subarray(start, stop);
      if (stop >= start) isFirst = false;
      pending = Buffer.from(data.subarray(stop));
      if (!(await this.more())) throw incomplete('it ends inside rows');
    }
  }
}

/** Number of bytes at the end of `data` that may begin the terminating line. */
function pendingBytes(data: Buffer): number {
  for (let length = Math.min(endOfRows.length - 1, data.length); length > 0; length--)
    if (data.subarray(data.length - length).equals(endOfRows.subarray(0, length))) return length;
  return 0;
}

/** @throws UNSAFE_DUMP: in the server's protocol, a NUL ends a statement */
function textIn(line: Buffer): string {
  if (line.includes(0)) throw unsafe('a NUL byte');
  return line.toString('latin1');
}

function incomplete(why: string): AppError {
  return new AppError('VERIFY_FAILED', `The dump is not complete: ${why}.`, {
    hint: 'Make a new backup; this one is not reliable.',
  });
}
